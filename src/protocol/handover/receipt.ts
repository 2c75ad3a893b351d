/** N27: a new elder's word that nothing of the old epoch can be lost with the old elders. */
import { Writer } from '#core/codec/bytes.ts';
import { successorHash, type SuccessorRecord } from '#protocol/section/index.ts';

/** What a receipt signs: network ‖ hash of the record, which names parent, root and child ‖ child. */
export const receiptBytes = (record: SuccessorRecord, child: number): Uint8Array =>
  new Writer()
    .label('safe/v1/handover/receipt')
    .fixed(record.networkId, 32)
    .fixed(successorHash(record), 32)
    .u8(child)
    .finish();
