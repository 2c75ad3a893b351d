/**
 * Storage receipt: an adult's signature that an item is on its disk, stored under one sealed state
 * of one section (N41). The light client counts receipts of different holders; an elder cannot
 * forge them.
 *
 * signed = LP('safe/v1/stamped-receipt') ‖ key hash 32 ‖ generation u64
 *        ‖ LP('safe/v1/receipt') ‖ networkId 32 ‖ u8 kind ‖ name 32 ‖ version u64 ‖ digest 32
 */
import { concat, equalBytes, Writer } from '#core/codec/bytes.ts';
import { pointerAddress, pointerDigest, type PointerRecord } from './pointer-record.ts';

/** The item a receipt covers. */
export type StoredItem =
  | { readonly kind: 'chunk'; readonly name: Uint8Array }
  | {
      readonly kind: 'pointer';
      readonly address: Uint8Array;
      readonly version: bigint;
      /** Of the body, so that a receipt covers one body of a version, whatever its signature. */
      readonly digest: Uint8Array;
    };

export const storedChunk = (name: Uint8Array): StoredItem => ({ kind: 'chunk', name });

export const storedPointer = (networkId: Uint8Array, record: PointerRecord): StoredItem => ({
  kind: 'pointer',
  address: pointerAddress(networkId, record.owner),
  version: record.version,
  digest: pointerDigest(record),
});

/** The sealed state of a section under which a message or receipt was made (N41). */
export interface StateRef {
  /** 32 bytes: labelled hash of the section key. */
  readonly keyHash: Uint8Array;
  readonly generation: bigint;
}

/** A state reference compared with our own. States of two keys are not ordered. */
export type StateRefStatus = 'same' | 'newer' | 'outdated' | 'otherKey';

export function checkStateRef(own: StateRef, theirs: StateRef): StateRefStatus {
  if (!equalBytes(own.keyHash, theirs.keyHash)) return 'otherKey';
  if (own.generation === theirs.generation) return 'same';
  return theirs.generation > own.generation ? 'newer' : 'outdated';
}

/** The bytes a holder signs; under another key or an older generation it is not a valid receipt. */
export const receiptBytes = (
  networkId: Uint8Array,
  { keyHash, generation }: StateRef,
  item: StoredItem,
): Uint8Array =>
  concat(
    new Writer().label('safe/v1/stamped-receipt').fixed(keyHash, 32).u64(generation).finish(),
    itemBytes(networkId, item),
  );

/** A chunk's name is its digest, and it has no version. */
function itemBytes(networkId: Uint8Array, item: StoredItem): Uint8Array {
  const writer = new Writer().label('safe/v1/receipt').fixed(networkId, 32);
  if (item.kind === 'chunk') {
    return writer.u8(1).fixed(item.name, 32).u64(0n).fixed(item.name, 32).finish();
  }
  return writer.u8(2).fixed(item.address, 32).u64(item.version).fixed(item.digest, 32).finish();
}
