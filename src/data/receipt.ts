/**
 * Storage receipt: an adult's signature that something is on its disk. The light client counts
 * receipts of different holders; an elder cannot make them up.
 *
 * signed = LP('safe/v1/receipt') ‖ networkId 32 ‖ u8 what ‖ name 32 ‖ version u64 ‖ digest 32
 *
 * N41: where put and get name the section state, the receipt does too; then
 * signed = LP('safe/v1/stamped-receipt') ‖ key hash 32 ‖ generation u64 ‖ the bytes above
 */
import { concat, Writer } from '#core/codec/bytes.ts';
import { signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import { encodePointer, pointerAddress, type PointerRecord } from './pointer.ts';

/** What a receipt is for. */
export type StoredThing =
  | { readonly kind: 'chunk'; readonly name: Uint8Array }
  | {
      readonly kind: 'pointer';
      readonly address: Uint8Array;
      readonly version: bigint;
      /** SHA-256 of the encoded record, so that a receipt names one body of a version. */
      readonly digest: Uint8Array;
    };

export const storedChunk = (name: Uint8Array): StoredThing => ({ kind: 'chunk', name });

export const storedPointer = (networkId: Uint8Array, record: PointerRecord): StoredThing => ({
  kind: 'pointer',
  address: pointerAddress(networkId, record.owner),
  version: record.version,
  digest: sha256(encodePointer(record)),
});

/** The bytes a holder signs. A chunk's name is its digest, and it has no version. */
export function receiptBytes(networkId: Uint8Array, thing: StoredThing): Uint8Array {
  const writer = new Writer().label('safe/v1/receipt').fixed(networkId, 32);
  if (thing.kind === 'chunk') {
    return writer.u8(1).fixed(thing.name, 32).u64(0n).fixed(thing.name, 32).finish();
  }
  return writer.u8(2).fixed(thing.address, 32).u64(thing.version).fixed(thing.digest, 32).finish();
}

/** Which state of which section a put was made for: hash of the section key, and generation. */
export interface ReceiptStamp {
  readonly keyHash: Uint8Array;
  readonly generation: bigint;
}

/** N41: a receipt given under another key or an older generation is none. */
export const stampedReceiptBytes = (
  networkId: Uint8Array,
  { keyHash, generation }: ReceiptStamp,
  thing: StoredThing,
): Uint8Array =>
  concat(
    new Writer().label('safe/v1/stamped-receipt').fixed(keyHash, 32).u64(generation).finish(),
    receiptBytes(networkId, thing),
  );

/** @returns the holder's 64-byte signature. */
export const signReceipt = (
  holderSeed: Uint8Array,
  networkId: Uint8Array,
  thing: StoredThing,
): Uint8Array => signEd25519(holderSeed, receiptBytes(networkId, thing));

/** @param holder the adult's name, which is its ed25519 key */
export const verifyReceipt = (
  holder: Uint8Array,
  networkId: Uint8Array,
  thing: StoredThing,
  signature: Uint8Array,
): boolean => verifyEd25519(holder, receiptBytes(networkId, thing), signature);

/**
 * The holders whose receipts are genuine, each counted once.
 * @param allowed the section's members: a key made for the occasion proves nothing.
 */
export function countReceipts(
  networkId: Uint8Array,
  thing: StoredThing,
  receipts: readonly { readonly holder: Uint8Array; readonly signature: Uint8Array }[],
  allowed: (holder: Uint8Array) => boolean,
): readonly Uint8Array[] {
  const holders = new Map<string, Uint8Array>();
  for (const { holder, signature } of receipts) {
    const id = holder.join();
    if (holders.has(id) || !allowed(holder)) continue;
    if (verifyReceipt(holder, networkId, thing, signature)) holders.set(id, holder);
  }
  return [...holders.values()];
}
