/** Bytes ⇄ messages and facts of one output, with limits. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  literal,
  record,
  textUpTo,
  u64,
  union,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import { maxEntryBytes } from '#money/spend-certificate.ts';
import { registryEntryFields } from '#money/cbor-shapes.ts';
import type { MintAnswer, MintRequest } from './messages.ts';
import type { MintFact } from './state.ts';

/** One entry with the longest proofs, and its envelope. */
export const maxMintMessageBytes = 16 * 1024;

const request = bytesOf(16);
const key = bytesOf(32);

export const mintRequestShape = record({
  kind: literal('register'),
  request,
  section: key,
  key,
  ...registryEntryFields,
});

const keyHint = { request, key: bytesOf(96), epoch: u64 } as const;

export const mintAnswerShape = union({
  registered: record({ request, signature: bytesOf(64) }),
  duplicate: record({ request, entry: bytesUpTo(maxEntryBytes) }),
  invalid: record({ request, what: textUpTo(120) }),
  sealed: record(keyHint),
  wrongKey: record(keyHint),
  unproven: record({ request, slot: key, epoch: u64 }),
  busy: record({ request, afterMs: intBetween(0, 600_000) }),
});

export const mintFactShape = record({
  kind: literal('registered'),
  registration: record({ key, txid: bytesOf(32), ...registryEntryFields }),
});

export const encodeMintRequest = (message: MintRequest): Uint8Array => encodeCbor(message);
export const encodeMintAnswer = (message: MintAnswer): Uint8Array => encodeCbor(message);
export const encodeMintFact = (fact: MintFact): Uint8Array => encodeCbor(fact);

/** The key of this output's machine instance. */
export const mintKey = (oneTimeKey: Uint8Array): string => toHex(oneTimeKey);

/** @param oneTimeKey the envelope's key. */
export function decodeMintRequest(
  oneTimeKey: Uint8Array,
  bytes: Uint8Array,
): Result<MintRequest, 'malformed'> {
  const message = open(bytes, mintRequestShape);
  return message !== undefined && equalBytes(message.key, oneTimeKey)
    ? ok(message)
    : err('malformed');
}

export function decodeMintAnswer(bytes: Uint8Array): Result<MintAnswer, 'malformed'> {
  const message = open(bytes, mintAnswerShape);
  return message === undefined ? err('malformed') : ok(message);
}

export function decodeMintFact(bytes: Uint8Array): Result<MintFact, 'malformed'> {
  const fact = open(bytes, mintFactShape);
  return fact === undefined ? err('malformed') : ok(fact);
}

function open<T>(bytes: Uint8Array, shape: (value: unknown) => T | undefined): T | undefined {
  if (bytes.length > maxMintMessageBytes) return undefined;
  const decoded = decodeCbor(bytes);
  return decoded.ok ? shape(decoded.value) : undefined;
}
