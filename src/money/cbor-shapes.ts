/** CBOR shapes of money's values, for the protocols' envelopes. */
import {
  bytesOf,
  bytesUpTo,
  either,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  refined,
  u64,
  union,
} from '#core/codec/shape.ts';
import { SIGNATURE_BYTES } from './spend-certificate.ts';
import { maxProofSiblings } from './inclusion-proof.ts';
import { maxInputs, maxOutputs, maxTransactionBytes } from './transaction.ts';

export const transactionBytesShape = bytesUpTo(maxTransactionBytes);

const position = intBetween(0, 2 ** 32 - 1);

export const inclusionProofShape = record({
  kind: oneOf('bound', 'decided'),
  body: bytesOf(32),
  index: position,
  count: position,
  siblings: listOf(bytesOf(32), maxProofSiblings),
});

const certificateFields = {
  epoch: u64,
  ballot: intBetween(0, Number.MAX_SAFE_INTEGER),
  signature: bytesOf(SIGNATURE_BYTES),
} as const;
const inclusion = nullable(inclusionProofShape);

export const spendCertificateShape = record({ ...certificateFields, inclusion });

export const spendCertificatesShape = listOf(spendCertificateShape, maxInputs, 1);

const entryFields = {
  transaction: transactionBytesShape,
  index: intBetween(0, maxOutputs - 1),
} as const;

export const registryEntryFields = {
  ...entryFields,
  certificates: spendCertificatesShape,
} as const;

export const inputSourceShape = union({
  genesis: record({}),
  committed: record(registryEntryFields),
});

export const inputSourcesShape = listOf(inputSourceShape, maxInputs);

/** Stored certificates: wire version 1 named the inclusion proof `sealed`. */
export const storedCertificateShape = either(
  spendCertificateShape,
  refined(
    'certificate of wire version 1',
    record({ ...certificateFields, sealed: inclusion }),
    ({ sealed, ...rest }) => ({ ...rest, inclusion: sealed }),
  ),
);

export const storedCertificatesShape = listOf(storedCertificateShape, maxInputs, 1);

export const storedSourceShape = union({
  genesis: record({}),
  committed: record({ ...entryFields, certificates: storedCertificatesShape }),
});
