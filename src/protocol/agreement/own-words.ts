/**
 * N10: does an elder remember what it signed? Others carry its statements back to it: in reports, in
 * certificates, in decisions. One that verifies as its own and that it does not know shows that its
 * store is older than its words. Only its own key makes such a proof, so no liar can.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type {
  AgreementMessage,
  Certificate,
  SignedReport,
  Statement,
  StatementPhase,
} from './messages.ts';
import type { AgreementFact, AgreementScope, AgreementState } from './state.ts';
import {
  bodyOf,
  headOf,
  proposalHash,
  reportBody,
  strongBody,
  toValue,
  verifyBody,
  voteBody,
} from './statements.ts';

/** What one elder signed: where, and what it stands for. */
export interface Word {
  readonly round: number;
  readonly phase: StatementPhase;
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** One text for one statement of this elder in this generation. */
const nameOf = ({ phase, round, body }: Omit<Word, 'signature'>): string =>
  `${phase}/${round}/${toHex(body)}`;

/** The statements that these facts say were made, by name. */
export function wordsIn(facts: readonly AgreementFact[]): readonly string[] {
  return facts.flatMap((fact) => {
    if (fact.kind !== 'said') return [];
    const { message } = fact;
    switch (message.kind) {
      case 'vote':
        return [named({ kind: 'vote', vote: message.vote })];
      case 'strong':
        return [named({ kind: 'strong', strong: message.strong })];
      case 'reports': {
        const [own] = message.reports;
        return own === undefined ? [] : [named({ kind: 'report', report: own })];
      }
      default:
        return [];
    }
  });
}

const named = (statement: Statement): string =>
  nameOf({
    phase: statement.kind,
    round: headOf(statement).round,
    body: bodyOf(statement),
  });

/**
 * Is one of these words signed by `self` and not among `known`?
 *
 * @param scope of the words' generation
 * @param known names of the statements that this elder's own facts hold for that generation
 */
export function showsForgotten(
  scope: AgreementScope,
  self: Uint8Array,
  known: ReadonlySet<string>,
  words: readonly Word[],
): boolean {
  const voter = voterOf(scope, self);
  return words.some(
    (word) =>
      !known.has(nameOf(word)) &&
      verifyBody(scope, word.round, word.phase, voter, word.body, word.signature),
  );
}

/** What a message says in the name of `self`. */
export const wordsFor = (
  scope: AgreementScope,
  self: Uint8Array,
  message: AgreementMessage,
): readonly Word[] => wordsOf(voterOf(scope, self), message);

const voterOf = ({ elders }: AgreementScope, self: Uint8Array): number =>
  elders.findIndex((name) => equalBytes(name, self));

function wordsOf(voter: number, message: AgreementMessage): readonly Word[] {
  switch (message.kind) {
    case 'vote': {
      const { vote } = message;
      const own = vote.voter === voter ? [wordOf({ kind: 'vote', vote })] : [];
      return [...own, ...vote.reports.flatMap((report) => inReport(voter, report))];
    }
    case 'strong': {
      const { strong } = message;
      const own = strong.voter === voter ? [wordOf({ kind: 'strong', strong })] : [];
      return [...own, ...inCertificate(voter, strong.certificate)];
    }
    case 'reports':
      return message.reports.flatMap((report) => inReport(voter, report));
    case 'decision': {
      const { proposals, certificate } = message.decision;
      const body = strongBody(toValue(proposals.map(proposalHash)));
      return certificate.strongs
        .filter((strong) => strong.voter === voter)
        .map(({ signature }) => ({ round: certificate.round, phase: 'strong', body, signature }));
    }
    default:
      return [];
  }
}

const wordOf = (statement: Statement): Word => {
  const { round, signature } = headOf(statement);
  return { round, phase: statement.kind, body: bodyOf(statement), signature };
};

function inReport(voter: number, report: SignedReport): readonly Word[] {
  const { round, highest, proposals, signature } = report;
  const body = report.voter === voter ? reportBody(highest, proposals) : null;
  return [
    ...(body === null ? [] : [{ round, phase: 'report' as const, body, signature }]),
    ...(highest === null ? [] : inCertificate(voter, highest)),
  ];
}

const inCertificate = (voter: number, { round, value, votes }: Certificate): readonly Word[] =>
  votes
    .filter((vote) => vote.voter === voter)
    .map(({ reports, signature }) => ({
      round,
      phase: 'vote',
      body: voteBody(value, reports),
      signature,
    }));

/** Words in one answer: a vote, a report and a strong one, and the votes that certificates keep. */
export const maxWordsTold = 64;

/** What this elder holds of another one: the answer to "what did I say?". */
export function heldOf(state: AgreementState, voter: number): readonly Word[] {
  if (state.kind !== 'open') return [];
  const { votes, strongs, reports, waiting, highest } = state;
  const held: readonly AgreementMessage[] = [
    ...[...votes.values()].map((vote) => messageOf({ kind: 'vote', vote })),
    ...[...strongs.values()].map((strong) => messageOf({ kind: 'strong', strong })),
    ...[...reports.values()].map((report) => messageOf({ kind: 'report', report })),
    ...[...waiting.values()].map(({ statement }) => messageOf(statement)),
  ];
  const words = [
    ...held.flatMap((message) => wordsOf(voter, message)),
    ...(highest === null ? [] : inCertificate(voter, highest)),
  ];
  const each = new Map(words.map((word) => [nameOf(word), word]));
  return [...each.values()].slice(0, maxWordsTold);
}

function messageOf(statement: Statement): AgreementMessage {
  const generation = 0n; // Not looked at: the words carry their place themselves.
  switch (statement.kind) {
    case 'vote':
      return { kind: 'vote', generation, vote: statement.vote, proposals: [] };
    case 'strong':
      return { kind: 'strong', generation, strong: statement.strong };
    case 'report':
      return { kind: 'reports', generation, reports: [statement.report] };
  }
}
