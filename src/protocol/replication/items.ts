/** What an adult keeps, by name and size; the bytes themselves stay on disk. */
import { nameToId } from '#address/xor-name.ts';
import { concat, equalBytes, Writer } from '#core/codec/bytes.ts';
import { labelledHash, sha256 } from '#crypto/hash.ts';
import { isChunk, MAX_CHUNK_BYTES } from '#data/chunk.ts';
import {
  compareRanks,
  MAX_POINTER_CIPHERTEXT_BYTES,
  openPointer,
  rankOf,
  POINTER_OVERHEAD_BYTES,
  withoutSignature,
} from '#data/pointer.ts';

export interface Item {
  readonly kind: 'chunk' | 'pointer';
  /** 32 bytes: the chunk's name or the record's address. */
  readonly name: Uint8Array;
  /** Bytes on disk. */
  readonly size: number;
  /** 0 for a chunk; of two versions of a record the higher one counts. */
  readonly version: bigint;
  /** Of a record's body, which puts two bodies of one version in order; empty for a chunk. */
  readonly digest: Uint8Array;
}

/** A chunk's name is its digest already. */
export const noDigest = new Uint8Array();

/** Is the first as new as the second, or newer? All holders and all readers agree on it. */
export const isAtLeast = (a: Rank, b: Rank): boolean => compareRanks(a, b) >= 0;
export const isSameRank = (a: Rank, b: Rank): boolean => compareRanks(a, b) === 0;

type Rank = Pick<Item, 'version' | 'digest'>;

/** Hex of the name, then one letter: sorts by name, and a chunk is never taken for a record. */
export type ItemId = string;

export const itemId = (item: Pick<Item, 'kind' | 'name'>): ItemId =>
  nameToId(item.name) + item.kind.charAt(0);

export const sizeFits = ({ kind, size }: Pick<Item, 'kind' | 'size'>): boolean =>
  size <=
  (kind === 'chunk' ? MAX_CHUNK_BYTES : MAX_POINTER_CIPHERTEXT_BYTES + POINTER_OVERHEAD_BYTES);

/**
 * R5: checks bytes that came from another holder.
 * @returns the item as it really is, which may be older than the one that was looked for, or
 *   `undefined` when they are not what the name promises.
 */
export function openItem(
  networkId: Uint8Array,
  wanted: Pick<Item, 'kind' | 'name'>,
  bytes: Uint8Array,
): Item | undefined {
  const { kind, name } = wanted;
  if (kind === 'chunk') {
    const item = { kind, name, size: bytes.length, version: 0n, digest: noDigest };
    return isChunk(name, bytes) ? item : undefined;
  }
  const opened = openPointer(networkId, name, bytes);
  return opened.ok ? { kind, name, size: bytes.length, ...rankOf(opened.value) } : undefined;
}

/**
 * N42: what a holder is asked to hash with the bytes. It contains the asker, so that a holder
 * without the bytes cannot have its question answered by another one.
 * @param nonce 32 bytes
 */
export const challengeOf = (
  networkId: Uint8Array,
  asker: Uint8Array,
  nonce: Uint8Array,
): Uint8Array => labelledHash('safe/v1/audit', networkId, asker, nonce);

/**
 * Of an item's bytes those that a proof is about: of a record all but its signature, because holders
 * may have been given different valid ones over the same body.
 */
export const provenBytes = (kind: Item['kind'], bytes: Uint8Array): Uint8Array =>
  kind === 'chunk' ? bytes : withoutSignature(bytes);

/** SHA-256(challenge ‖ {@link provenBytes}). The challenge is a labelled hash of fixed length. */
export const proofOf = (challenge: Uint8Array, kind: Item['kind'], bytes: Uint8Array): Uint8Array =>
  sha256(concat(challenge, provenBytes(kind, bytes)));

/** Which state of which section a message speaks about (N41). */
export interface Stamp {
  /** 32 bytes: labelled hash of the section key. */
  readonly keyHash: Uint8Array;
  readonly generation: bigint;
}

export const stampOf = (section: {
  readonly key: Uint8Array;
  readonly generation: bigint;
}): Stamp => ({
  keyHash: labelledHash('safe/v1/section-key', section.key),
  generation: section.generation,
});

export const sameStamp = (a: Stamp, b: Stamp): boolean =>
  a.generation === b.generation && equalBytes(a.keyHash, b.keyHash);

/** What a holder signs when it says "I have it" (N43). */
export const confirmationBytes = (
  networkId: Uint8Array,
  stamp: Stamp,
  holder: Uint8Array,
  item: Pick<Item, 'kind' | 'name' | 'version' | 'digest'>,
  challenge: Uint8Array,
  proof: Uint8Array,
): Uint8Array =>
  new Writer()
    .label('safe/v1/holds')
    .fixed(networkId, 32)
    .fixed(stamp.keyHash, 32)
    .u64(stamp.generation)
    .fixed(holder, 32)
    .u8(item.kind === 'chunk' ? 1 : 2)
    .fixed(item.name, 32)
    .u64(item.version)
    .sized(item.digest)
    .fixed(challenge, 32)
    .fixed(proof, 32)
    .finish();

/** Shards by the first byte of the name: one more item copies a 256th of the list. */
export type Stock = ReadonlyMap<string, ReadonlyMap<ItemId, Item>>;

const shardOf = (id: ItemId): string => id.slice(0, 2);

export const emptyStock: Stock = new Map();

export const held = (stock: Stock, id: ItemId): Item | undefined => stock.get(shardOf(id))?.get(id);

export function withItems(stock: Stock, items: readonly Item[]): Stock {
  const next = new Map(stock);
  const fresh = new Map<string, Map<ItemId, Item>>();
  for (const item of items) {
    const id = itemId(item);
    const shard = shardOf(id);
    const own = fresh.get(shard) ?? new Map(stock.get(shard));
    const kept = own.get(id);
    if (kept === undefined || isAtLeast(item, kept)) own.set(id, item);
    fresh.set(shard, own);
  }
  for (const [shard, own] of fresh) next.set(shard, own);
  return next;
}

export function withoutItem(stock: Stock, id: ItemId): Stock {
  if (held(stock, id) === undefined) return stock;
  const own = new Map(stock.get(shardOf(id)));
  own.delete(id);
  return new Map(stock).set(shardOf(id), own);
}

/**
 * Walks on in the order of names.
 * @param after the last id that was looked at, '' to begin.
 * @returns at most `scanned` items looked at, those that `fits` accepted (at most `most`), and
 *   where to go on, `null` at the end.
 */
export function walk(
  stock: Stock,
  after: ItemId,
  scanned: number,
  most: number,
  fits: (item: Item) => boolean,
): { readonly items: readonly Item[]; readonly next: ItemId | null } {
  const items: Item[] = [];
  let looked = 0;
  for (const shard of [...stock.keys()].filter((each) => each >= shardOf(after)).sort()) {
    for (const [id, item] of [...(stock.get(shard) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (id <= after) continue;
      if (fits(item)) items.push(item);
      looked += 1;
      if (looked === scanned || items.length === most) return { items, next: id };
    }
  }
  return { items, next: null };
}
