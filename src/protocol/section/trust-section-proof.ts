/**
 * Whether a claim about a section is trusted, and what the verifier's tree then holds (SECTION-T1–T7):
 * {@link planUpdate} selects the signatures to verify, a job verifies them
 * ({@link performVerifyUpdate}), and {@link learn} applies the result.
 * Planning and learning are cheap; a pairing costs 30 ms, so it is in the job.
 */
import { child, isWithin, matches, showPrefix, type Prefix } from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  authoritySigningBytes,
  checkStructure,
  followsFrom,
  maxChainLinks,
  sharesMatchKey,
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
  keysEvictedAtOnce,
  maxKnownKeys,
  maxKnownSections,
  type KnownKey,
  type SectionTree,
} from './tree.ts';

/** A page of links, and the authority they end at if it fits on that page. */
export interface SectionProof {
  readonly links: readonly SignedSuccessor[];
  readonly authority: Omit<SignedAuthority, 'chain'> | null;
}

export const sectionProofOf = ({ authority, signature, chain }: SignedAuthority): SectionProof => ({
  links: chain,
  authority: { authority, signature },
});

/** N33: two conflicting successor records of one key, both with its valid signature. */
export interface Fork {
  readonly first: SignedSuccessor;
  readonly second: SignedSuccessor;
}

export type UpdatePlan =
  /** Nothing new. */
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly fault: SectionFault }
  | { readonly kind: 'verify'; readonly job: VerifyUpdateJob };

/** Self-contained: the unverified part of a proof. */
export interface VerifyUpdateJob {
  readonly kind: 'verifyUpdate';
  readonly proof: SectionProof;
  /** SECTION-A8 costs 0.3 s, so each charter is checked once. */
  readonly checkShares: boolean;
}

/** Made by {@link performVerifyUpdate} only, or from this node's own disk. */
export interface VerifiedUpdate {
  readonly kind: 'verifiedUpdate';
  readonly proof: SectionProof;
}

export type VerifyUpdateResult = Result<VerifiedUpdate, SectionFault>;

export interface LearnResult {
  readonly tree: SectionTree;
  /** Whether anything changed. */
  readonly changed: boolean;
  /** The first record stays valid; the caller must warn the user. */
  readonly fork: Fork | null;
}

/**
 * Selects the part of a proof to verify. Checks in this order: the network; the links are connected
 * and start at a known key (SECTION-T1, SECTION-T2); known links are skipped and a conflicting record is kept for
 * the fraud proof (SECTION-T4); the authority matches its charter (N28) and is newer than the known one
 * (SECTION-T3).
 */
export function planUpdate(tree: SectionTree, proof: SectionProof): UpdatePlan {
  const sorted = sortLinks(tree, proof.links);
  if (!sorted.ok) return { kind: 'refused', fault: sorted.error };
  const { fresh, ends } = sorted.value;
  const checked = newerAuthority(tree, proof.authority, ends);
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

/** The job: one pairing per link, one for the authority, and the check of its shares. */
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
    if (checkShares && !sharesMatchKey(suite, authority)) return err({ kind: 'wrongShares' });
  }
  return ok({ kind: 'verifiedUpdate', proof });
}

/** A proof this node verified before its restart, read from its own disk, needs no second check. */
export const trustedUpdate = (proof: SectionProof): VerifiedUpdate => ({
  kind: 'verifiedUpdate',
  proof,
});

/**
 * Applies a verified update. The tree may have grown since planning: links learnt meanwhile are
 * skipped, and a record that contradicts one of them is a fork.
 */
export function learn(tree: SectionTree, { proof }: VerifiedUpdate): LearnResult {
  const nothing: LearnResult = { tree, changed: false, fork: null };
  const sorted = sortLinks(tree, proof.links);
  if (!sorted.ok) return nothing;
  const { fresh, fork, ends } = sorted.value;
  // SECTION-T4: nothing after a conflicting record is learnt.
  if (fork !== null) return { ...nothing, fork };
  const authority = newerAuthority(tree, proof.authority, ends);
  if (!authority.ok) return nothing;
  const linked = withLinks(tree, fresh);
  const grown = authority.value === null ? linked : withAuthority(linked, authority.value);
  return { tree: grown, changed: grown !== tree, fork: null };
}

/** As {@link learn}, for a state that was verified completely or made by this node. */
export function treeWith(
  tree: SectionTree,
  verified: SignedAuthority | SealedState,
): Result<SectionTree, Fork> {
  const signed = 'state' in verified ? signedAuthorityOf(verified) : verified;
  const learnt = learn(tree, trustedUpdate(sectionProofOf(signed)));
  return learnt.fork === null ? ok(learnt.tree) : err(learnt.fork);
}

/** Whether it is newer than the known state of that prefix. A superseded key is never newer. */
export function isNewerThanKnown(
  tree: SectionTree,
  head: Pick<SectionAuthority, 'prefix' | 'key' | 'epoch' | 'generation'>,
): boolean {
  const held = newestOf(tree, head);
  if (held !== undefined) return isLater(head, held);
  return !isCovered(prefixesOf(tree), head.prefix);
}

interface SortedLinks {
  /** Those the tree lacks, conflicting records included. */
  readonly fresh: readonly SignedSuccessor[];
  readonly fork: Fork | null;
  /** The keys that the last link names; empty without links. */
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
    // SECTION-T2: the first link starts at a known key; each other at a child of the one before.
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

/** The authority if it is well-formed and newer than the known one; null if it is not newer. */
function newerAuthority(
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
  const form = checkStructure(tree.anchor, { authority, chain: [] }, trusted);
  if (!form.ok) return form;
  return ok(isNewerThanKnown(tree, authority) ? signed : null);
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
  return { ...tree, keys: evictIntermediateKeys(keys) };
}

/**
 * SECTION-T5: the newest of its prefix; ancestors whose names are all covered by longer prefixes are
 * removed.
 */
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
  return { ...tree, sections: evictFurthestSections(sections, authority.prefix) };
}

const newestOf = (
  tree: SectionTree,
  { prefix }: Pick<SectionAuthority, 'prefix'>,
): SectionAuthority | undefined => tree.sections.get(showPrefix(prefix))?.authority;

const isLater = (
  a: Pick<SectionAuthority, 'epoch' | 'generation'>,
  b: Pick<SectionAuthority, 'epoch' | 'generation'>,
): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.generation > b.generation);

const prefixesOf = (tree: SectionTree): readonly Prefix[] =>
  [...tree.sections.values()].map(({ authority }) => authority.prefix);

/** Whether longer prefixes among these cover every name under this one. */
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
 * SECTION-T7: never evicts a key without successor, because it is current, nor a root, which proofs to new
 * peers need. Of the keys between, evicts those that serve only the longest chains, lowest epochs
 * first, so that a section with few handovers keeps its complete chain.
 */
function evictIntermediateKeys(keys: Map<string, KnownKey>): ReadonlyMap<string, KnownKey> {
  if (keys.size <= maxKnownKeys) return keys;
  const least = lowestEpochServed(keys);
  const served = (name: string): number => least.get(name) ?? 0;
  const inner = [...keys]
    .filter(([, { link, successor }]) => link !== null && successor !== null)
    .sort(([a, x], [b, y]) => served(b) - served(a) || Number(x.epoch - y.epoch))
    .slice(0, keys.size - maxKnownKeys + keysEvictedAtOnce);
  for (const [name] of inner) keys.delete(name);
  return keys;
}

/** For each key the lowest epoch among the current keys that descend from it. */
function lowestEpochServed(keys: ReadonlyMap<string, KnownKey>): ReadonlyMap<string, number> {
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

/**
 * SECTION-T7: evicts the section that shares the fewest prefix bits with the newest; it can be learnt
 * again.
 */
function evictFurthestSections(
  sections: Map<string, SignedAuthority>,
  near: Prefix,
): ReadonlyMap<string, SignedAuthority> {
  while (sections.size > maxKnownSections) {
    const furthest = [...sections].reduce((a, b) =>
      sharedPrefixBits(a[1].authority.prefix, near) <= sharedPrefixBits(b[1].authority.prefix, near)
        ? a
        : b,
    );
    sections.delete(furthest[0]);
  }
  return sections;
}

/** The number of leading bits that two prefixes share. */
function sharedPrefixBits(a: Prefix, b: Prefix): number {
  const limit = Math.min(a.bitCount, b.bitCount);
  let bits = 0;
  while (bits < limit && matches({ bitCount: bits + 1, bits: a.bits }, b.bits)) bits++;
  return bits;
}
