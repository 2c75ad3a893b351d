/**
 * How a verifier learns (README T1–T8): {@link planUpdate} says which signatures are worth
 * checking, a job checks them ({@link performVerifyUpdate}), and {@link learn} takes the result in.
 * Planning and learning are cheap; a pairing costs 30 ms, so it is the job's.
 */
import { child, isWithin, matches, showPrefix, type Prefix } from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  authoritySigningBytes,
  checkForm,
  followsFrom,
  maxChainLinks,
  sharesFit,
  verifySuccessor,
  type SectionFault,
  type SignedAuthority,
  type TrustedKey,
} from './authority.ts';
import { charterHash, charterOf } from './charter.ts';
import { signedAuthorityOf, type SealedState } from './sealed-state.ts';
import { successorBytes } from './successor.ts';
import type { SectionAuthority, SignedSuccessor } from './state.ts';
import {
  keysForgottenAtOnce,
  maxKnownKeys,
  maxKnownSections,
  type KnownKey,
  type SectionTree,
} from './tree.ts';

/** A page of links, and the authority they end at if it fits on the same page. */
export interface SectionProof {
  readonly links: readonly SignedSuccessor[];
  readonly authority: Omit<SignedAuthority, 'chain'> | null;
}

export const proofOf = ({ authority, signature, chain }: SignedAuthority): SectionProof => ({
  links: chain,
  authority: { authority, signature },
});

/** N33: one key, two words about who follows it. Both signatures are its own. */
export interface Fork {
  readonly first: SignedSuccessor;
  readonly second: SignedSuccessor;
}

export type Plan =
  /** It says nothing new. */
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly fault: SectionFault }
  | { readonly kind: 'verify'; readonly job: VerifyUpdateJob };

/** Self-contained: what has to be checked of a proof, and nothing that is known already. */
export interface VerifyUpdateJob {
  readonly kind: 'verifyUpdate';
  readonly proof: SectionProof;
  /** A8 costs 0.3 s; a charter that was checked once stays checked. */
  readonly checkShares: boolean;
}

/** Made by {@link performVerifyUpdate} only, or from this node's own disk. */
export interface VerifiedUpdate {
  readonly kind: 'verifiedUpdate';
  readonly proof: SectionProof;
}

export type VerifyUpdateResult = Result<VerifiedUpdate, SectionFault>;

export interface Learnt {
  readonly tree: SectionTree;
  /** Whether anything changed. */
  readonly news: boolean;
  /** The first word stays; whoever sees this must tell its people. */
  readonly fork: Fork | null;
}

/**
 * What is worth verifying of this proof? In this order: network, the links hang together and start
 * at a known key (T1, T2), known links are skipped and a second word is kept for the fraud proof
 * (T4), the authority fits its charter (N28) and is newer than the one held (T3).
 */
export function planUpdate(tree: SectionTree, proof: SectionProof): Plan {
  const sorted = sortLinks(tree, proof.links);
  if (!sorted.ok) return { kind: 'refused', fault: sorted.error };
  const { fresh, ends } = sorted.value;
  const checked = freshAuthority(tree, proof.authority, ends);
  if (!checked.ok) return { kind: 'refused', fault: checked.error };
  const authority = checked.value;
  if (fresh.length === 0 && authority === null) return { kind: 'same' };
  const held = authority === null ? undefined : newestOf(tree, authority.authority);
  const checkShares =
    authority !== null && (held === undefined || !sameCharter(held, authority.authority));
  return {
    kind: 'verify',
    job: { kind: 'verifyUpdate', proof: { links: fresh, authority }, checkShares },
  };
}

/** The job: one pairing per link, one for the authority, and its shares. */
export function performVerifyUpdate(
  suite: ThresholdSuite,
  { proof, checkShares }: VerifyUpdateJob,
): VerifyUpdateResult {
  if (!proof.links.every((link) => verifySuccessor(suite, link)))
    return err({ kind: 'unknownKey' });
  if (proof.authority !== null) {
    const { authority, signature } = proof.authority;
    if (!suite.verify(authority.key, 'AUTHORITY', authoritySigningBytes(authority), signature)) {
      return err({ kind: 'wrongSignature' });
    }
    if (checkShares && !sharesFit(suite, authority)) return err({ kind: 'wrongShares' });
  }
  return ok({ kind: 'verifiedUpdate', proof });
}

/** What this node verified before its restart, read from its own disk, needs no second check. */
export const storedUpdate = (proof: SectionProof): VerifiedUpdate => ({
  kind: 'verifiedUpdate',
  proof,
});

/**
 * Takes a verified update in. The tree may have grown since it was planned: what became known is
 * skipped again, and a word that contradicts one learnt meanwhile is a fork.
 */
export function learn(tree: SectionTree, { proof }: VerifiedUpdate): Learnt {
  const nothing: Learnt = { tree, news: false, fork: null };
  const sorted = sortLinks(tree, proof.links);
  if (!sorted.ok) return nothing;
  const { fresh, fork, ends } = sorted.value;
  // T4: what hangs on a second word is not learnt.
  if (fork !== null) return { ...nothing, fork };
  const authority = freshAuthority(tree, proof.authority, ends);
  if (!authority.ok) return nothing;
  const linked = withLinks(tree, fresh);
  const grown = authority.value === null ? linked : withAuthority(linked, authority.value);
  return { tree: grown, news: grown !== tree, fork: null };
}

/** As {@link learn}, for a state whose proof was verified whole or that this node made itself. */
export function treeWith(
  tree: SectionTree,
  verified: SignedAuthority | SealedState,
): Result<SectionTree, Fork> {
  const signed = 'state' in verified ? signedAuthorityOf(verified) : verified;
  const learnt = learn(tree, storedUpdate(proofOf(signed)));
  return learnt.fork === null ? ok(learnt.tree) : err(learnt.fork);
}

/** Newer than what is held under that prefix? A key that has a successor is history. */
export function isNews(
  tree: SectionTree,
  head: Pick<SectionAuthority, 'prefix' | 'key' | 'epoch' | 'generation'>,
): boolean {
  const held = newestOf(tree, head);
  if (held !== undefined) return isNewer(head, held);
  return !isCovered(prefixesOf(tree), head.prefix);
}

interface SortedLinks {
  /** Those the tree lacks, second words included. */
  readonly fresh: readonly SignedSuccessor[];
  readonly fork: Fork | null;
  /** The keys the last link names; none without links. */
  readonly ends: readonly TrustedKey[];
}

function sortLinks(
  tree: SectionTree,
  links: readonly SignedSuccessor[],
): Result<SortedLinks, SectionFault> {
  if (links.length > maxChainLinks) return err({ kind: 'unknownKey' });
  const fresh: SignedSuccessor[] = [];
  let fork: Fork | null = null;
  let ends: readonly TrustedKey[] = [];
  for (const [at, link] of links.entries()) {
    const { record } = link;
    const known = tree.keys.get(toHex(record.parentKey));
    // T2: the first starts at a known key; each other one at a child of the one before.
    const parent = at === 0 ? known : ends.find(({ key }) => equalBytes(key, record.parentKey));
    if (parent === undefined || !followsFrom(tree.anchor.networkId, parent, record)) {
      return err({ kind: 'unknownKey' });
    }
    const first = known?.successor ?? null;
    if (first === null || !sameRecord(first, link)) fresh.push(link);
    if (first !== null && !sameRecord(first, link)) fork ??= { first, second: link };
    ends = record.children.map((each) => ({ ...each, epoch: parent.epoch + 1n }));
  }
  return ok({ fresh, fork, ends });
}

/** The authority, if its form is right and it is newer than what is held; null when it is not. */
function freshAuthority(
  tree: SectionTree,
  signed: SectionProof['authority'],
  ends: readonly TrustedKey[],
): Result<SectionProof['authority'], SectionFault> {
  if (signed === null) return ok(null);
  const { authority } = signed;
  const trusted =
    ends.length === 0
      ? tree.keys.get(toHex(authority.key))
      : ends.find(({ key }) => equalBytes(key, authority.key));
  if (trusted === undefined) return err({ kind: 'unknownKey' });
  const form = checkForm(tree.anchor, { authority, chain: [] }, trusted);
  if (!form.ok) return form;
  return ok(isNews(tree, authority) ? signed : null);
}

const sameRecord = (a: SignedSuccessor, b: SignedSuccessor): boolean =>
  equalBytes(successorBytes(a.record), successorBytes(b.record));

const sameCharter = (a: SectionAuthority, b: SectionAuthority): boolean =>
  equalBytes(charterHash(charterOf(a)), charterHash(charterOf(b)));

function withLinks(tree: SectionTree, links: readonly SignedSuccessor[]): SectionTree {
  if (links.length === 0) return tree;
  const keys = new Map(tree.keys);
  for (const link of links) {
    const name = toHex(link.record.parentKey);
    const parent = keys.get(name);
    if (parent === undefined) continue;
    keys.set(name, { ...parent, successor: link });
    for (const each of link.record.children) {
      const known = keys.get(toHex(each.key));
      keys.set(toHex(each.key), {
        ...each,
        epoch: parent.epoch + 1n,
        link,
        successor: known?.successor ?? null,
      });
    }
  }
  return { ...tree, keys: forgetInner(keys) };
}

/** T5: the newest of its prefix; ancestors whose names are all answered for by others go. */
function withAuthority(
  tree: SectionTree,
  signed: NonNullable<SectionProof['authority']>,
): SectionTree {
  const { authority, signature } = signed;
  const sections = new Map(tree.sections);
  sections.set(showPrefix(authority.prefix), { authority, signature, chain: [] });
  const prefixes = [...sections.values()].map((each) => each.authority.prefix);
  for (const [text, { authority: older }] of sections) {
    if (isCovered(prefixes, older.prefix)) sections.delete(text);
  }
  return { ...tree, sections: forgetFurthest(sections, authority.prefix) };
}

const newestOf = (
  tree: SectionTree,
  { prefix }: Pick<SectionAuthority, 'prefix'>,
): SectionAuthority | undefined => tree.sections.get(showPrefix(prefix))?.authority;

const isNewer = (
  a: Pick<SectionAuthority, 'epoch' | 'generation'>,
  b: Pick<SectionAuthority, 'epoch' | 'generation'>,
): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.generation > b.generation);

const prefixesOf = (tree: SectionTree): readonly Prefix[] =>
  [...tree.sections.values()].map(({ authority }) => authority.prefix);

/** Do longer prefixes among these answer for every name under this one? */
function isCovered(prefixes: readonly Prefix[], prefix: Prefix): boolean {
  const inside = prefixes.filter(
    (each) => each.bitCount > prefix.bitCount && isWithin(each, prefix),
  );
  if (inside.length === 0) return false;
  return [0 as const, 1 as const].every((bit) => {
    const half = child(prefix, bit);
    return inside.some((each) => showPrefix(each) === showPrefix(half)) || isCovered(inside, half);
  });
}

/**
 * T7: a key that has no successor yet is never forgotten, for its section speaks; roots stay, or nothing
 * could be proved to a stranger. Of the keys between, those go that serve the longest chains alone,
 * lowest epochs first, so that a slow section beside a fast one keeps its whole way.
 */
function forgetInner(keys: Map<string, KnownKey>): ReadonlyMap<string, KnownKey> {
  if (keys.size <= maxKnownKeys) return keys;
  const least = leastEpochServed(keys);
  const served = (name: string): number => least.get(name) ?? 0;
  const inner = [...keys]
    .filter(([, { link, successor }]) => link !== null && successor !== null)
    .sort(([a, x], [b, y]) => served(b) - served(a) || Number(x.epoch - y.epoch))
    .slice(0, keys.size - maxKnownKeys + keysForgottenAtOnce);
  for (const [name] of inner) keys.delete(name);
  return keys;
}

/** Of each key the lowest epoch among the keys without successor that descend from it. */
function leastEpochServed(keys: ReadonlyMap<string, KnownKey>): ReadonlyMap<string, number> {
  const least = new Map<string, number>();
  const latest = [...keys].sort(([, a], [, b]) => Number(b.epoch - a.epoch));
  for (const [name, { epoch, successor, link }] of latest) {
    const own = successor === null ? Number(epoch) : (least.get(name) ?? Number(epoch));
    least.set(name, own);
    const parent = link === null ? undefined : toHex(link.record.parentKey);
    if (parent !== undefined) least.set(parent, Math.min(own, least.get(parent) ?? own));
  }
  return least;
}

/** T7: the one least like the newest; it can be learnt again. */
function forgetFurthest(
  sections: Map<string, SignedAuthority>,
  near: Prefix,
): ReadonlyMap<string, SignedAuthority> {
  while (sections.size > maxKnownSections) {
    const furthest = [...sections].reduce((a, b) =>
      likeness(a[1].authority.prefix, near) <= likeness(b[1].authority.prefix, near) ? a : b,
    );
    sections.delete(furthest[0]);
  }
  return sections;
}

/** How many leading bits two prefixes share. */
function likeness(a: Prefix, b: Prefix): number {
  const limit = Math.min(a.bitCount, b.bitCount);
  let bits = 0;
  while (bits < limit && matches({ bitCount: bits + 1, bits: a.bits }, b.bits)) bits++;
  return bits;
}
