/**
 * A certificate of an ended epoch counts only with a path to that epoch's sealed root (N34). Lists
 * and receipts come without: the elders of today prove what their section decided then.
 */
import { Reader, toHex } from '#core/codec/bytes.ts';
import { unsealedAt, type CommittedTransaction, type SectionKeys } from '#money/certificate.ts';
import { readSealedPath } from '#money/sealed.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import type { Rpc } from '../rpc.ts';

/**
 * The same with every path that is missing; what comes is checked by whoever verifies it.
 * Errors: throws what the call throws when no elder answers.
 */
export async function withPaths<T extends CommittedTransaction>(
  rpc: Pick<Rpc, 'call'>,
  sections: SectionKeys,
  committed: T,
): Promise<T> {
  const decoded = decodeTransaction(committed.transaction);
  if (!decoded.ok) return committed;
  const certificates = [...committed.certificates];
  for (const index of unsealedAt(sections, decoded.value, certificates)) {
    const input = decoded.value.inputs[index];
    const certificate = certificates[index];
    if (input === undefined || certificate === undefined) continue;
    const asked = {
      slot: toHex(slotName(input.keyImage)),
      epoch: String(certificate.epoch),
      txid: toHex(txidOf(decoded.value)),
    };
    const response = await rpc.call('prove', { body: JSON.stringify(asked) });
    const reader = new Reader(new Uint8Array(await response.arrayBuffer()));
    const sealed = readSealedPath(reader);
    if (sealed !== undefined && reader.finish()) certificates[index] = { ...certificate, sealed };
  }
  return { ...committed, certificates };
}
