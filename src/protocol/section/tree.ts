/**
 * One verifier's knowledge of the network: the keys that follow from the genesis key, and the
 * newest authority of each prefix. Immutable: `learn` in trust-section-proof.ts returns the next one.
 */
import {
  commonPrefix,
  comparePrefixDistance,
  isWithin,
  matches,
  showPrefix,
  type Prefix,
} from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import {
  genesisTrust,
  maxChainLinks,
  type SignedAuthority,
  type TrustAnchor,
  type TrustedKey,
} from './authority.ts';
import type { SectionAuthority, SignedSuccessor } from './state.ts';

/** A key that follows from a trusted one. */
export interface KnownKey extends TrustedKey {
  /** The parent's record that names this key; null for a root: the genesis key or a pin. */
  readonly link: SignedSuccessor | null;
  /** Its successor record; null while the key is current. */
  readonly successor: SignedSuccessor | null;
}

export interface SectionTree {
  readonly anchor: TrustAnchor;
  /** By hex of the key. */
  readonly keys: ReadonlyMap<string, KnownKey>;
  /** The newest authority of each prefix, by `showPrefix`, without its chain. */
  readonly sections: ReadonlyMap<string, SignedAuthority>;
}

/** 0.7 kB each, for all sections: 64 sections with one handover a day reach this in 64 days. */
export const maxKnownKeys = 4096;
/** Eviction scans all keys, so it evicts this many at a time. */
export const keysEvictedAtOnce = 256;
/** Usually 10 kB each. */
export const maxKnownSections = 256;

/** @param pins keys trusted in addition to the genesis key: checkpoints of a release (N33). */
export function createTree(anchor: TrustAnchor, pins: readonly TrustedKey[] = []): SectionTree {
  const roots = [...pins, genesisTrust(anchor)];
  const keys = roots.map((trusted): readonly [string, KnownKey] => [
    toHex(trusted.key),
    { ...trusted, link: null, successor: null },
  ]);
  return { anchor, keys: new Map(keys), sections: new Map() };
}

export const isKnownKey = (tree: SectionTree, key: Uint8Array): boolean =>
  tree.keys.has(toHex(key));

export const trustFor = (tree: SectionTree, key: Uint8Array): TrustedKey | undefined =>
  tree.keys.get(toHex(key));

/** Null for an unknown key. */
export const epochOf = (tree: SectionTree, key: Uint8Array): bigint | null =>
  trustFor(tree, key)?.epoch ?? null;

/** The section responsible for a name: among the known ones the one with the longest prefix. */
export function sectionFor(tree: SectionTree, name: Uint8Array): SectionAuthority | undefined {
  return longest(sectionsOf(tree).filter(({ prefix }) => matches(prefix, name)));
}

/** The known section closest to a name, even if not responsible for it; it can redirect a request. */
export function closestSection(
  tree: SectionTree,
  name: Uint8Array,
  except?: Prefix,
): SectionAuthority | undefined {
  const skipped = except === undefined ? undefined : showPrefix(except);
  return sectionsOf(tree)
    .filter(({ prefix }) => showPrefix(prefix) !== skipped)
    .sort((a, b) => comparePrefixDistance(name, a.prefix, b.prefix))[0];
}

/** The newest authority under exactly this prefix. */
export const authorityAt = (tree: SectionTree, prefix: Prefix): SignedAuthority | undefined =>
  tree.sections.get(showPrefix(prefix));

/** Sorted by prefix, so that every verifier lists them in the same order. */
export const sectionsOf = (tree: SectionTree): readonly SectionAuthority[] =>
  [...tree.sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { authority }]) => authority);

/**
 * A name under each current key: where to ask for its newest state. Includes a half of a split that
 * is known only by its link.
 */
export function namesUnderCurrentKeys(tree: SectionTree): readonly Uint8Array[] {
  const open = [...tree.keys.values()].filter(({ successor }) => successor === null);
  const byPrefix = new Map(open.map(({ prefix }) => [showPrefix(prefix), prefix.bits]));
  return [...byPrefix].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, bits]) => bits);
}

/**
 * The newest known key after this one that covers a name: sent in messages, and the start of the
 * next page of links. The key itself if no successor is known there.
 */
export function newestKey(tree: SectionTree, key: Uint8Array, name: Uint8Array): Uint8Array {
  let at = tree.keys.get(toHex(key));
  // Each step increases the epoch, and there are no more epochs than keys.
  for (let step = 0; at !== undefined && step <= tree.keys.size; step++) {
    const next = at.successor?.record.children.find(({ prefix }) => matches(prefix, name));
    const known = next === undefined ? undefined : tree.keys.get(toHex(next.key));
    if (known === undefined) return at.key;
    at = known;
  }
  return key;
}

/** The links from one known key to a later one, oldest first; undefined when it is no ancestor. */
export function chainBetween(
  tree: SectionTree,
  from: Uint8Array,
  to: Uint8Array,
): readonly SignedSuccessor[] | undefined {
  const links: SignedSuccessor[] = [];
  const start = toHex(from);
  let at = toHex(to);
  if (!tree.keys.has(start)) return undefined;
  while (at !== start) {
    const link = tree.keys.get(at)?.link ?? null;
    if (link === null || links.length > tree.keys.size) return undefined;
    links.push(link);
    at = toHex(link.record.parentKey);
  }
  return links.reverse();
}

/**
 * The first page of {@link chainBetween} (N31), and whether it ends at `to`. Any peer may request
 * one, so it costs a page and not the whole chain: no key has two successors, and the prefix of
 * `to` selects the child at each step. If intermediate keys were evicted, the last page may end
 * before the gap.
 */
export function chainPage(
  tree: SectionTree,
  from: Uint8Array,
  to: Uint8Array,
): { readonly links: readonly SignedSuccessor[]; readonly complete: boolean } | undefined {
  const goal = tree.keys.get(toHex(to));
  const start = tree.keys.get(toHex(from));
  if (start === undefined || goal === undefined) return undefined;
  const links: SignedSuccessor[] = [];
  let at: KnownKey = start;
  while (!equalBytes(at.key, to)) {
    if (links.length === maxChainLinks) return { links, complete: false };
    if (at.epoch >= goal.epoch || !isWithin(goal.prefix, at.prefix)) return undefined;
    const children: SignedSuccessor['record']['children'] = at.successor?.record.children ?? [];
    const next = children.find(({ prefix }) => isWithin(goal.prefix, prefix));
    const known = next === undefined ? undefined : tree.keys.get(toHex(next.key));
    if (known === undefined || known.link === null) return undefined;
    links.push(known.link);
    at = known;
  }
  return { links, complete: true };
}

/**
 * For each prefix whose section has split, the key that named both halves. Computed once per tree;
 * a peer from the other half is redirected from that key.
 */
const splitKeys = new WeakMap<SectionTree['keys'], ReadonlyMap<string, Uint8Array>>();

function splitKeysOf({ keys }: SectionTree): ReadonlyMap<string, Uint8Array> {
  const made = splitKeys.get(keys);
  if (made !== undefined) return made;
  const found = new Map<string, Uint8Array>();
  for (const { key, prefix, successor } of keys.values()) {
    if ((successor?.record.children.length ?? 0) > 1) found.set(showPrefix(prefix), key);
  }
  splitKeys.set(keys, found);
  return found;
}

/** The last key that both follow from, or are; undefined if it is not known. */
export function commonAncestor(
  tree: SectionTree,
  a: Uint8Array,
  b: Uint8Array,
): Uint8Array | undefined {
  const [one, other] = [tree.keys.get(toHex(a)), tree.keys.get(toHex(b))];
  if (one === undefined || other === undefined) return undefined;
  const [older, younger] = one.epoch <= other.epoch ? [one, other] : [other, one];
  if (isWithin(younger.prefix, older.prefix)) return older.key;
  return splitKeysOf(tree).get(showPrefix(commonPrefix(one.prefix, other.prefix)));
}

/**
 * N31: the links that lead a peer with key `from` to `to` in one message. If the key is unknown, or
 * further back than a page, the newest record only.
 */
export function chainForPeer(
  tree: SectionTree,
  from: Uint8Array,
  to: Uint8Array,
): readonly SignedSuccessor[] {
  const page = chainPage(tree, from, to);
  if (page?.complete === true) return page.links;
  const link = tree.keys.get(toHex(to))?.link ?? null;
  return link === null ? [] : [link];
}

/**
 * The number of handovers after this key on the longest branch; 0 if it is unknown or current
 * (N38).
 */
export function handoversSince(tree: SectionTree, key: Uint8Array): number {
  const start = tree.keys.get(toHex(key));
  if (start === undefined) return 0;
  let newest = start.epoch;
  for (const known of tree.keys.values()) {
    if (isWithin(known.prefix, start.prefix) && known.epoch > newest) newest = known.epoch;
  }
  return Number(newest - start.epoch);
}

function longest(authorities: readonly SectionAuthority[]): SectionAuthority | undefined {
  let best: SectionAuthority | undefined;
  for (const each of authorities) {
    if (best === undefined || each.prefix.bitCount > best.prefix.bitCount) best = each;
  }
  return best;
}
