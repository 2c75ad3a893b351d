/**
 * Fetches missing inclusion proofs: a certificate of an ended epoch is valid only with one for that epoch's
 * sealed root (N34). Lists and receipts lack them; current elders supply them.
 */
import { Reader } from '#core/codec/bytes.ts';
import {
  missingInclusionProofs,
  type CommittedTransaction,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import { readInclusionProof } from '#money/inclusion-proof.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import type { WorkerRpc } from '../network/worker-rpc.ts';

/**
 * Adds every missing inclusion proof; the caller verifies them.
 * Errors: throws the call's error when no elder answers.
 */
export async function fetchInclusionProofs<T extends CommittedTransaction>(
  rpc: WorkerRpc,
  sections: SectionKeys,
  committed: T,
): Promise<T> {
  const decoded = decodeTransaction(committed.transaction);
  if (!decoded.ok) return committed;
  const certificates = [...committed.certificates];
  for (const index of missingInclusionProofs(sections, decoded.value, certificates)) {
    const input = decoded.value.inputs[index];
    const certificate = certificates[index];
    if (input === undefined || certificate === undefined) continue;
    const slot = slotName(input.keyImage);
    const { epoch } = certificate;
    const reader = new Reader(await rpc('prove', { slot, epoch, txid: txidOf(decoded.value) }));
    const inclusion = readInclusionProof(reader);
    if (inclusion !== undefined && reader.finish())
      certificates[index] = { ...certificate, inclusion };
  }
  return { ...committed, certificates };
}
