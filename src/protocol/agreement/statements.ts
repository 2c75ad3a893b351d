/** The signed layouts of one generation, and the proofs made of them. */
import { compareBytes, concat, equalBytes, Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { supermajority } from '#protocol/section/index.ts';
import type {
  Certificate,
  Decision,
  Equivocation,
  SignedReport,
  SignedStrong,
  SignedVote,
  Statement,
  StatementPhase,
  Value,
} from './messages.ts';
import type { AgreementScope } from './state.ts';

/** Four times the largest act; sixteen and a certificate fit one section message (512 KiB). */
export const maxProposals = 16;
export const maxProposalBytes = 16 * 1024;

const phaseNumber: Readonly<Record<StatementPhase, number>> = { vote: 1, strong: 2, report: 3 };

/** The name by which statements cite a proposal. */
export const proposalHash = (proposal: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/agreement/proposal', proposal);

/**
 * What an elder signs (ed25519). Two of these with equal heads and different bodies convict (N5).
 * @param body 32 bytes: {@link voteBody}, {@link strongBody} or {@link reportBody}.
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

export const voteBody = (value: Value, reports: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/agreement/vote', concat(...value), reports);

export const strongBody = (value: Value): Uint8Array =>
  labelledHash('safe/v1/agreement/strong', concat(...value));

/** Covers which lock is claimed; the five votes that prove it are beside it. */
export function reportBody(highest: Certificate | null, proposals: Value): Uint8Array {
  const lock = new Writer().u32(highest === null ? 0 : highest.round + 1);
  if (highest !== null) lock.sized(concat(...highest.value));
  return labelledHash('safe/v1/agreement/report', lock.finish(), concat(...proposals));
}

/** What a vote names its reports by. */
export const reportsDigest = (reports: readonly SignedReport[]): Uint8Array =>
  labelledHash(
    'safe/v1/agreement/reports',
    ...reports.flatMap((report) => [
      new Writer().u8(report.voter).finish(),
      reportBody(report.highest, report.proposals),
      report.signature,
    ]),
  );

/** The parts every statement has, whatever its phase. */
export function headOf(statement: Statement): {
  readonly voter: number;
  readonly round: number;
  readonly signature: Uint8Array;
} {
  if (statement.kind === 'strong') {
    const { voter, certificate, signature } = statement.strong;
    return { voter, round: certificate.round, signature };
  }
  return statement.kind === 'vote' ? statement.vote : statement.report;
}

export function bodyOf(statement: Statement): Uint8Array {
  switch (statement.kind) {
    case 'vote':
      return voteBody(statement.vote.value, reportsDigest(statement.vote.reports));
    case 'strong':
      return strongBody(statement.strong.certificate.value);
    case 'report':
      return reportBody(statement.report.highest, statement.report.proposals);
  }
}

/** The proposals that must be held and valid before the statement counts (N9). */
export function citedBy(statement: Statement): readonly Uint8Array[] {
  switch (statement.kind) {
    case 'vote':
      return statement.vote.value;
    case 'strong':
      return statement.strong.certificate.value;
    case 'report':
      return [...statement.report.proposals, ...(statement.report.highest?.value ?? [])];
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

/** Five different elders' votes for this value in this round. They need no reports: three of the
 * five are honest and have checked theirs. */
export function verifyCertificate(
  scope: AgreementScope,
  certificate: Certificate,
  quorum: number,
): boolean {
  const { round, value, votes } = certificate;
  return (
    isValue(value) &&
    votes.length >= quorum &&
    ascend(votes) &&
    votes.every(({ voter, reports, signature }) =>
      verifyBody(scope, round, 'vote', voter, voteBody(value, reports), signature),
    )
  );
}

/** Is this the decision of the generation in `scope`? Needs nothing but the names of its elders. */
export function verifyDecision(scope: AgreementScope, decision: Decision): boolean {
  const { round, strongs } = decision.certificate;
  const value = decision.proposals.map(proposalHash);
  if (!isValue(value)) return false;
  const body = strongBody(value);
  return (
    strongs.length >= supermajority(scope.elders.length) &&
    ascend(strongs) &&
    strongs.every(({ voter, signature }) =>
      verifyBody(scope, round, 'strong', voter, body, signature),
    )
  );
}

/** N5: shows to anyone that this elder said two things in one place. */
export const verifyEquivocation = (scope: AgreementScope, evidence: Equivocation): boolean =>
  !equalBytes(evidence.first.body, evidence.second.body) &&
  [evidence.first, evidence.second].every(({ body, signature }) =>
    verifyBody(scope, evidence.round, evidence.phase, evidence.voter, body, signature),
  );

/** Sorted, no hash twice, not empty, bounded: one set has one encoding. */
export const isValue = (value: Value): boolean =>
  value.length > 0 &&
  value.length <= maxProposals &&
  value.every((hash, i) => i === 0 || compareBytes(value[i - 1] ?? hash, hash) < 0);

export const equalValues = (a: Value, b: Value): boolean =>
  a.length === b.length && a.every((hash, i) => equalBytes(hash, b[i] ?? new Uint8Array()));

export const toValue = (hashes: readonly Uint8Array[]): Value => [...hashes].sort(compareBytes);

export const ascend = (signers: readonly { readonly voter: number }[]): boolean =>
  signers.every(({ voter }, i) => i === 0 || (signers[i - 1]?.voter ?? voter) < voter);

export type Signed = SignedVote | SignedStrong | SignedReport;
