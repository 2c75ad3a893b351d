/**
 * N10: detects that this elder lost state. Other elders send its statements back in round changes,
 * certificates and decisions. A statement that verifies under its key but is missing from its facts
 * proves that the store was lost or rolled back. Only its own key can make that proof.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type {
  AgreementMessage,
  QuorumCertificate,
  RoundChange,
  Statement,
  StatementPhase,
} from './messages.ts';
import type { AgreementFact, AgreementScope, AgreementState } from './state.ts';
import {
  bodyOf,
  headOf,
  proposalHash,
  roundChangeBody,
  precommitBody,
  toValue,
  verifyBody,
  prevoteBody,
} from './statements.ts';

/** One statement of one elder, reduced to what its signature covers. */
export interface SignedStatement {
  readonly round: number;
  readonly phase: StatementPhase;
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** Identifies a statement of this elder within the generation. */
const keyOf = ({ phase, round, body }: Omit<SignedStatement, 'signature'>): string =>
  `${phase}/${round}/${toHex(body)}`;

/** Keys of the statements recorded in these facts. */
export function statementKeysIn(facts: readonly AgreementFact[]): readonly string[] {
  return facts.flatMap((fact) => {
    if (fact.kind !== 'signed') return [];
    const { message } = fact;
    switch (message.kind) {
      case 'prevote':
        return [statementKeyOf({ kind: 'prevote', prevote: message.prevote })];
      case 'precommit':
        return [statementKeyOf({ kind: 'precommit', precommit: message.precommit })];
      case 'roundChanges': {
        const [own] = message.roundChanges;
        return own === undefined ? [] : [statementKeyOf({ kind: 'roundChange', roundChange: own })];
      }
      default:
        return [];
    }
  });
}

const statementKeyOf = (statement: Statement): string =>
  keyOf({
    phase: statement.kind,
    round: headOf(statement).round,
    body: bodyOf(statement),
  });

/**
 * Whether `self` signed one of these statements and it is not among `known`.
 *
 * @param scope of the statements' generation
 * @param known keys of the statements in this elder's own facts for that generation
 */
export function provesLostState(
  scope: AgreementScope,
  self: Uint8Array,
  known: ReadonlySet<string>,
  statements: readonly SignedStatement[],
): boolean {
  const voter = voterOf(scope, self);
  return statements.some(
    (statement) =>
      !known.has(keyOf(statement)) &&
      verifyBody(
        scope,
        statement.round,
        statement.phase,
        voter,
        statement.body,
        statement.signature,
      ),
  );
}

/** The statements in a message that claim `self` as their author. */
export const ownStatementsIn = (
  scope: AgreementScope,
  self: Uint8Array,
  message: AgreementMessage,
): readonly SignedStatement[] => statementsIn(voterOf(scope, self), message);

const voterOf = ({ elders }: AgreementScope, self: Uint8Array): number =>
  elders.findIndex((name) => equalBytes(name, self));

function statementsIn(voter: number, message: AgreementMessage): readonly SignedStatement[] {
  switch (message.kind) {
    case 'prevote': {
      const { prevote } = message;
      const own = prevote.voter === voter ? [signedStatementOf({ kind: 'prevote', prevote })] : [];
      return [
        ...own,
        ...prevote.roundChanges.flatMap((roundChange) =>
          statementsInRoundChange(voter, roundChange),
        ),
      ];
    }
    case 'precommit': {
      const { precommit } = message;
      const own =
        precommit.voter === voter ? [signedStatementOf({ kind: 'precommit', precommit })] : [];
      return [...own, ...statementsInCertificate(voter, precommit.certificate)];
    }
    case 'roundChanges':
      return message.roundChanges.flatMap((roundChange) =>
        statementsInRoundChange(voter, roundChange),
      );
    case 'decision': {
      const { proposals, certificate } = message.decision;
      const body = precommitBody(toValue(proposals.map(proposalHash)));
      return certificate.precommits
        .filter((precommit) => precommit.voter === voter)
        .map(({ signature }) => ({
          round: certificate.round,
          phase: 'precommit',
          body,
          signature,
        }));
    }
    default:
      return [];
  }
}

const signedStatementOf = (statement: Statement): SignedStatement => {
  const { round, signature } = headOf(statement);
  return { round, phase: statement.kind, body: bodyOf(statement), signature };
};

function statementsInRoundChange(
  voter: number,
  roundChange: RoundChange,
): readonly SignedStatement[] {
  const { round, highest, proposals, signature } = roundChange;
  const body = roundChange.voter === voter ? roundChangeBody(highest, proposals) : null;
  return [
    ...(body === null ? [] : [{ round, phase: 'roundChange' as const, body, signature }]),
    ...(highest === null ? [] : statementsInCertificate(voter, highest)),
  ];
}

const statementsInCertificate = (
  voter: number,
  { round, value, prevotes }: QuorumCertificate,
): readonly SignedStatement[] =>
  prevotes
    .filter((prevote) => prevote.voter === voter)
    .map(({ roundChangesDigest, signature }) => ({
      round,
      phase: 'prevote',
      body: prevoteBody(value, roundChangesDigest),
      signature,
    }));

/**
 * Statements in one answer: a prevote, a precommit, a round change, and the prevotes in
 * certificates.
 */
export const maxRecoveredStatements = 64;

/** The statements this elder holds from `voter`: the answer to a state recovery query. */
export function statementsHeldFrom(
  state: AgreementState,
  voter: number,
): readonly SignedStatement[] {
  if (state.kind !== 'open') return [];
  const { prevotes, precommits, roundChanges, pending, highest } = state;
  const held: readonly AgreementMessage[] = [
    ...[...prevotes.values()].map((prevote) => messageOf({ kind: 'prevote', prevote })),
    ...[...precommits.values()].map((precommit) => messageOf({ kind: 'precommit', precommit })),
    ...[...roundChanges.values()].map((roundChange) =>
      messageOf({ kind: 'roundChange', roundChange }),
    ),
    ...[...pending.values()].map(({ statement }) => messageOf(statement)),
  ];
  const statements = [
    ...held.flatMap((message) => statementsIn(voter, message)),
    ...(highest === null ? [] : statementsInCertificate(voter, highest)),
  ];
  const each = new Map(statements.map((statement) => [keyOf(statement), statement]));
  return [...each.values()].slice(0, maxRecoveredStatements);
}

function messageOf(statement: Statement): AgreementMessage {
  const generation = 0n; // Ignored: statement keys do not contain the generation.
  switch (statement.kind) {
    case 'prevote':
      return { kind: 'prevote', generation, prevote: statement.prevote, proposals: [] };
    case 'precommit':
      return { kind: 'precommit', generation, precommit: statement.precommit };
    case 'roundChange':
      return { kind: 'roundChanges', generation, roundChanges: [statement.roundChange] };
  }
}
