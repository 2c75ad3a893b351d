/** N27: the receipt by which a new elder confirms that it holds everything of the old epoch. */
import { Writer } from '#core/codec/bytes.ts';
import { successorHash, type SuccessorRecord } from '#protocol/section/index.ts';

/** The signed bytes: network ‖ hash of the record, which names parent, root and children ‖ child. */
export const inheritanceReceiptBytes = (record: SuccessorRecord, child: number): Uint8Array =>
  new Writer()
    .label('safe/v1/handover/receipt')
    .fixed(record.networkId, 32)
    .fixed(successorHash(record), 32)
    .u8(child)
    .finish();
