/**
 * What one verifier knows of the whole network: the keys that follow from the genesis key, and of
 * each prefix the newest authority. A value: `learn` in learn.ts makes the next one.
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
  /** The record by which its parent named it; null for a root: the genesis key or a pin. */
  readonly link: SignedSuccessor | null;
  /** Its own one word on who follows it; null while it speaks. */
  readonly successor: SignedSuccessor | null;
}

export interface SectionTree {
  readonly anchor: TrustAnchor;
  /** By hex of the key. */
  readonly keys: ReadonlyMap<string, KnownKey>;
  /** The newest authority of each prefix, by its text; chains are left out. */
  readonly sections: ReadonlyMap<string, SignedAuthority>;
}

/** 0.7 kB each, of all sections together: at one handover a day, 64 sections are there in 64 days. */
export const maxKnownKeys = 4096;
/** Forgetting looks at all keys: it is done for so many at a time. */
export const keysForgottenAtOnce = 256;
/** Usually 10 kB each. */
export const maxKnownSections = 256;

/** @param pins keys that are trusted beside the genesis key: checkpoints of a release (N33). */
export function emptyTree(anchor: TrustAnchor, pins: readonly TrustedKey[] = []): SectionTree {
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

/** Null for a key that was not seen proven. */
export const epochOf = (tree: SectionTree, key: Uint8Array): bigint | null =>
  trustFor(tree, key)?.epoch ?? null;

/** The section that answers for a name: of those that do the one with the longest prefix. */
export function sectionFor(tree: SectionTree, name: Uint8Array): SectionAuthority | undefined {
  return longest(sectionsOf(tree).filter(({ prefix }) => matches(prefix, name)));
}

/** The section closest to a name, though it may not answer for it; a way to ask on. */
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
export const sectionAt = (tree: SectionTree, prefix: Prefix): SignedAuthority | undefined =>
  tree.sections.get(showPrefix(prefix));

/** Sorted by prefix, so that every verifier lists them alike. */
export const sectionsOf = (tree: SectionTree): readonly SectionAuthority[] =>
  [...tree.sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { authority }]) => authority);

/**
 * A name under each key that has named no successor yet: where to ask what has become of it. A half of
 * a split that is known by its link alone is among them, though no section of it was seen.
 */
export function placesOf(tree: SectionTree): readonly Uint8Array[] {
  const open = [...tree.keys.values()].filter(({ successor }) => successor === null);
  const byPrefix = new Map(open.map(({ prefix }) => [showPrefix(prefix), prefix.bits]));
  return [...byPrefix].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, bits]) => bits);
}

/**
 * The last key known on the way from this one to a name: what to put into a message, and what to
 * ask a further page of links from. The key itself while nothing follows it there.
 */
export function newestKey(tree: SectionTree, key: Uint8Array, name: Uint8Array): Uint8Array {
  let at = tree.keys.get(toHex(key));
  // Every step climbs one epoch, and there are no more epochs than keys.
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
 * The first page of {@link chainBetween} (N31), and whether it ends at `to`. Anybody may ask for one,
 * so it costs a page and not the whole chain: no key has two successors, and the way down is followed
 * by the names under `to`. Where keys between are forgotten the last page may end before the gap.
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
 * Of each prefix whose section has split, the key that named both halves. Made once for a tree: who
 * asks from the other side of a split is led from there.
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

/** The last key that both follow from, or are; undefined where it is not known. */
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
 * N31: what leads a peer with key `from` to `to` in one message: the links between them; for a key
 * that is unknown, or further back than a page, the newest record only.
 */
export function chainFor(
  tree: SectionTree,
  from: Uint8Array,
  to: Uint8Array,
): readonly SignedSuccessor[] {
  const page = chainPage(tree, from, to);
  if (page?.complete === true) return page.links;
  const link = tree.keys.get(toHex(to))?.link ?? null;
  return link === null ? [] : [link];
}

/** How many keys followed this one on the longest branch; 0 when it is unknown or speaks (N38). */
export function successorsSince(tree: SectionTree, key: Uint8Array): number {
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
