/** An item an adult stores, by name and size; the bytes stay on disk. */
import type { StateRef } from '#data/storage-receipt.ts';
import { nameToId } from '#address/xor-name.ts';
import { concat, equalBytes, Writer } from '#core/codec/bytes.ts';
import { labelledHash, sha256 } from '#crypto/hash.ts';
import { isChunk, MAX_CHUNK_BYTES } from '#data/chunk.ts';
import {
  comparePointerRanks,
  MAX_POINTER_CIPHERTEXT_BYTES,
  decodeVerifiedPointer,
  pointerRankOf,
  POINTER_OVERHEAD_BYTES,
  withoutSignature,
} from '#data/pointer-record.ts';

export interface Item {
  readonly kind: 'chunk' | 'pointer';
  /** 32 bytes: the chunk's name or the record's address. */
  readonly name: Uint8Array;
  /** Bytes on disk. */
  readonly size: number;
  /** 0 for a chunk; the highest version of a record wins. */
  readonly version: bigint;
  /** Hash of a record's body, which orders two bodies of one version; empty for a chunk. */
  readonly digest: Uint8Array;
}

/** A chunk needs none: its name is its digest. */
export const noDigest = new Uint8Array();

/** REPLICATION-R10: is the first as new as the second, or newer? All holders and readers use this order. */
export const isAtLeast = (a: Rank, b: Rank): boolean => comparePointerRanks(a, b) >= 0;
export const isSameRank = (a: Rank, b: Rank): boolean => comparePointerRanks(a, b) === 0;

type Rank = Pick<Item, 'version' | 'digest'>;

/** Hex of the name, then one letter: sorts by name and separates chunks from records. */
export type ItemId = string;

export const itemId = (item: Pick<Item, 'kind' | 'name'>): ItemId =>
  nameToId(item.name) + item.kind.charAt(0);

export const sizeFits = ({ kind, size }: Pick<Item, 'kind' | 'size'>): boolean =>
  size <=
  (kind === 'chunk' ? MAX_CHUNK_BYTES : MAX_POINTER_CIPHERTEXT_BYTES + POINTER_OVERHEAD_BYTES);

/**
 * REPLICATION-R5: verifies bytes received from another holder.
 * @returns the item they really are, which may be older than the one requested, or `undefined` when
 *   they do not match the name.
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
  const opened = decodeVerifiedPointer(networkId, name, bytes);
  return opened.ok ? { kind, name, size: bytes.length, ...pointerRankOf(opened.value) } : undefined;
}

/**
 * N42, REPLICATION-A2: the challenge a holder hashes together with the bytes. It contains the asker's name, so a
 * holder without the bytes cannot have another one answer for it.
 * @param nonce 32 bytes
 */
export const challengeOf = (
  networkId: Uint8Array,
  asker: Uint8Array,
  nonce: Uint8Array,
): Uint8Array => labelledHash('safe/v1/audit', networkId, asker, nonce);

/**
 * The bytes a proof covers: of a record all but its signature, because holders may have different
 * valid signatures over the same body.
 */
export const provenBytes = (kind: Item['kind'], bytes: Uint8Array): Uint8Array =>
  kind === 'chunk' ? bytes : withoutSignature(bytes);

/** SHA-256(challenge ‖ {@link provenBytes}). The challenge is a labelled hash of fixed length. */
export const possessionProof = (
  challenge: Uint8Array,
  kind: Item['kind'],
  bytes: Uint8Array,
): Uint8Array => sha256(concat(challenge, provenBytes(kind, bytes)));

export const stateRefOf = (section: {
  readonly key: Uint8Array;
  readonly generation: bigint;
}): StateRef => ({
  keyHash: labelledHash('safe/v1/section-key', section.key),
  generation: section.generation,
});

export const sameStateRef = (a: StateRef, b: StateRef): boolean =>
  a.generation === b.generation && equalBytes(a.keyHash, b.keyHash);

/** The bytes a holder signs to confirm that it stores an item (N43). */
export const confirmationBytes = (
  networkId: Uint8Array,
  state: StateRef,
  holder: Uint8Array,
  item: Pick<Item, 'kind' | 'name' | 'version' | 'digest'>,
  challenge: Uint8Array,
  proof: Uint8Array,
): Uint8Array =>
  new Writer()
    .label('safe/v1/holds')
    .fixed(networkId, 32)
    .fixed(state.keyHash, 32)
    .u64(state.generation)
    .fixed(holder, 32)
    .u8(item.kind === 'chunk' ? 1 : 2)
    .fixed(item.name, 32)
    .u64(item.version)
    .sized(item.digest)
    .fixed(challenge, 32)
    .fixed(proof, 32)
    .finish();

/** Sharded by the first byte of the name: adding an item copies one of 256 shards. */
export type Inventory = ReadonlyMap<string, ReadonlyMap<ItemId, Item>>;

const shardOf = (id: ItemId): string => id.slice(0, 2);

export const emptyInventory: Inventory = new Map();

export const heldItem = (inventory: Inventory, id: ItemId): Item | undefined =>
  inventory.get(shardOf(id))?.get(id);

export function withItems(inventory: Inventory, items: readonly Item[]): Inventory {
  const next = new Map(inventory);
  const fresh = new Map<string, Map<ItemId, Item>>();
  for (const item of items) {
    const id = itemId(item);
    const shard = shardOf(id);
    const own = fresh.get(shard) ?? new Map(inventory.get(shard));
    const kept = own.get(id);
    if (kept === undefined || isAtLeast(item, kept)) own.set(id, item);
    fresh.set(shard, own);
  }
  for (const [shard, own] of fresh) next.set(shard, own);
  return next;
}

export function withoutItem(inventory: Inventory, id: ItemId): Inventory {
  if (heldItem(inventory, id) === undefined) return inventory;
  const own = new Map(inventory.get(shardOf(id)));
  own.delete(id);
  return new Map(inventory).set(shardOf(id), own);
}

/**
 * Scans in the order of names.
 * @param after the last id scanned, '' to begin.
 * @returns of at most `scanned` items those that `fits` accepted (at most `most`), and the cursor
 * for the next call, `null` at the end.
 */
export function scanInventory(
  inventory: Inventory,
  after: ItemId,
  scanned: number,
  most: number,
  fits: (item: Item) => boolean,
): { readonly items: readonly Item[]; readonly next: ItemId | null } {
  const items: Item[] = [];
  let looked = 0;
  for (const shard of [...inventory.keys()].filter((each) => each >= shardOf(after)).sort()) {
    for (const [id, item] of [...(inventory.get(shard) ?? [])].sort(([a], [b]) =>
      a < b ? -1 : 1,
    )) {
      if (id <= after) continue;
      if (fits(item)) items.push(item);
      looked += 1;
      if (looked === scanned || items.length === most) return { items, next: id };
    }
  }
  return { items, next: null };
}
