/** Storage receipts for tests: signed as by an adult, and counted as by a light client (N41). */
import { signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { receiptBytes, type StateRef, type StoredItem } from '#data/storage-receipt.ts';

/** @returns the holder's 64-byte signature. */
export const signReceipt = (
  holderSeed: Uint8Array,
  networkId: Uint8Array,
  stateRef: StateRef,
  thing: StoredItem,
): Uint8Array => signEd25519(holderSeed, receiptBytes(networkId, stateRef, thing));

/** @param holder the adult's name, which is its ed25519 key */
export const verifyReceipt = (
  holder: Uint8Array,
  networkId: Uint8Array,
  stateRef: StateRef,
  thing: StoredItem,
  signature: Uint8Array,
): boolean => verifyEd25519(holder, receiptBytes(networkId, stateRef, thing), signature);

/**
 * The holders whose receipts are valid, each counted once.
 * @param allowed the section's members: a receipt under any other key proves nothing.
 */
export function countReceipts(
  networkId: Uint8Array,
  stateRef: StateRef,
  thing: StoredItem,
  receipts: readonly { readonly holder: Uint8Array; readonly signature: Uint8Array }[],
  allowed: (holder: Uint8Array) => boolean,
): readonly Uint8Array[] {
  const holders = new Map<string, Uint8Array>();
  for (const { holder, signature } of receipts) {
    const id = holder.join();
    if (holders.has(id) || !allowed(holder)) continue;
    if (verifyReceipt(holder, networkId, stateRef, thing, signature)) holders.set(id, holder);
  }
  return [...holders.values()];
}
