/** Bytes ⇄ messages and facts of one generation: strict CBOR, every list and field bounded. */
import { decodeCbor, encodeCbor, ownItems } from '#core/codec/cbor.ts';
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
import { err, ok, type Result } from '#core/result.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { maxAsked } from './admit.ts';
import type { AgreementMessage, Decision, SignedReport, SignedVote } from './messages.ts';
import type { AgreementFact } from './state.ts';
import { maxProposalBytes, maxProposals } from './statements.ts';

/** Sixteen proposals of 16 KiB and five signatures, or seven reports with their locks. */
export const maxAgreementMessageBytes = 320 * 1024;
/** A message of that size, and the lock beside it. */
const maxFactBytes = 3 * maxAgreementMessageBytes;

const hash = bytesOf(32);
const signature = bytesOf(64);
const voter = intBetween(0, ELDER_COUNT - 1);
/** Rounds double their waits: nobody lives to see the last one. The next one still fits 32 bits. */
export const maxRound = 2 ** 31;
const round = intBetween(0, maxRound);
const value = listOf(hash, maxProposals, 1);
const proposal = bytesUpTo(maxProposalBytes, 1);
const proposals = listOf(proposal, maxProposals);

const certificate = record({
  round,
  value,
  votes: listOf(record({ voter, reports: hash, signature }), ELDER_COUNT, 1),
});

const report: Shape<SignedReport> = record({
  voter,
  round,
  highest: nullable(certificate),
  proposals: value,
  signature,
});

const vote: Shape<SignedVote> = record({
  voter,
  round,
  value,
  reports: listOf(report, ELDER_COUNT),
  signature,
});

const decision: Shape<Decision> = record({
  proposals: listOf(proposal, maxProposals, 1),
  certificate: record({
    round,
    strongs: listOf(record({ voter, signature }), ELDER_COUNT, 1),
  }),
});

const generation = u64;

/** Also the shape of a message inside another protocol's envelope. */
export const agreementMessageShape: Shape<AgreementMessage> = union({
  vote: record({ generation, vote, proposals }),
  strong: record({ generation, strong: record({ voter, certificate, signature }) }),
  reports: record({ generation, reports: listOf(report, ELDER_COUNT, 1) }),
  ask: record({ generation, hashes: listOf(hash, maxAsked, 1) }),
  proposals: record({ generation, proposals: listOf(proposal, maxProposals, 1) }),
  decision: record({ generation, decision }),
});

export const agreementFactShape: Shape<AgreementFact> = union({
  said: record({
    round,
    message: agreementMessageShape,
    highest: nullable(certificate),
    proposals: listOf(proposal, maxAsked),
  }),
  decided: record({ decision }),
});

export const encodeAgreementMessage = (message: AgreementMessage): Uint8Array =>
  encodeCbor(message);
export const encodeAgreementFact = (fact: AgreementFact): Uint8Array => encodeCbor(fact);

export const decodeAgreementMessage = (bytes: Uint8Array): Result<AgreementMessage, 'malformed'> =>
  open(bytes, agreementMessageShape, maxAgreementMessageBytes);

export const decodeAgreementFact = (bytes: Uint8Array): Result<AgreementFact, 'malformed'> =>
  open(bytes, agreementFactShape, maxFactBytes, ownItems);

function open<T>(
  bytes: Uint8Array,
  shape: Shape<T>,
  max: number,
  maxItems?: number,
): Result<T, 'malformed'> {
  if (bytes.length > max) return err('malformed');
  const decoded = decodeCbor(bytes, maxItems);
  if (!decoded.ok) return decoded;
  const shaped = shape(decoded.value);
  return shaped === undefined ? err('malformed') : ok(shaped);
}
