/** What two lying elders try: one lie per rule of validity. They share their seeds and memories. */
import { compareBytes, utf8 } from '#core/codec/bytes.ts';
import {
  proposalHash,
  reportBody,
  reportsDigest,
  statementBytes,
  strongBody,
  voteBody,
  type AgreementMessage,
  type SignedReport,
  type SignedVote,
  type StatementPhase,
} from '#protocol/agreement/index.ts';
import { decodeOnce, logScope, wrap, type Log, type LogElder } from './agreement-log.ts';
import type { Prng } from './prng.ts';
import type { Corrupt } from './world.ts';

export type Lie =
  | 'twoVotes'
  | 'twoReports'
  | 'strongWithoutVotes'
  | 'strongToOne'
  | 'forgedReport'
  | 'hiddenLock'
  | 'unknownProposal'
  | 'futureRound'
  | 'otherGeneration'
  | 'invalidProposal'
  | 'wrongValue'
  | 'fewReports'
  | 'servesNothing'
  | 'falseDecision'
  | 'foreignVote'
  | 'manyDeferred'
  | 'spoiledLock'
  | 'silent';

export const lies: readonly Lie[] = [
  'twoVotes',
  'twoReports',
  'strongWithoutVotes',
  'strongToOne',
  'forgedReport',
  'hiddenLock',
  'unknownProposal',
  'futureRound',
  'otherGeneration',
  'invalidProposal',
  'wrongValue',
  'fewReports',
  'servesNothing',
  'falseDecision',
  'foreignVote',
  'manyDeferred',
  'spoiledLock',
  'silent',
];

export type Sign = (
  generation: bigint,
  round: number,
  phase: StatementPhase,
  body: Uint8Array,
) => Uint8Array;

/** Signs anything in the name of one elder. */
export function liar(elders: readonly LogElder[], index: number) {
  const elder = elders[index];
  if (elder === undefined) throw new Error(`no elder ${index}`);
  return voiceOf(index, (generation, round, phase, body) =>
    elder.identity.sign(
      elder.seed,
      statementBytes(logScope(elders, Number(generation)), round, phase, elder.name, body),
    ),
  );
}

export type Voice = ReturnType<typeof voiceOf>;

/** @param index the elder's place, from 0. */
export function voiceOf(index: number, sign: Sign) {
  return {
    vote: (
      generation: bigint,
      round: number,
      value: readonly Uint8Array[],
      reports: readonly SignedReport[] = [],
    ): SignedVote => ({
      voter: index,
      round,
      value,
      reports,
      signature: sign(generation, round, 'vote', voteBody(value, reportsDigest(reports))),
    }),
    report: (
      generation: bigint,
      round: number,
      highest: SignedReport['highest'],
      proposals: readonly Uint8Array[],
    ): SignedReport => ({
      voter: index,
      round,
      highest,
      proposals,
      signature: sign(generation, round, 'report', reportBody(highest, proposals)),
    }),
    strong: (generation: bigint, round: number, value: readonly Uint8Array[]) => ({
      voter: index,
      signature: sign(generation, round, 'strong', strongBody(value)),
    }),
  };
}

/** One corrupt elder: every message it would send goes through its lies. */
export function corruptElder(
  elders: readonly LogElder[],
  index: number,
  told: ReadonlySet<Lie>,
): Corrupt<Log> {
  const evil = (generation: bigint): Uint8Array => utf8(`ok:evil ${index} of ${generation}`);
  const speak = lieInAgreement(index, told, evil);
  return (message, to, prng) => {
    if (told.has('silent')) return [];
    if (!('bytes' in message)) return [message];
    const honest = decodeOnce(message.bytes);
    if (honest === undefined) return [message];
    const odd = (elders.findIndex(({ id }) => id === to) & 1) === 1;
    return speak(liar(elders, index), honest, to, odd, prng).map(wrap);
  };
}

/**
 * The same lies without a wrapping.
 * @param evil a proposal that nobody else makes.
 */
export function lieInAgreement(
  index: number,
  told: ReadonlySet<Lie>,
  evilOf: (generation: bigint, honest: AgreementMessage) => Uint8Array,
) {
  let before: AgreementMessage | undefined;
  let victim: string | undefined;
  const flooded = new Set<string>();

  return (
    own: Voice,
    honest: AgreementMessage,
    to: string,
    odd: boolean,
    prng: Prng,
  ): readonly AgreementMessage[] => {
    if (told.has('silent')) return [];
    const { generation } = honest;
    victim ??= to;
    const sent: AgreementMessage[] = [];
    const evil = evilOf(generation, honest);
    const other = [proposalHash(evil)];

    switch (honest.kind) {
      case 'vote': {
        const { round } = honest.vote;
        if (told.has('twoVotes') && odd && round === 0) {
          const vote = own.vote(generation, 0, other);
          sent.push({ kind: 'vote', generation, vote, proposals: [evil] });
          // Some hear both, and can prove it.
          if (prng.chance(0.3)) sent.push(honest);
        } else if (told.has('unknownProposal') && odd) {
          const vote = own.vote(generation, 0, [proposalHash(utf8('nobody has it'))]);
          sent.push({ kind: 'vote', generation, vote, proposals: [] });
        } else if (told.has('invalidProposal') && odd && round === 0) {
          const bad = utf8(`bad:${generation}`);
          const vote = own.vote(generation, 0, [proposalHash(bad)]);
          sent.push({ kind: 'vote', generation, vote, proposals: [bad] });
        } else if (told.has('wrongValue') && round > 0) {
          const vote = own.vote(generation, round, other, honest.vote.reports);
          sent.push({ kind: 'vote', generation, vote, proposals: [evil] });
        } else if (told.has('fewReports') && round > 0) {
          const few = honest.vote.reports.slice(0, 4);
          const vote = own.vote(generation, round, honest.vote.value, few);
          sent.push({ kind: 'vote', generation, vote, proposals: [] });
        } else if (told.has('foreignVote')) {
          const voter = (index + 1) % 7;
          sent.push({ ...honest, vote: { ...honest.vote, voter } });
        } else if (told.has('spoiledLock') && round > 0) {
          // The vote's signature covers which lock a report claims, not the votes that prove it.
          const reports = honest.vote.reports.map((report) =>
            report.voter === index ? report : withSpoiledLock(report),
          );
          sent.push({ ...honest, vote: { ...honest.vote, reports } });
        } else if (told.has('servesNothing')) {
          sent.push({ ...honest, proposals: [] });
        } else sent.push(honest);
        if (told.has('strongWithoutVotes')) {
          const { value } = honest.vote;
          const { voter, signature } = own.strong(generation, round, value);
          const vote = { voter: index, reports: reportsDigest([]), signature };
          const certificate = { round, value, votes: [vote] };
          sent.push({ kind: 'strong', generation, strong: { voter, certificate, signature } });
        }
        if (told.has('futureRound')) {
          const far = round + 1 + prng.below(1000);
          const vote = own.vote(generation, far, honest.vote.value);
          sent.push({ kind: 'vote', generation, vote, proposals: [] });
          const report = own.report(generation, far, null, honest.vote.value);
          sent.push({ kind: 'reports', generation, reports: [report] });
        }
        // Proposals that nobody can judge, sixteen new ones for each round that it claims.
        if (told.has('manyDeferred') && !flooded.has(`${generation} ${to}`)) {
          flooded.add(`${generation} ${to}`);
          for (let far = round + 1; far <= round + 20; far++) {
            const proposals = Array.from({ length: 16 }, (_, n) =>
              utf8(`snap:lie ${index} ${generation} ${far} ${n}`),
            );
            const hashes = proposals.map(proposalHash).sort(compareBytes);
            const report = own.report(generation, far, null, hashes);
            sent.push({ kind: 'reports', generation, reports: [report] });
            sent.push({ kind: 'proposals', generation, proposals });
          }
        }
        if (told.has('otherGeneration') && before?.kind === 'vote') {
          sent.push({ ...before, generation });
        }
        if (told.has('falseDecision')) {
          const { voter, signature } = own.strong(generation, round, other);
          const certificate = { round, strongs: [{ voter, signature }] };
          sent.push({ kind: 'decision', generation, decision: { proposals: [evil], certificate } });
        }
        before = honest;
        break;
      }
      case 'strong':
        if (!told.has('strongToOne') || to === victim) sent.push(honest);
        break;
      case 'decision':
        if (!told.has('strongToOne')) sent.push(honest);
        break;
      case 'reports': {
        const [mine, ...rest] = honest.reports;
        if (mine === undefined) break;
        if (told.has('twoReports') && odd) {
          const report = own.report(generation, mine.round, null, other);
          sent.push({ kind: 'reports', generation, reports: [report, ...rest] });
          sent.push({ kind: 'proposals', generation, proposals: [evil] });
        } else if (told.has('hiddenLock')) {
          const report = own.report(generation, mine.round, null, mine.proposals);
          sent.push({ kind: 'reports', generation, reports: [report] });
        } else sent.push(honest);
        if (told.has('forgedReport')) {
          const voter = (index + 1) % 7;
          sent.push({ kind: 'reports', generation, reports: [{ ...mine, voter }] });
        }
        break;
      }
      case 'proposals':
        if (!told.has('servesNothing')) sent.push(honest);
        break;
      case 'ask':
        sent.push(honest);
    }
    return sent;
  };
}

function withSpoiledLock(report: SignedReport): SignedReport {
  const { highest } = report;
  if (highest === null) return report;
  const votes = highest.votes.map((vote, at) =>
    at === 0 ? { ...vote, signature: new Uint8Array(64) } : vote,
  );
  return { ...report, highest: { ...highest, votes } };
}
