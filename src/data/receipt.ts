/**
 * Storage receipt: an adult's signature that something is on its disk, put there under one sealed
 * state of one section (N41). The light client counts receipts of different holders; an elder
 * cannot make them up.
 *
 * signed = LP('safe/v1/stamped-receipt') ‖ key hash 32 ‖ generation u64
 *        ‖ LP('safe/v1/receipt') ‖ networkId 32 ‖ u8 what ‖ name 32 ‖ version u64 ‖ digest 32
 */
import { concat, equalBytes, Writer } from '#core/codec/bytes.ts';
import { signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { pointerAddress, pointerDigest, type PointerRecord } from './pointer.ts';

/** What a receipt is for. */
export type StoredThing =
  | { readonly kind: 'chunk'; readonly name: Uint8Array }
  | {
      readonly kind: 'pointer';
      readonly address: Uint8Array;
      readonly version: bigint;
      /** Of the body, so that a receipt names one body of a version, whatever its signature. */
      readonly digest: Uint8Array;
    };

export const storedChunk = (name: Uint8Array): StoredThing => ({ kind: 'chunk', name });

export const storedPointer = (networkId: Uint8Array, record: PointerRecord): StoredThing => ({
  kind: 'pointer',
  address: pointerAddress(networkId, record.owner),
  version: record.version,
  digest: pointerDigest(record),
});

/** Which state of which section a put was made for: hash of the section key, and generation. */
export interface ReceiptStamp {
  readonly keyHash: Uint8Array;
  readonly generation: bigint;
}

/** How the stamp of a message stands to our own state. Two keys cannot be put in order by it. */
export type StampVerdict = 'same' | 'newer' | 'outdated' | 'otherKey';

export function judgeStamp(own: ReceiptStamp, theirs: ReceiptStamp): StampVerdict {
  if (!equalBytes(own.keyHash, theirs.keyHash)) return 'otherKey';
  if (own.generation === theirs.generation) return 'same';
  return theirs.generation > own.generation ? 'newer' : 'outdated';
}

/** The bytes a holder signs: given under another key or an older generation, it is no receipt. */
export const receiptBytes = (
  networkId: Uint8Array,
  { keyHash, generation }: ReceiptStamp,
  thing: StoredThing,
): Uint8Array =>
  concat(
    new Writer().label('safe/v1/stamped-receipt').fixed(keyHash, 32).u64(generation).finish(),
    thingBytes(networkId, thing),
  );

/** @returns the holder's 64-byte signature. */
export const signReceipt = (
  holderSeed: Uint8Array,
  networkId: Uint8Array,
  stamp: ReceiptStamp,
  thing: StoredThing,
): Uint8Array => signEd25519(holderSeed, receiptBytes(networkId, stamp, thing));

/** @param holder the adult's name, which is its ed25519 key */
export const verifyReceipt = (
  holder: Uint8Array,
  networkId: Uint8Array,
  stamp: ReceiptStamp,
  thing: StoredThing,
  signature: Uint8Array,
): boolean => verifyEd25519(holder, receiptBytes(networkId, stamp, thing), signature);

/**
 * The holders whose receipts are genuine, each counted once.
 * @param allowed the section's members: a key made for the occasion proves nothing.
 */
export function countReceipts(
  networkId: Uint8Array,
  stamp: ReceiptStamp,
  thing: StoredThing,
  receipts: readonly { readonly holder: Uint8Array; readonly signature: Uint8Array }[],
  allowed: (holder: Uint8Array) => boolean,
): readonly Uint8Array[] {
  const holders = new Map<string, Uint8Array>();
  for (const { holder, signature } of receipts) {
    const id = holder.join();
    if (holders.has(id) || !allowed(holder)) continue;
    if (verifyReceipt(holder, networkId, stamp, thing, signature)) holders.set(id, holder);
  }
  return [...holders.values()];
}

/** A chunk's name is its digest, and it has no version. */
function thingBytes(networkId: Uint8Array, thing: StoredThing): Uint8Array {
  const writer = new Writer().label('safe/v1/receipt').fixed(networkId, 32);
  if (thing.kind === 'chunk') {
    return writer.u8(1).fixed(thing.name, 32).u64(0n).fixed(thing.name, 32).finish();
  }
  return writer.u8(2).fixed(thing.address, 32).u64(thing.version).fixed(thing.digest, 32).finish();
}
