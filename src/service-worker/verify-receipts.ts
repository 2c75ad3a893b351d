/** When a chunk or a pointer record counts as stored: by verified receipts of enough adults (N41). */
import { nameToId } from '#address/xor-name.ts';
import { receiptBytes, type StateRef, type StoredItem } from '#data/storage-receipt.ts';
import { receiptsRequired } from '#roles/light-client/required-counts.ts';
import { receiptSignersFor } from '#roles/light-client/receipt-signers.ts';
import { verifyEd25519Fast } from '#runtime/jobs/ciphers.ts';
import type { Elder, LightNode } from './light-node/light-node.ts';

export const catchUpTimeoutMs = 6_000;

interface StoredReply {
  readonly stateRef: StateRef;
  readonly receipts: readonly { readonly holder: Uint8Array; readonly signature: Uint8Array }[];
}

/**
 * Receipts under a newer state than ours count once the elder has proved that state; unproven ones are
 * skipped.
 * @param requestState the state reference that the request to the elder carried
 * @returns the number of adults with a genuine receipt for exactly this item; `null` when they are too few
 * for it to count as stored
 */
export async function verifyReceipts(
  node: Pick<LightNode, 'section' | 'catchUp'>,
  name: Uint8Array,
  elder: Elder,
  requestState: StateRef,
  item: StoredItem,
  { stateRef, receipts }: StoredReply,
): Promise<number | null> {
  let { authority, networkId } = await node.section(name);
  let under = receiptSignersFor(authority, requestState, stateRef);
  if (under.kind !== 'known') {
    // A newer state than ours, or a key of which we know only the link and no members yet.
    await node.catchUp(elder, name, catchUpTimeoutMs);
    ({ authority, networkId } = await node.section(name));
    under = receiptSignersFor(authority, requestState, stateRef);
  }
  if (under.kind !== 'known') return null;
  const { signers } = under;
  const message = receiptBytes(networkId, stateRef, item);
  const checked = await Promise.all(
    receipts.map(async ({ holder, signature }) => {
      const id = nameToId(holder);
      if (!signers.has(id)) return null;
      return (await verifyEd25519Fast(holder, message, signature)) ? id : null;
    }),
  );
  const holders = new Set(checked.filter((id) => id !== null));
  return holders.size >= receiptsRequired ? holders.size : null;
}
