/**
 * The sender's half (F1–F5): it kept its message, has every proof checked that an elder refused it
 * with, and sends the same bytes on. Nothing makes it run in circles: every hop is a strictly newer
 * key, there are three of them, and after those it asks three others, once.
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
/** N30: asked when the hops are used up. */
const othersAsked = 3;

/** A message that was sent and may be refused with a proof. */
export interface Following {
  /** The name it is about. */
  readonly name: Uint8Array;
  /** The same for the same message: by it the others are chosen. */
  readonly messageId: Uint8Array;
  /** The elder that was asked last, and under which key. */
  readonly to: Uint8Array;
  readonly key: Uint8Array;
  /** Times it was sent on because of a proof. */
  readonly hops: number;
  /** How many of the three others have been asked. */
  readonly others: number;
  /** Ids of all who were asked. */
  readonly asked: ReadonlySet<string>;
}

/** What the sender knows now. */
export interface FollowView {
  readonly tree: SectionTree;
  /** Whether it knows where all elders of this section can be dialled. */
  readonly isReached: (section: SectionAuthority) => boolean;
}

export type FollowEvent =
  /** By `retry` or `redirect`; null when what came with it is no proof. */
  | { readonly kind: 'refused'; readonly proof: SectionProof | null }
  /** The proof was checked, and learnt if it holds. */
  | { readonly kind: 'checked'; readonly holds: boolean }
  /** The pages were read as far as they lead. */
  | { readonly kind: 'read' }
  | { readonly kind: 'silent' };

export type FollowStep =
  /** Send the kept message to `following.to` under `following.key`. */
  | { readonly kind: 'send'; readonly following: Following }
  /** Check this proof, learn it if it holds, and say `checked`. */
  | { readonly kind: 'check'; readonly proof: SectionProof }
  /** Read from `following.to` the pages that lead to the name, and say `read`. */
  | { readonly kind: 'read' }
  /** The last answer is the answer. */
  | { readonly kind: 'giveUp' };

export const openFollowing = (
  tree: SectionTree,
  name: Uint8Array,
  messageId: Uint8Array,
  to: Uint8Array,
): Following => ({
  ...{ name, messageId, to, key: keyFor(tree, name) },
  ...{ hops: 0, others: 0, asked: new Set([nameToId(to)]) },
});

export function stepFollowing(
  view: FollowView,
  following: Following,
  event: FollowEvent,
): FollowStep {
  switch (event.kind) {
    case 'refused':
      return judge(view, following, event.proof);
    case 'checked':
      return event.holds ? learnt(view, following) : withoutNews(view, following);
    case 'read':
      return onward(view, following);
    case 'silent':
      return withoutNews(view, following);
  }
}

/** F1: what a proof is worth, before a single pairing is paid. */
function judge(view: FollowView, following: Following, proof: SectionProof | null): FollowStep {
  if (proof === null) return withoutNews(view, following);
  const { tree } = view;
  const shown = proof.authority?.authority;
  const known = shown === undefined ? undefined : tree.keys.get(toHex(shown.key));
  // N30: a key whose successor we know is no news, whatever it says of itself.
  const isHistory = known !== undefined && known.successor !== null;
  const plan = planUpdate(tree, proof);
  if (plan.kind === 'refused') return withoutNews(view, following);
  // We may know better than when we sent: another message may have learnt it.
  return isHistory || plan.kind === 'same' ? learnt(view, following) : { kind: 'check', proof };
}

/** F3: of a key that is known by its link alone the state is asked for, and where its elders are. */
function learnt(view: FollowView, following: Following): FollowStep {
  const { tree } = view;
  const { name, key } = following;
  const newest = keyFor(tree, name);
  const section = nearest(tree, name);
  const isKnown = section !== undefined && equalBytes(section.key, newest);
  const isUsed = equalBytes(newest, key) && isKnown && isElder(section, following.to);
  if (isUsed || !isNotOlder(tree, newest, key)) return withoutNews(view, following);
  return isKnown && view.isReached(section) ? onward(view, following) : { kind: 'read' };
}

/**
 * F2: on under a strictly newer key, to the same elder if it is one of that section. The same key will
 * do where only its link was known, and we asked somebody who is none of its elders.
 */
function onward(view: FollowView, following: Following): FollowStep {
  const { tree } = view;
  const { name, hops, to } = following;
  const key = keyFor(tree, name);
  const section = nearest(tree, name);
  if (section === undefined || hops >= maxHops) return withoutNews(view, following);
  const isLed = equalBytes(section.key, following.key) && !isElder(section, to);
  if (!isStrictlyNewer(tree, key, following.key) && !isLed) return withoutNews(view, following);
  const names = section.elders.map((elder) => elder.name);
  const next = names.find((each) => equalBytes(each, to)) ?? closest(names, name, 1)[0] ?? to;
  return send({ ...following, key, to: next, hops: hops + 1 });
}

/** F4: three hops did not help, so three others are asked; before that the caller asks another. */
function withoutNews({ tree }: FollowView, following: Following): FollowStep {
  const { name, hops, others, asked, messageId } = following;
  const section = nearest(tree, name);
  if (hops < maxHops || others >= othersAsked || section === undefined) return { kind: 'giveUp' };
  const [other] = section.elders
    .filter((elder) => !asked.has(nameToId(elder.name)))
    .map((elder) => ({
      elder: elder.name,
      rank: labelledHash('safe/v1/other-elder', messageId, elder.name),
    }))
    .sort((a, b) => compareBytes(a.rank, b.rank));
  if (other === undefined) return { kind: 'giveUp' };
  const key = keyFor(tree, name);
  return send({ ...following, key, to: other.elder, others: others + 1 });
}

const send = (following: Following): FollowStep => ({
  kind: 'send',
  following: { ...following, asked: new Set([...following.asked, nameToId(following.to)]) },
});

const nearest = (tree: SectionTree, name: Uint8Array): SectionAuthority | undefined =>
  sectionFor(tree, name) ?? closestSection(tree, name);

/** The newest key of the section that is asked, on the way to the name; at first genesis. */
const keyFor = (tree: SectionTree, name: Uint8Array): Uint8Array =>
  newestKey(tree, nearest(tree, name)?.key ?? tree.anchor.genesisKey, name);

const isElder = ({ elders }: SectionAuthority, name: Uint8Array): boolean =>
  elders.some((elder) => equalBytes(elder.name, name));

const isNotOlder = (tree: SectionTree, key: Uint8Array, used: Uint8Array): boolean =>
  equalBytes(key, used) || isStrictlyNewer(tree, key, used);

/** N30: a later epoch than the key used, or a key of another branch than the one used. */
function isStrictlyNewer(tree: SectionTree, key: Uint8Array, used: Uint8Array): boolean {
  if (equalBytes(key, used)) return false;
  const before = trustFor(tree, used);
  const now = trustFor(tree, key);
  if (now === undefined || before === undefined) return now !== undefined;
  // A redirect leads into another branch; there the age of the key used says nothing.
  return now.epoch > before.epoch || !matches(before.prefix, now.prefix.bits);
}
