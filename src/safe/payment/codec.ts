/** Encodes and decodes bundles, facts and messages of a payment, for the wire and the disk. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  record,
  u64,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import { toHex } from '#core/codec/bytes.ts';
import { assert } from '#core/assert.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  storedCertificateShape,
  storedCertificatesShape,
  storedSourceShape,
  transactionBytesShape,
} from '#money/cbor-shapes.ts';
import { decodeTransaction, maxInputs } from '#money/transaction.ts';
import { decodeMintAnswer, encodeMintRequest } from '#protocol/mint/index.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { decodeSpentbookAnswer, encodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import type { PaymentMessage } from './messages.ts';
import type { PaymentBundle, PaymentFact } from './state.ts';

/** Eight sources with the longest inclusion proofs, and the transaction. */
export const maxBundleBytes = 128 * 1024;

/** A certificate, or a replacement with its transaction. */
export const maxFactBytes = 16 * 1024;
/** One per kind and input is stored; surplus facts of an earlier program are still read. */
const maxStoredFacts = 4096;

const bundleShape = record({
  transaction: transactionBytesShape,
  sources: listOf(storedSourceShape, maxInputs),
  prepared: nullable(storedCertificatesShape),
  certificates: nullable(storedCertificatesShape),
});

const indexedCertificate = {
  index: intBetween(0, maxInputs - 1),
  certificate: storedCertificateShape,
} as const;

const factShape = union({
  prepared: record(indexedCertificate),
  committed: record(indexedCertificate),
  registered: record({}),
  replaced: record({
    by: record({
      txid: bytesOf(32),
      transaction: transactionBytesShape,
      keyImage: bytesOf(32),
      certificate: storedCertificateShape,
    }),
  }),
  adopted: record({
    adoption: record({
      txid: bytesOf(32),
      transaction: transactionBytesShape,
      votes: listOf(
        record({
          index: intBetween(0, maxInputs - 1),
          epoch: u64,
          elders: listOf(bytesOf(32), ELDER_COUNT),
        }),
        maxInputs,
      ),
    }),
  }),
});

export const encodeBundle = (bundle: PaymentBundle): Uint8Array =>
  encodeWithin(bundleShape, maxBundleBytes, bundle);

/** @returns a bundle whose transaction decodes; the elders check its validity. */
export function decodeBundle(bytes: Uint8Array): Result<PaymentBundle, 'malformed'> {
  if (bytes.length > maxBundleBytes) return err('malformed');
  const decoded = decodeCbor(bytes);
  const bundle = decoded.ok ? bundleShape(decoded.value) : undefined;
  if (bundle === undefined || !decodeTransaction(bundle.transaction).ok) return err('malformed');
  return ok(bundle);
}

export const encodePaymentFact = (fact: PaymentFact): Uint8Array =>
  encodeWithin(factShape, maxFactBytes, fact);

export function decodePaymentFact(bytes: Uint8Array): Result<PaymentFact, 'malformed'> {
  if (bytes.length > maxFactBytes) return err('malformed');
  const decoded = decodeCbor(bytes);
  const fact = decoded.ok ? factShape(decoded.value) : undefined;
  return fact === undefined ? err('malformed') : ok(fact);
}

/**
 * Adds a fact to the facts of a payment. A new certificate replaces the one it follows, so a payment that
 * outlives many epochs keeps only a few.
 */
export function withPaymentFact(
  facts: readonly PaymentFact[],
  fact: PaymentFact,
): readonly PaymentFact[] {
  const key = factKeyOf(fact);
  return [...facts.filter((each) => factKeyOf(each) !== key), fact];
}

function factKeyOf(fact: PaymentFact): string {
  switch (fact.kind) {
    case 'prepared':
    case 'committed':
      return `${fact.kind} ${fact.index}`;
    case 'adopted':
      return `${fact.kind} ${toHex(fact.adoption.txid)}`;
    default:
      return fact.kind;
  }
}

/** The stored facts of one payment, written by the worker and read by the vault. */
export const encodePaymentFacts = (facts: readonly PaymentFact[]): Uint8Array => {
  assert(facts.length <= maxStoredFacts, 'facts within limits');
  return encodeCbor(facts.map(encodePaymentFact));
};

/** @returns every readable fact: missing ones are requested from the elders again. */
export function decodePaymentFacts(bytes: Uint8Array): readonly PaymentFact[] {
  const decoded = decodeCbor(bytes);
  const list = decoded.ok ? (storedFactsShape(decoded.value) ?? []) : [];
  return list.reduce<readonly PaymentFact[]>((facts, each) => {
    const fact = decodePaymentFact(each);
    return fact.ok ? withPaymentFact(facts, fact.value) : facts;
  }, []);
}

const storedFactsShape = listOf(bytesUpTo(maxBundleBytes), maxStoredFacts);

/** Writers keep the readers' bounds, so that everything written can be read. */
function encodeWithin(shape: Shape<unknown>, maxBytes: number, value: unknown): Uint8Array {
  const bytes = encodeCbor(value);
  assert(shape(value) !== undefined && bytes.length <= maxBytes, 'what is written can be read');
  return bytes;
}

/** A request of the client protocol (`slot` or `output`), ready for its envelope. */
export type PaymentRequest =
  | { readonly kind: 'slot'; readonly slot: Uint8Array; readonly message: Uint8Array }
  | { readonly kind: 'output'; readonly key: Uint8Array; readonly message: Uint8Array };

/** @returns undefined for answers, which a client never sends. */
export function encodePaymentRequest(message: PaymentMessage): PaymentRequest | undefined {
  if (message.kind === 'slot') {
    return { kind: 'slot', slot: message.slot, message: encodeSpentbookRequest(message.message) };
  }
  if (message.kind === 'output') {
    return { kind: 'output', key: message.key, message: encodeMintRequest(message.message) };
  }
  return undefined;
}

/** Decodes the answer to a request of this kind into a message for the payment machine. */
export function decodePaymentAnswer(
  asked: PaymentRequest['kind'],
  bytes: Uint8Array,
): Result<PaymentMessage, 'malformed'> {
  if (asked === 'slot') {
    const answer = decodeSpentbookAnswer(bytes);
    return answer.ok ? ok({ kind: 'slotAnswer', answer: answer.value }) : answer;
  }
  const answer = decodeMintAnswer(bytes);
  return answer.ok ? ok({ kind: 'outputAnswer', answer: answer.value }) : answer;
}
