/** Bytes ⇄ messages and facts of a handover, with limits. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bool,
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  record,
  refined,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import { maxProofSiblings } from '#money/inclusion-proof.ts';
import { maxSnapshotEntryBytes, maxSnapshotPageBytes } from '#money/snapshot.ts';
import {
  ELDER_COUNT,
  decodeSuccessor,
  encodeSuccessor,
  maxSuccessorBytes,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import type { HandoverMessage } from './messages.ts';
import type { HandoverFact } from './state.ts';

/** A full page and its envelope; a progress message is below 6 kB. */
export const maxHandoverMessageBytes = maxSnapshotPageBytes + 4 * 1024;
const maxEntriesPerPage = 4096;

const hash = bytesOf(32);
const elder = intBetween(1, ELDER_COUNT);
const root = record({ elder, root: hash, signature: bytesOf(64) });
const receipt = record({ child: intBetween(0, 1), elder, signature: bytesOf(64) });
const signed: Shape<SignedSuccessor> = refined(
  'successor',
  bytesUpTo(maxSuccessorBytes),
  (bytes) => {
    const decoded = decodeSuccessor(bytes);
    return decoded.ok ? decoded.value : undefined;
  },
);
const position = intBetween(0, 2 ** 32 - 1);

export const handoverMessageShape = union({
  progress: record({
    incomplete: bool,
    roots: listOf(root, ELDER_COUNT),
    share: nullable(record({ record: hash, signature: bytesOf(48) })),
    successor: nullable(signed),
    receipts: listOf(receipt, 2 * ELDER_COUNT),
  }),
  requestPage: record({ root: hash, start: position }),
  page: record({
    root: hash,
    start: position,
    count: position,
    siblings: listOf(hash, 2 * maxProofSiblings),
    entries: listOf(bytesUpTo(maxSnapshotEntryBytes), maxEntriesPerPage),
  }),
});

export const handoverFactShape = union({
  snapshotSigned: record({ snapshot: root }),
  recordChosen: record({ record: signed }),
  succeeded: record({ signed }),
  inherited: record({}),
  receipt: record({ receipt }),
  released: record({}),
});

export const encodeHandoverMessage = (message: HandoverMessage): Uint8Array =>
  encodeCbor(
    message.kind === 'progress' && message.successor !== null
      ? { ...message, successor: encodeSuccessor(message.successor) }
      : message,
  );

export function decodeHandoverMessage(bytes: Uint8Array): Result<HandoverMessage, 'malformed'> {
  if (bytes.length > maxHandoverMessageBytes) return err('malformed');
  const decoded = decodeCbor(bytes);
  const message = decoded.ok ? handoverMessageShape(decoded.value) : undefined;
  return message === undefined ? err('malformed') : ok(message);
}

export function encodeHandoverFact(fact: HandoverFact): Uint8Array {
  if (fact.kind === 'succeeded') {
    return encodeCbor({ kind: fact.kind, signed: encodeSuccessor(fact.signed) });
  }
  if (fact.kind !== 'recordChosen') return encodeCbor(fact);
  const unsigned = { record: fact.record, signature: new Uint8Array(48) };
  return encodeCbor({ kind: fact.kind, record: encodeSuccessor(unsigned) });
}

export function decodeHandoverFact(bytes: Uint8Array): Result<HandoverFact, 'malformed'> {
  if (bytes.length > maxHandoverMessageBytes) return err('malformed');
  const decoded = decodeCbor(bytes);
  const fact = decoded.ok ? handoverFactShape(decoded.value) : undefined;
  if (fact === undefined) return err('malformed');
  return ok(
    fact.kind === 'recordChosen' ? { kind: 'recordChosen', record: fact.record.record } : fact,
  );
}
