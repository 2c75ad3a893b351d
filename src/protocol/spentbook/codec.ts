/** Bytes ⇄ messages and facts of one slot, with limits. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  intBetween,
  listOf,
  nullable,
  record,
  textUpTo,
  u64,
  union,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import { SIGNATURE_BYTES } from '#money/spend-certificate.ts';
import {
  spendCertificateShape,
  spendCertificatesShape,
  inclusionProofShape,
  inputSourcesShape,
  transactionBytesShape,
} from '#money/cbor-shapes.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import type { SpentbookFact } from './state.ts';

/** 8 sources with 8 certificates each: < 48 kB, and four times that with the longest proofs. */
export const maxSpentbookMessageBytes = 128 * 1024;
export const REQUEST_BYTES = 16;

const request = bytesOf(REQUEST_BYTES);
const share = bytesOf(SIGNATURE_BYTES);
const name = bytesOf(32);
const ballot = intBetween(0, Number.MAX_SAFE_INTEGER);
const transaction = transactionBytesShape;

const signature = bytesOf(64);

const report = record({
  elder: name,
  ballot,
  highest: nullable(record({ ballot, txid: name })),
  signature,
});

const recovery = record({
  reports: listOf(report, SHARES_REQUIRED, SHARES_REQUIRED),
  top: nullable(spendCertificateShape),
});

export const spentbookRequestShape = union({
  prepare: record({
    request,
    section: name,
    slot: name,
    ballot,
    transaction,
    sources: inputSourcesShape,
    recovery: nullable(recovery),
  }),
  recover: record({
    request,
    section: name,
    slot: name,
    ballot: intBetween(1, Number.MAX_SAFE_INTEGER),
    transaction,
    sources: inputSourcesShape,
    signature,
  }),
  commit: record({
    request,
    section: name,
    slot: name,
    transaction,
    prepared: spendCertificatesShape,
  }),
  prove: record({ request, slot: name, epoch: u64 }),
});

const vote = record({ elder: name, ballot, txid: name, signature });

const keyHint = { request, key: bytesOf(96), epoch: u64 } as const;

export const spentbookAnswerShape = union({
  prepared: record({ request, ballot, share }),
  committed: record({ request, ballot, share }),
  report: record({
    request,
    report,
    bundle: nullable(record({ transaction, prepared: spendCertificatesShape })),
    vote: nullable(record({ signed: vote, transaction })),
  }),
  promised: record({ request, ballot }),
  spent: record({ request, transaction, certificate: spendCertificateShape }),
  conflict: record({ request, vote, transaction }),
  bound: record({ request, epoch: u64, inclusion: inclusionProofShape, transaction }),
  sealed: record(keyHint),
  wrongKey: record(keyHint),
  unproven: record({ request, slot: name, epoch: u64 }),
  proof: record({ request, txid: name, inclusion: nullable(inclusionProofShape) }),
  malformed: record({ request, what: textUpTo(120) }),
  notAllowed: record({ request, rule: textUpTo(120) }),
  busy: record({ request, afterMs: intBetween(0, 600_000) }),
});

const signedSpend = { slot: name, ballot, txid: name, transaction, share } as const;

export const spentbookFactShape = union({
  row: record({
    row: record({
      promised: ballot,
      vote: nullable(record(signedSpend)),
      bundle: nullable(record({ ...signedSpend, prepared: spendCertificatesShape })),
      decision: nullable(
        record({ slot: name, txid: name, transaction, certificate: spendCertificateShape }),
      ),
    }),
  }),
});

export const encodeSpentbookRequest = (message: SpentbookRequest): Uint8Array =>
  encodeCbor(message);
export const encodeSpentbookAnswer = (message: SpentbookAnswer): Uint8Array => encodeCbor(message);
export const encodeSpentbookFact = (fact: SpentbookFact): Uint8Array => encodeCbor(fact);

/** The key of this slot's machine instance. */
export const spentbookKey = (slot: Uint8Array): string => toHex(slot);

/**
 * @param slot the envelope's slot. A message for another slot must not reach this slot's machine,
 * or one elder would keep two records of one coin.
 */
export function decodeSpentbookRequest(
  slot: Uint8Array,
  bytes: Uint8Array,
): Result<SpentbookRequest, 'malformed'> {
  const message = open(bytes, spentbookRequestShape);
  return message !== undefined && equalBytes(message.slot, slot) ? ok(message) : err('malformed');
}

export function decodeSpentbookAnswer(bytes: Uint8Array): Result<SpentbookAnswer, 'malformed'> {
  const message = open(bytes, spentbookAnswerShape);
  return message === undefined ? err('malformed') : ok(message);
}

export function decodeSpentbookFact(bytes: Uint8Array): Result<SpentbookFact, 'malformed'> {
  const fact = open(bytes, spentbookFactShape);
  return fact === undefined ? err('malformed') : ok(fact);
}

function open<T>(bytes: Uint8Array, shape: (value: unknown) => T | undefined): T | undefined {
  if (bytes.length > maxSpentbookMessageBytes) return undefined;
  const decoded = decodeCbor(bytes);
  return decoded.ok ? shape(decoded.value) : undefined;
}
