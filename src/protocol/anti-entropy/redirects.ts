/**
 * The sender's half (ANTI-ENTROPY-F1–F4): it keeps its message, has the proof in every refusal checked, and
 * sends the same bytes again. It cannot loop: each hop needs a strictly newer key, there are at
 * most three hops, and after them it asks three other elders, once.
 */
import { matches } from '#address/prefix.ts';
import { closest, nameToId } from '#address/xor-name.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  closestSection,
  newestKey,
  planUpdate,
  sectionFor,
  trustFor,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';

/** N30. */
export const maxHops = 3;
/** N30: elders asked after the last hop. */
const fallbackElders = 3;

/** A message that was sent and may be refused with a proof. */
export interface RedirectState {
  /** The name the message is about. */
  readonly name: Uint8Array;
  /** Constant for one message; it selects the fallback elders. */
  readonly messageId: Uint8Array;
  /** The elder that was asked last, and the key used. */
  readonly to: Uint8Array;
  readonly key: Uint8Array;
  /** Times it was re-sent because of a proof. */
  readonly hops: number;
  /** Fallback elders asked so far. */
  readonly others: number;
  /** Ids of all elders asked. */
  readonly asked: ReadonlySet<string>;
}

/** The sender's current knowledge. */
export interface RedirectView {
  readonly tree: SectionTree;
  /** Whether it knows addresses of all elders of this section. */
  readonly isReachable: (section: SectionAuthority) => boolean;
}

export type RedirectEvent =
  /** By `retry` or `redirect`; null when the attached proof cannot be decoded. */
  | { readonly kind: 'refused'; readonly proof: SectionProof | null }
  /** The proof was checked, and added to the tree if valid. */
  | { readonly kind: 'checked'; readonly holds: boolean }
  /** Chain sync ended, at an authority or earlier. */
  | { readonly kind: 'pagesRead' }
  | { readonly kind: 'unresponsive' };

export type RedirectStep =
  /** Send the kept message to `state.to` under `state.key`. */
  | { readonly kind: 'send'; readonly state: RedirectState }
  /** Check this proof, add it to the tree if valid, and report `checked`. */
  | { readonly kind: 'check'; readonly proof: SectionProof }
  /** Sync the chain towards the name from `state.to`, and report `pagesRead`. */
  | { readonly kind: 'readPages' }
  /** The last answer received is final. */
  | { readonly kind: 'giveUp' };

export const startRedirects = (
  tree: SectionTree,
  name: Uint8Array,
  messageId: Uint8Array,
  to: Uint8Array,
): RedirectState => ({
  ...{ name, messageId, to, key: keyFor(tree, name) },
  ...{ hops: 0, others: 0, asked: new Set([nameToId(to)]) },
});

export function stepRedirects(
  view: RedirectView,
  state: RedirectState,
  event: RedirectEvent,
): RedirectStep {
  switch (event.kind) {
    case 'refused':
      return onRefused(view, state, event.proof);
    case 'checked':
      return event.holds ? onTreeUpdated(view, state) : onNoProgress(view, state);
    case 'pagesRead':
      return forward(view, state);
    case 'unresponsive':
      return onNoProgress(view, state);
  }
}

/** ANTI-ENTROPY-F1: decides without any pairing whether a proof is worth checking. */
function onRefused(
  view: RedirectView,
  state: RedirectState,
  proof: SectionProof | null,
): RedirectStep {
  if (proof === null) return onNoProgress(view, state);
  const { tree } = view;
  const shown = proof.authority?.authority;
  const known = shown === undefined ? undefined : tree.keys.get(toHex(shown.key));
  // N30: a key with a known successor proves nothing new, whatever its authority contains.
  const isHistory = known !== undefined && known.successor !== null;
  const plan = planUpdate(tree, proof);
  if (plan.kind === 'refused') return onNoProgress(view, state);
  // The tree may have grown since we sent: another message may have brought the same links.
  return isHistory || plan.kind === 'same' ? onTreeUpdated(view, state) : { kind: 'check', proof };
}

/** ANTI-ENTROPY-F3: if only a key's link is known, sync its section's state and its elders' addresses. */
function onTreeUpdated(view: RedirectView, state: RedirectState): RedirectStep {
  const { tree } = view;
  const { name, key } = state;
  const newest = keyFor(tree, name);
  const section = nearestSection(tree, name);
  const isKnown = section !== undefined && equalBytes(section.key, newest);
  const isSameTarget = equalBytes(newest, key) && isKnown && isElder(section, state.to);
  if (isSameTarget || !isNotOlder(tree, newest, key)) return onNoProgress(view, state);
  return isKnown && view.isReachable(section) ? forward(view, state) : { kind: 'readPages' };
}

/**
 * ANTI-ENTROPY-F2: re-sends under a strictly newer key, to the same elder if it belongs to that section. The
 * same key is allowed if only its link was known and the node asked was none of its elders.
 */
function forward(view: RedirectView, state: RedirectState): RedirectStep {
  const { tree } = view;
  const { name, hops, to } = state;
  const key = keyFor(tree, name);
  const section = nearestSection(tree, name);
  if (section === undefined || hops >= maxHops) return onNoProgress(view, state);
  const isFirstContact = equalBytes(section.key, state.key) && !isElder(section, to);
  if (!isStrictlyNewer(tree, key, state.key) && !isFirstContact) return onNoProgress(view, state);
  const names = section.elders.map((elder) => elder.name);
  const next = names.find((each) => equalBytes(each, to)) ?? closest(names, name, 1)[0] ?? to;
  return send({ ...state, key, to: next, hops: hops + 1 });
}

/** ANTI-ENTROPY-F4: after three hops, asks three fallback elders; with hops left, the caller tries another. */
function onNoProgress({ tree }: RedirectView, state: RedirectState): RedirectStep {
  const { name, hops, others, asked, messageId } = state;
  const section = nearestSection(tree, name);
  if (hops < maxHops || others >= fallbackElders || section === undefined)
    return { kind: 'giveUp' };
  const [other] = section.elders
    .filter((elder) => !asked.has(nameToId(elder.name)))
    .map((elder) => ({
      elder: elder.name,
      rank: labelledHash('safe/v1/other-elder', messageId, elder.name),
    }))
    .sort((a, b) => compareBytes(a.rank, b.rank));
  if (other === undefined) return { kind: 'giveUp' };
  const key = keyFor(tree, name);
  return send({ ...state, key, to: other.elder, others: others + 1 });
}

const send = (state: RedirectState): RedirectStep => ({
  kind: 'send',
  state: { ...state, asked: new Set([...state.asked, nameToId(state.to)]) },
});

const nearestSection = (tree: SectionTree, name: Uint8Array): SectionAuthority | undefined =>
  sectionFor(tree, name) ?? closestSection(tree, name);

/** The newest key on the key path of the name; initially the genesis key. */
const keyFor = (tree: SectionTree, name: Uint8Array): Uint8Array =>
  newestKey(tree, nearestSection(tree, name)?.key ?? tree.anchor.genesisKey, name);

const isElder = ({ elders }: SectionAuthority, name: Uint8Array): boolean =>
  elders.some((elder) => equalBytes(elder.name, name));

const isNotOlder = (tree: SectionTree, key: Uint8Array, used: Uint8Array): boolean =>
  equalBytes(key, used) || isStrictlyNewer(tree, key, used);

/** N30: a later epoch than the key used, or a key of another branch. */
function isStrictlyNewer(tree: SectionTree, key: Uint8Array, used: Uint8Array): boolean {
  if (equalBytes(key, used)) return false;
  const before = trustFor(tree, used);
  const now = trustFor(tree, key);
  if (now === undefined || before === undefined) return now !== undefined;
  // A redirect leads into another branch, where epochs cannot be compared.
  return now.epoch > before.epoch || !matches(before.prefix, now.prefix.bits);
}
