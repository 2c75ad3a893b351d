/** CBOR shapes of money's values, for the envelopes of the protocols above. */
import { bytesOf, bytesUpTo, intBetween, listOf, record, union } from '#core/codec/shape.ts';
import { SIGNATURE_BYTES } from './certificate.ts';
import { maxInputs, maxOutputs, maxTransactionBytes } from './transaction.ts';

export const transactionBytesShape = bytesUpTo(maxTransactionBytes);

export const certificateShape = record({
  ballot: intBetween(0, Number.MAX_SAFE_INTEGER),
  signature: bytesOf(SIGNATURE_BYTES),
});

export const certificatesShape = listOf(certificateShape, maxInputs, 1);

export const entryFields = {
  transaction: transactionBytesShape,
  certificates: certificatesShape,
  index: intBetween(0, maxOutputs - 1),
} as const;

export const sourceShape = union({ genesis: record({}), committed: record(entryFields) });

export const sourcesShape = listOf(sourceShape, maxInputs, 1);
