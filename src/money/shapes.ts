/** CBOR shapes of money's values, for the envelopes of the protocols above. */
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  u64,
  union,
} from '#core/codec/shape.ts';
import { SIGNATURE_BYTES } from './certificate.ts';
import { maxSealedSiblings } from './sealed.ts';
import { maxInputs, maxOutputs, maxTransactionBytes } from './transaction.ts';

export const transactionBytesShape = bytesUpTo(maxTransactionBytes);

const position = intBetween(0, 2 ** 32 - 1);

export const sealedPathShape = record({
  kind: oneOf('bound', 'decided'),
  body: bytesOf(32),
  index: position,
  count: position,
  siblings: listOf(bytesOf(32), maxSealedSiblings),
});

export const certificateShape = record({
  epoch: u64,
  ballot: intBetween(0, Number.MAX_SAFE_INTEGER),
  signature: bytesOf(SIGNATURE_BYTES),
  sealed: nullable(sealedPathShape),
});

export const certificatesShape = listOf(certificateShape, maxInputs, 1);

export const entryFields = {
  transaction: transactionBytesShape,
  certificates: certificatesShape,
  index: intBetween(0, maxOutputs - 1),
} as const;

export const sourceShape = union({ genesis: record({}), committed: record(entryFields) });

export const sourcesShape = listOf(sourceShape, maxInputs);
