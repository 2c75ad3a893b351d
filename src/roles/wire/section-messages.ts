/**
 * Codecs for messages and facts of the section node. Messages of its inner protocols have their own
 * codecs and limits and travel as bytes.
 */
import { toXorName } from '#address/xor-name.ts';
import { decodeCbor, encodeCbor, unlimitedItems } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  refined,
  textUpTo,
  u64,
  union,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  decodeAgreementFact,
  decodeAgreementMessage,
  encodeAgreementFact,
  encodeAgreementMessage,
  maxRecoveredStatements,
} from '#protocol/agreement/index.ts';
import {
  decodeDkgFact,
  decodeDkgMessage,
  decodeReadinessProof,
  encodeDkgFact,
  encodeDkgMessage,
  encodeReadinessProof,
} from '#protocol/dkg/index.ts';
import {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
} from '#protocol/handover/index.ts';
import {
  decodeRelocationCertificate,
  encodeRelocationCertificate,
  maxActBytes,
} from '#protocol/membership/index.ts';
import {
  ELDER_COUNT,
  maxChainLinks,
  maxSealedStateBytes,
  maxSuccessorBytes,
} from '#protocol/section/index.ts';
import type { NodePayload } from '../section-node/messages.ts';
import type { SectionNodeFact } from '../section-node/state.ts';
import { maxEnvelopePayloadBytes } from './node-envelope.ts';

const name = bytesOf(32);
const key = bytesOf(96);
const share = bytesOf(48);
const child = intBetween(0, 1);
const round = intBetween(0, 2 ** 48);
/** A message or fact of an inner protocol; its own codec enforces its limit. */
const inner = bytesUpTo(maxEnvelopePayloadBytes);

export const nodePayloadShape = union({
  agreement: record({ generation: u64, message: inner }),
  share: record({ generation: u64, of: oneOf('churn', 'seal'), signature: share }),
  endorse: record({ generation: u64, body: bytesUpTo(maxActBytes), signature: bytesOf(64) }),
  dkg: record({ session: name, child, message: inner }),
  ready: record({ session: name, child, proof: inner }),
  handover: record({ key, message: inner }),
  update: record({ sealed: bytesUpTo(maxSealedStateBytes) }),
  stateQuery: record({ generation: u64 }),
  stateAnswer: record({
    generation: u64,
    statements: listOf(
      record({
        round: intBetween(0, 2 ** 32 - 1),
        phase: oneOf('prevote', 'precommit', 'roundChange'),
        body: bytesOf(32),
        signature: bytesOf(64),
      }),
      maxRecoveredStatements,
    ),
  }),
  ping: record({ round }),
  pong: record({ round }),
  join: record({ body: bytesUpTo(maxActBytes) }),
  chainSegment: record({ links: listOf(bytesUpTo(maxSuccessorBytes), maxChainLinks) }),
  joinRefused: record({
    reason: oneOf('noVacancy', 'wrongSection', 'wrongAge', 'unreachable', 'departed', 'wrongProof'),
  }),
  requestCertificateShare: record({ certificateId: name }),
  certificateShare: record({ signature: share }),
});

export function encodeNodePayload(payload: NodePayload): Uint8Array {
  switch (payload.kind) {
    case 'agreement':
      return encodeCbor({ ...payload, message: encodeAgreementMessage(payload.message) });
    case 'dkg':
      return encodeCbor({ ...payload, message: encodeDkgMessage(payload.message) });
    case 'ready':
      return encodeCbor({ ...payload, proof: encodeReadinessProof(payload.proof) });
    case 'handover':
      return encodeCbor({ ...payload, message: encodeHandoverMessage(payload.message) });
    default:
      return encodeCbor(payload);
  }
}

export function decodeNodePayload(bytes: Uint8Array): Result<NodePayload, 'malformed'> {
  const payload = shaped(bytes, nodePayloadShape);
  if (payload === undefined) return err('malformed');
  switch (payload.kind) {
    case 'agreement':
      return within(decodeAgreementMessage(payload.message), (message) => ({
        ...payload,
        message,
      }));
    case 'dkg':
      return within(decodeDkgMessage(payload.message), (message) => ({ ...payload, message }));
    case 'ready':
      return within(decodeReadinessProof(payload.proof), (proof) => ({ ...payload, proof }));
    case 'handover':
      return within(decodeHandoverMessage(payload.message), (message) => ({ ...payload, message }));
    default:
      return ok(payload);
  }
}

const sessionId = textUpTo(80);
const candidate = refined('candidate', name, toXorName);
const planShape = record({
  session: record({
    id: name,
    opened: u64,
    children: listOf(
      record({
        prefix: record({ bitCount: intBetween(0, 255), bits: name }),
        candidates: listOf(candidate, ELDER_COUNT, ELDER_COUNT),
      }),
      2,
      1,
    ),
  }),
  child,
  networkId: name,
  parentKey: key,
  epoch: u64,
  fallbackKeys: listOf(name, ELDER_COUNT),
});

export const nodeFactShape = union({
  sealed: record({ sealed: bytesUpTo(maxSealedStateBytes) }),
  links: record({ links: listOf(bytesUpTo(maxSuccessorBytes), maxChainLinks) }),
  agreement: record({ key, generation: u64, fact: bytesUpTo(2 * maxEnvelopePayloadBytes) }),
  share: record({ key, secretShare: name, index: intBetween(1, ELDER_COUNT) }),
  shareErased: record({ key }),
  stateLost: record({ key }),
  session: record({ id: sessionId, plan: planShape }),
  dkg: record({ id: sessionId, fact: bytesUpTo(2 * maxEnvelopePayloadBytes) }),
  sessionOver: record({ id: sessionId }),
  handover: record({ key, fact: inner }),
  joining: record({ certificate: nullable(bytesUpTo(maxActBytes)) }),
  removed: record({}),
});

export function encodeNodeFact(fact: SectionNodeFact): Uint8Array {
  switch (fact.kind) {
    case 'agreement':
      return encodeCbor({ ...fact, fact: encodeAgreementFact(fact.fact) });
    case 'dkg':
      return encodeCbor({ ...fact, fact: encodeDkgFact(fact.fact) });
    case 'handover':
      return encodeCbor({ ...fact, fact: encodeHandoverFact(fact.fact) });
    case 'joining':
      return encodeCbor({
        ...fact,
        certificate:
          fact.certificate === null ? null : encodeRelocationCertificate(fact.certificate),
      });
    default:
      return encodeCbor(fact);
  }
}

export function decodeNodeFact(bytes: Uint8Array): Result<SectionNodeFact, 'malformed'> {
  const fact = shaped(bytes, nodeFactShape, unlimitedItems);
  if (fact === undefined) return err('malformed');
  switch (fact.kind) {
    case 'agreement':
      return within(decodeAgreementFact(fact.fact), (own) => ({ ...fact, fact: own }));
    case 'dkg':
      return within(decodeDkgFact(fact.fact), (own) => ({ ...fact, fact: own }));
    case 'handover':
      return within(decodeHandoverFact(fact.fact), (own) => ({ ...fact, fact: own }));
    case 'joining': {
      if (fact.certificate === null) return ok({ ...fact, certificate: null });
      return within(decodeRelocationCertificate(fact.certificate), (certificate) => ({
        ...fact,
        certificate,
      }));
    }
    default:
      return ok(fact);
  }
}

function shaped<T>(
  bytes: Uint8Array,
  shape: (value: unknown) => T | undefined,
  maxItems?: number,
): T | undefined {
  const value = decodeCbor(bytes, maxItems);
  return value.ok ? shape(value.value) : undefined;
}

const within = <T, U>(
  decoded: Result<T, 'malformed'>,
  make: (value: T) => U,
): Result<U, 'malformed'> => (decoded.ok ? ok(make(decoded.value)) : decoded);
