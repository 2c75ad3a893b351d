/** Encoding of messages and facts, with limits. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bool,
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  refined,
  textUpTo,
  u64,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import { MAX_CHUNK_BYTES } from '#data/chunk.ts';
import { maxChallenges } from './drop-surplus.ts';
import { sizeFits, type Item, type ItemId } from './items.ts';
import { maxListedItems } from './find-missing.ts';
import type { ReplicationMessage } from './messages.ts';
import type { ReplicationFact } from './state.ts';

/** A full listing: 128 items of at most 121 B with their field names. */
export const maxReplicationMessageBytes = 16 * 1024;

const name = bytesOf(32);
const stateRef = record({ keyHash: bytesOf(32), generation: u64 });

const plainItem = record({
  kind: oneOf('chunk', 'pointer'),
  name,
  size: intBetween(0, MAX_CHUNK_BYTES),
  version: u64,
  digest: bytesUpTo(32),
});

const item: Shape<Item> = refined('item', plainItem, (shaped) => {
  if (!sizeFits(shaped)) return undefined;
  const { kind, version, digest } = shaped;
  if (kind === 'chunk') return version === 0n && digest.length === 0 ? shaped : undefined;
  return digest.length === 32 ? shaped : undefined;
});

const cursor: Shape<ItemId> = refined('cursor', textUpTo(65), (value) =>
  /^([0-9a-f]{64}[cp])?$/.test(value) ? value : undefined,
);

export const replicationMessageShape = union({
  list: record({ stateRef, after: cursor }),
  listing: record({
    stateRef,
    after: cursor,
    items: listOf(item, maxListedItems),
    next: nullable(cursor),
  }),
  confirm: record({
    stateRef,
    offered: bool,
    challenges: listOf(record({ item, nonce: bytesOf(32) }), maxChallenges, 1),
  }),
  confirmed: record({
    stateRef,
    item,
    nonce: bytesOf(32),
    proof: bytesOf(32),
    signature: bytesOf(64),
  }),
  missing: record({ stateRef, item, nonce: bytesOf(32), holder: bool }),
  diskFull: record({ counter: u64, full: bool }),
  repair: record({ stateRef, items: listOf(item, maxChallenges, 1) }),
});

export const replicationFactShape = union({
  adopted: record({ self: name, generation: u64 }),
  reported: record({ counter: u64, full: bool }),
});

export const encodeReplicationMessage = (message: ReplicationMessage): Uint8Array =>
  encodeCbor(message);
export const encodeReplicationFact = (fact: ReplicationFact): Uint8Array => encodeCbor(fact);

export const decodeReplicationMessage = (
  bytes: Uint8Array,
): Result<ReplicationMessage, 'malformed'> => open(bytes, replicationMessageShape);

export const decodeReplicationFact = (bytes: Uint8Array): Result<ReplicationFact, 'malformed'> =>
  open(bytes, replicationFactShape);

function open<T>(bytes: Uint8Array, shape: Shape<T>): Result<T, 'malformed'> {
  if (bytes.length > maxReplicationMessageBytes) return err('malformed');
  const decoded = decodeCbor(bytes);
  const shaped = decoded.ok ? shape(decoded.value) : undefined;
  return shaped === undefined ? err('malformed') : ok(shaped);
}
