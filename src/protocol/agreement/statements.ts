/** The signed layouts of one generation, and the certificates built from them. */
import { compareBytes, concat, equalBytes, Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { supermajority } from '#protocol/section/index.ts';
import type {
  QuorumCertificate,
  Decision,
  RoundChange,
  Statement,
  StatementPhase,
  Value,
} from './messages.ts';
import type { AgreementScope } from './state.ts';

/** Four acts of the largest size; 16 proposals and a certificate fit one section message (512 KiB). */
export const maxProposals = 16;
export const maxProposalBytes = 16 * 1024;

const phaseNumber: Readonly<Record<StatementPhase, number>> = {
  prevote: 1,
  precommit: 2,
  roundChange: 3,
};

/** The hash by which statements cite a proposal. */
export const proposalHash = (proposal: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/agreement/proposal', proposal);

/**
 * What an elder signs (ed25519). Two with equal heads and different bodies prove equivocation (N5).
 * @param body 32 bytes: {@link prevoteBody}, {@link precommitBody} or {@link roundChangeBody}.
 */
export const statementBytes = (
  scope: AgreementScope,
  round: number,
  phase: StatementPhase,
  voter: Uint8Array,
  body: Uint8Array,
): Uint8Array =>
  new Writer()
    .label('safe/v1/agreement/statement')
    .fixed(scope.networkId, 32)
    .sized(scope.key)
    .u64(scope.epoch)
    .u64(scope.generation)
    .u32(round)
    .u8(phaseNumber[phase])
    .fixed(voter, 32)
    .fixed(body, 32)
    .finish();

export const prevoteBody = (value: Value, digest: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/agreement/vote', concat(...value), digest);

export const precommitBody = (value: Value): Uint8Array =>
  labelledHash('safe/v1/agreement/strong', concat(...value));

/** Covers the round and value of the lock, but not the five prevotes that prove it. */
export function roundChangeBody(highest: QuorumCertificate | null, proposals: Value): Uint8Array {
  const lock = new Writer().u32(highest === null ? 0 : highest.round + 1);
  if (highest !== null) lock.sized(concat(...highest.value));
  return labelledHash('safe/v1/agreement/report', lock.finish(), concat(...proposals));
}

/** The digest by which a prevote names its round changes. */
export const roundChangesDigest = (roundChanges: readonly RoundChange[]): Uint8Array =>
  labelledHash(
    'safe/v1/agreement/reports',
    ...roundChanges.flatMap((roundChange) => [
      new Writer().u8(roundChange.voter).finish(),
      roundChangeBody(roundChange.highest, roundChange.proposals),
      roundChange.signature,
    ]),
  );

/** The fields of every statement, whatever its phase. */
export function headOf(statement: Statement): {
  readonly voter: number;
  readonly round: number;
  readonly signature: Uint8Array;
} {
  if (statement.kind === 'precommit') {
    const { voter, certificate, signature } = statement.precommit;
    return { voter, round: certificate.round, signature };
  }
  return statement.kind === 'prevote' ? statement.prevote : statement.roundChange;
}

export function bodyOf(statement: Statement): Uint8Array {
  switch (statement.kind) {
    case 'prevote':
      return prevoteBody(
        statement.prevote.value,
        roundChangesDigest(statement.prevote.roundChanges),
      );
    case 'precommit':
      return precommitBody(statement.precommit.certificate.value);
    case 'roundChange':
      return roundChangeBody(statement.roundChange.highest, statement.roundChange.proposals);
  }
}

/** The proposals that this elder must hold and have validated before it counts the statement (N9). */
export function citedBy(statement: Statement): readonly Uint8Array[] {
  switch (statement.kind) {
    case 'prevote':
      return statement.prevote.value;
    case 'precommit':
      return statement.precommit.certificate.value;
    case 'roundChange':
      return [...statement.roundChange.proposals, ...(statement.roundChange.highest?.value ?? [])];
  }
}

export function verifyStatement(scope: AgreementScope, statement: Statement): boolean {
  const { voter, round, signature } = headOf(statement);
  return verifyBody(scope, round, statement.kind, voter, bodyOf(statement), signature);
}

export function verifyBody(
  scope: AgreementScope,
  round: number,
  phase: StatementPhase,
  voter: number,
  body: Uint8Array,
  signature: Uint8Array,
): boolean {
  const name = scope.elders[voter];
  if (name === undefined) return false;
  return scope.identity.verify(name, statementBytes(scope, round, phase, name, body), signature);
}

/**
 * Five elders' prevotes for this value in this round. Their round changes are not needed: at least
 * three of the five are honest and checked them.
 */
export function verifyQuorumCertificate(
  scope: AgreementScope,
  certificate: QuorumCertificate,
  quorum: number,
): boolean {
  const { round, value, prevotes } = certificate;
  return (
    isValue(value) &&
    prevotes.length >= quorum &&
    isSorted(prevotes) &&
    prevotes.every(({ voter, roundChangesDigest, signature }) =>
      verifyBody(scope, round, 'prevote', voter, prevoteBody(value, roundChangesDigest), signature),
    )
  );
}

/** Verifies the decision of the generation in `scope`; needs only the names of its elders. */
export function verifyDecision(scope: AgreementScope, decision: Decision): boolean {
  const { round, precommits } = decision.certificate;
  const value = decision.proposals.map(proposalHash);
  if (!isValue(value)) return false;
  const body = precommitBody(value);
  return (
    precommits.length >= supermajority(scope.elders.length) &&
    isSorted(precommits) &&
    precommits.every(({ voter, signature }) =>
      verifyBody(scope, round, 'precommit', voter, body, signature),
    )
  );
}

/** Sorted, distinct, not empty, bounded: one set has one encoding. */
export const isValue = (value: Value): boolean =>
  value.length > 0 &&
  value.length <= maxProposals &&
  value.every((hash, i) => i === 0 || compareBytes(value[i - 1] ?? hash, hash) < 0);

export const equalValues = (a: Value, b: Value): boolean =>
  a.length === b.length && a.every((hash, i) => equalBytes(hash, b[i] ?? new Uint8Array()));

export const toValue = (hashes: readonly Uint8Array[]): Value => [...hashes].sort(compareBytes);

export const isSorted = (signers: readonly { readonly voter: number }[]): boolean =>
  signers.every(({ voter }, i) => i === 0 || (signers[i - 1]?.voter ?? voter) < voter);
