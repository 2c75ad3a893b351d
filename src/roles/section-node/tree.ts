/**
 * What a node knows of all sections: every key that it has seen proven, each with the one record
 * that succeeded it, and of every key in force the newest sealed state. A value; nothing here checks
 * a signature: what comes in was verified (`verifySealedState`).
 */
import { comparePrefixDistance, matches, type Prefix } from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  charterHash,
  charterOf,
  decodeSealedState,
  genesisTrust,
  maxChainLinks,
  successorHash,
  type SealedState,
  type SectionAuthority,
  type SignedSuccessor,
  type TrustAnchor,
  type TrustedKey,
} from '#protocol/section/index.ts';

export interface KnownKey {
  readonly key: Uint8Array;
  readonly epoch: bigint;
  /** Hex of the key before it; null for the first one. */
  readonly parent: string | null;
  /** The record that ended it; null while it is in force as far as we know. */
  readonly successor: SignedSuccessor | null;
}

export interface SectionTree {
  /** By hex of the key. */
  readonly keys: ReadonlyMap<string, KnownKey>;
  /** Newest sealed states of keys in force, by hex of the key. */
  readonly sections: ReadonlyMap<string, SealedState>;
}

/** Two records of one key: a fraud that five of its elders took part in (N28, N33). */
export interface Fork {
  readonly records: readonly [SignedSuccessor, SignedSuccessor];
}

/** Only the genesis key is trusted beforehand. */
export const seedTree = ({ genesisKey }: TrustAnchor): SectionTree => ({
  keys: new Map([
    [toHex(genesisKey), { key: genesisKey, epoch: 0n, parent: null, successor: null }],
  ]),
  sections: new Map(),
});

/** Takes in a verified state with its links; an older one of a key changes nothing. */
export function treeWith(tree: SectionTree, sealed: SealedState): Result<SectionTree, Fork> {
  const keys = new Map(tree.keys);
  const sections = new Map(tree.sections);
  for (const link of sealed.chain) {
    const { record } = link;
    const id = toHex(record.parentKey);
    const known = keys.get(id);
    if (known?.successor != null) {
      if (!equalBytes(successorHash(known.successor.record), successorHash(record))) {
        return err({ records: [known.successor, link] });
      }
      continue;
    }
    keys.set(id, {
      key: record.parentKey,
      epoch: record.epoch,
      parent: known?.parent ?? null,
      successor: link,
    });
    sections.delete(id);
    for (const child of record.children) {
      const childId = toHex(child.key);
      const before = keys.get(childId);
      keys.set(childId, {
        key: child.key,
        epoch: record.epoch + 1n,
        parent: id,
        successor: before?.successor ?? null,
      });
    }
  }
  const { key, generation, epoch } = sealed.state.authority;
  const id = toHex(key);
  if (!keys.has(id)) keys.set(id, { key, epoch, parent: null, successor: null });
  const held = sections.get(id);
  const isNewer = held === undefined || held.state.authority.generation < generation;
  if (keys.get(id)?.successor == null && isNewer) sections.set(id, sealed);
  return ok({ keys, sections });
}

export const isKnownKey = (tree: SectionTree, key: Uint8Array): boolean =>
  tree.keys.has(toHex(key));

/** Null for a key we have not seen proven. */
export const epochOf = (tree: SectionTree, key: Uint8Array): bigint | null =>
  tree.keys.get(toHex(key))?.epoch ?? null;

/** Where a proof may begin: at a key we have seen proven. */
export function trustFor(tree: SectionTree, key: Uint8Array): TrustedKey | undefined {
  const known = tree.keys.get(toHex(key));
  if (known === undefined) return undefined;
  const { epoch, parent } = known;
  // What is known of a key: its parent's word, else its own verified state, else genesis.
  const records = parent === null ? undefined : tree.keys.get(parent)?.successor?.record.children;
  const named = records?.find((each) => equalBytes(each.key, key));
  if (named !== undefined) return { ...named, epoch };
  const held = tree.sections.get(toHex(key))?.state.authority;
  if (held === undefined) return { ...genesisTrust({ genesisKey: key }), epoch };
  return { key, epoch, prefix: held.prefix, charterHash: charterHash(charterOf(held)) };
}

/** Is this state something we do not hold yet? What a superseded key says is history. */
export function isNews(
  tree: SectionTree,
  { key, generation }: Pick<SectionAuthority, 'key' | 'generation'>,
): boolean {
  const id = toHex(key);
  if (tree.keys.get(id)?.successor != null) return false;
  const held = tree.sections.get(id);
  return held === undefined || held.state.authority.generation < generation;
}

/**
 * The links from one key to another, oldest first: at most a page. From a key that is no ancestor
 * of `to` as far as we know, all the links we have; whoever needs more asks from where they end.
 */
export function chainFor(
  tree: SectionTree,
  from: Uint8Array,
  to: Uint8Array,
): readonly SignedSuccessor[] {
  const links: SignedSuccessor[] = [];
  const end = toHex(from);
  for (let id = toHex(to); id !== end;) {
    const parent = tree.keys.get(id)?.parent;
    const link = parent == null ? undefined : tree.keys.get(parent)?.successor;
    if (parent == null || link == null) break;
    links.unshift(link);
    id = parent;
  }
  return links.slice(-maxChainLinks);
}

/** The known authority that answers for this name: of those that match the one with most bits. */
export function sectionFor(tree: SectionTree, name: Uint8Array): SectionAuthority | undefined {
  let found: SectionAuthority | undefined;
  for (const { state } of tree.sections.values()) {
    const { authority } = state;
    if (!matches(authority.prefix, name)) continue;
    if (found === undefined || isBetter(authority, found)) found = authority;
  }
  return found;
}

/** {@link sectionFor}, or where to ask next when nobody we know answers for the name. */
export function closestSection(tree: SectionTree, name: Uint8Array): SectionAuthority | undefined {
  const all = [...tree.sections.values()].map(({ state }) => state.authority);
  const direct = sectionFor(tree, name);
  if (direct !== undefined) return direct;
  return all.sort((a, b) => comparePrefixDistance(name, a.prefix, b.prefix))[0];
}

const isBetter = (a: SectionAuthority, b: SectionAuthority): boolean =>
  a.prefix.bitCount !== b.prefix.bitCount
    ? a.prefix.bitCount > b.prefix.bitCount
    : a.epoch > b.epoch;

/** Handovers since this key, along the longest line we know; for the age of tickets (N38). */
export function successorsSince(tree: SectionTree, key: Uint8Array): number {
  const steps = (id: string): number => {
    const children = tree.keys.get(id)?.successor?.record.children ?? [];
    return children.length === 0
      ? 0
      : 1 + Math.max(...children.map((each) => steps(toHex(each.key))));
  };
  return steps(toHex(key));
}

/** The claims at the head of an encoded sealed state, before anything is proven. */
export interface SealedHead {
  readonly prefix: Prefix;
  readonly key: Uint8Array;
  readonly epoch: bigint;
  readonly generation: bigint;
  /** Where its proof begins. */
  readonly from: Uint8Array;
}

export function sealedHead(bytes: Uint8Array): SealedHead | undefined {
  const decoded = decodeSealedState(bytes);
  if (!decoded.ok) return undefined;
  const { state, chain } = decoded.value;
  const { prefix, key, epoch, generation } = state.authority;
  return { prefix, key, epoch, generation, from: chain[0]?.record.parentKey ?? key };
}
