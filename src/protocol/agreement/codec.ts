/** Bytes ⇄ messages and facts of one generation: strict CBOR, every list and field bounded. */
import { decodeCbor, encodeCbor, unlimitedItems } from '#core/codec/cbor.ts';
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
import { maxRequestedProposals } from './receive-statement.ts';
import type { AgreementMessage, Decision, RoundChange, Prevote } from './messages.ts';
import type { AgreementFact } from './state.ts';
import { maxProposalBytes, maxProposals } from './statements.ts';

/** The larger of: 16 proposals of 16 KiB with five signatures; seven round changes with their locks. */
export const maxAgreementMessageBytes = 320 * 1024;
/** A message of that size, its lock, and the proposals it cites. */
const maxFactBytes = 3 * maxAgreementMessageBytes;

const hash = bytesOf(32);
const signature = bytesOf(64);
const voter = intBetween(0, ELDER_COUNT - 1);
/** Never reached, because timeouts double with the round. `maxRound + 1` still fits 32 bits. */
export const maxRound = 2 ** 31;
const round = intBetween(0, maxRound);
const value = listOf(hash, maxProposals, 1);
const proposal = bytesUpTo(maxProposalBytes, 1);
const proposals = listOf(proposal, maxProposals);

const certificate = record({
  round,
  value,
  prevotes: listOf(record({ voter, roundChangesDigest: hash, signature }), ELDER_COUNT, 1),
});

const roundChange: Shape<RoundChange> = record({
  voter,
  round,
  highest: nullable(certificate),
  proposals: value,
  signature,
});

const prevote: Shape<Prevote> = record({
  voter,
  round,
  value,
  roundChanges: listOf(roundChange, ELDER_COUNT),
  signature,
});

const decision: Shape<Decision> = record({
  proposals: listOf(proposal, maxProposals, 1),
  certificate: record({
    round,
    precommits: listOf(record({ voter, signature }), ELDER_COUNT, 1),
  }),
});

const generation = u64;

/** Also the shape of a message inside another protocol's envelope. */
export const agreementMessageShape: Shape<AgreementMessage> = union({
  prevote: record({ generation, prevote, proposals }),
  precommit: record({ generation, precommit: record({ voter, certificate, signature }) }),
  roundChanges: record({ generation, roundChanges: listOf(roundChange, ELDER_COUNT, 1) }),
  requestProposals: record({ generation, hashes: listOf(hash, maxRequestedProposals, 1) }),
  proposals: record({ generation, proposals: listOf(proposal, maxProposals, 1) }),
  decision: record({ generation, decision }),
});

export const agreementFactShape: Shape<AgreementFact> = union({
  signed: record({
    round,
    message: agreementMessageShape,
    highest: nullable(certificate),
    proposals: listOf(proposal, maxRequestedProposals),
  }),
  decided: record({ decision }),
});

export const encodeAgreementMessage = (message: AgreementMessage): Uint8Array =>
  encodeCbor(message);
export const encodeAgreementFact = (fact: AgreementFact): Uint8Array => encodeCbor(fact);

export const decodeAgreementMessage = (bytes: Uint8Array): Result<AgreementMessage, 'malformed'> =>
  open(bytes, agreementMessageShape, maxAgreementMessageBytes);

export const decodeAgreementFact = (bytes: Uint8Array): Result<AgreementFact, 'malformed'> =>
  open(bytes, agreementFactShape, maxFactBytes, unlimitedItems);

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
