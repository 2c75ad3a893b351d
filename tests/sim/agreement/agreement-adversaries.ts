/** Lies of two elders: one per rule of validity. The liars share their seeds and states. */
import { compareBytes, utf8 } from '#core/codec/bytes.ts';
import {
  proposalHash,
  roundChangeBody,
  roundChangesDigest,
  statementBytes,
  precommitBody,
  prevoteBody,
  type AgreementMessage,
  type RoundChange,
  type Prevote,
  type StatementPhase,
} from '#protocol/agreement/index.ts';
import { decodeOnce, logScope, wrap, type AgreementLog, type LogElder } from './agreement-log.ts';
import type { Prng } from '../prng.ts';
import type { Corrupt } from '../world.ts';

export type AgreementLie =
  | 'twoPrevotes'
  | 'twoRoundChanges'
  | 'precommitWithoutPrevotes'
  | 'precommitToOne'
  | 'forgedRoundChange'
  | 'hiddenLock'
  | 'unknownProposal'
  | 'futureRound'
  | 'otherGeneration'
  | 'invalidProposal'
  | 'invalidValue'
  | 'fewRoundChanges'
  | 'servesNothing'
  | 'falseDecision'
  | 'foreignPrevote'
  | 'manyDeferred'
  | 'spoiledLock'
  | 'unresponsive';

export const agreementLies: readonly AgreementLie[] = [
  'twoPrevotes',
  'twoRoundChanges',
  'precommitWithoutPrevotes',
  'precommitToOne',
  'forgedRoundChange',
  'hiddenLock',
  'unknownProposal',
  'futureRound',
  'otherGeneration',
  'invalidProposal',
  'invalidValue',
  'fewRoundChanges',
  'servesNothing',
  'falseDecision',
  'foreignPrevote',
  'manyDeferred',
  'spoiledLock',
  'unresponsive',
];

export type Sign = (
  generation: bigint,
  round: number,
  phase: StatementPhase,
  body: Uint8Array,
) => Uint8Array;

/** Signs any statement as one elder. */
export function adversarySigner(elders: readonly LogElder[], index: number) {
  const elder = elders[index];
  if (elder === undefined) throw new Error(`no elder ${index}`);
  return signingElderOf(index, (generation, round, phase, body) =>
    elder.identity.sign(
      elder.seed,
      statementBytes(logScope(elders, Number(generation)), round, phase, elder.name, body),
    ),
  );
}

export type SigningElder = ReturnType<typeof signingElderOf>;

/** @param index the elder's place, from 0. */
export function signingElderOf(index: number, sign: Sign) {
  return {
    prevote: (
      generation: bigint,
      round: number,
      value: readonly Uint8Array[],
      roundChanges: readonly RoundChange[] = [],
    ): Prevote => ({
      voter: index,
      round,
      value,
      roundChanges,
      signature: sign(
        generation,
        round,
        'prevote',
        prevoteBody(value, roundChangesDigest(roundChanges)),
      ),
    }),
    roundChange: (
      generation: bigint,
      round: number,
      highest: RoundChange['highest'],
      proposals: readonly Uint8Array[],
    ): RoundChange => ({
      voter: index,
      round,
      highest,
      proposals,
      signature: sign(generation, round, 'roundChange', roundChangeBody(highest, proposals)),
    }),
    precommit: (generation: bigint, round: number, value: readonly Uint8Array[]) => ({
      voter: index,
      signature: sign(generation, round, 'precommit', precommitBody(value)),
    }),
  };
}

/** One corrupt elder: each of its lies may change every message it sends. */
export function corruptElder(
  elders: readonly LogElder[],
  index: number,
  activeLies: ReadonlySet<AgreementLie>,
): Corrupt<AgreementLog> {
  const evil = (generation: bigint): Uint8Array => utf8(`ok:evil ${index} of ${generation}`);
  const applyLies = applyAgreementLie(index, activeLies, evil);
  return (message, to, prng) => {
    if (activeLies.has('unresponsive')) return [];
    if (!('bytes' in message)) return [message];
    const honest = decodeOnce(message.bytes);
    if (honest === undefined) return [message];
    const odd = (elders.findIndex(({ id }) => id === to) & 1) === 1;
    return applyLies(adversarySigner(elders, index), honest, to, odd, prng).map(wrap);
  };
}

/**
 * The same lies, without the decoding of messages.
 * @param evil a proposal that only the liars make.
 */
export function applyAgreementLie(
  index: number,
  activeLies: ReadonlySet<AgreementLie>,
  evilOf: (generation: bigint, honest: AgreementMessage) => Uint8Array,
) {
  let before: AgreementMessage | undefined;
  let victim: string | undefined;
  const flooded = new Set<string>();

  return (
    own: SigningElder,
    honest: AgreementMessage,
    to: string,
    odd: boolean,
    prng: Prng,
  ): readonly AgreementMessage[] => {
    if (activeLies.has('unresponsive')) return [];
    const { generation } = honest;
    victim ??= to;
    const sent: AgreementMessage[] = [];
    const evil = evilOf(generation, honest);
    const other = [proposalHash(evil)];

    switch (honest.kind) {
      case 'prevote': {
        const { round } = honest.prevote;
        if (activeLies.has('twoPrevotes') && odd && round === 0) {
          const prevote = own.prevote(generation, 0, other);
          sent.push({ kind: 'prevote', generation, prevote, proposals: [evil] });
          // Some receive both, and can prove it.
          if (prng.chance(0.3)) sent.push(honest);
        } else if (activeLies.has('unknownProposal') && odd) {
          const prevote = own.prevote(generation, 0, [proposalHash(utf8('nobody has it'))]);
          sent.push({ kind: 'prevote', generation, prevote, proposals: [] });
        } else if (activeLies.has('invalidProposal') && odd && round === 0) {
          const bad = utf8(`bad:${generation}`);
          const prevote = own.prevote(generation, 0, [proposalHash(bad)]);
          sent.push({ kind: 'prevote', generation, prevote, proposals: [bad] });
        } else if (activeLies.has('invalidValue') && round > 0) {
          const prevote = own.prevote(generation, round, other, honest.prevote.roundChanges);
          sent.push({ kind: 'prevote', generation, prevote, proposals: [evil] });
        } else if (activeLies.has('fewRoundChanges') && round > 0) {
          const few = honest.prevote.roundChanges.slice(0, 4);
          const prevote = own.prevote(generation, round, honest.prevote.value, few);
          sent.push({ kind: 'prevote', generation, prevote, proposals: [] });
        } else if (activeLies.has('foreignPrevote')) {
          const voter = (index + 1) % 7;
          sent.push({ ...honest, prevote: { ...honest.prevote, voter } });
        } else if (activeLies.has('spoiledLock') && round > 0) {
          // A vote's signature covers the lock that a report claims, not the votes that prove it.
          const roundChanges = honest.prevote.roundChanges.map((report) =>
            report.voter === index ? report : withSpoiledLock(report),
          );
          sent.push({ ...honest, prevote: { ...honest.prevote, roundChanges } });
        } else if (activeLies.has('servesNothing')) {
          sent.push({ ...honest, proposals: [] });
        } else sent.push(honest);
        if (activeLies.has('precommitWithoutPrevotes')) {
          const { value } = honest.prevote;
          const { voter, signature } = own.precommit(generation, round, value);
          const vote = { voter: index, roundChangesDigest: roundChangesDigest([]), signature };
          const certificate = { round, value, prevotes: [vote] };
          sent.push({
            kind: 'precommit',
            generation,
            precommit: { voter, certificate, signature },
          });
        }
        if (activeLies.has('futureRound')) {
          const far = round + 1 + prng.below(1000);
          const prevote = own.prevote(generation, far, honest.prevote.value);
          sent.push({ kind: 'prevote', generation, prevote, proposals: [] });
          const report = own.roundChange(generation, far, null, honest.prevote.value);
          sent.push({ kind: 'roundChanges', generation, roundChanges: [report] });
        }
        // Proposals that no elder can validate, sixteen new ones for each round that it claims.
        if (activeLies.has('manyDeferred') && !flooded.has(`${generation} ${to}`)) {
          flooded.add(`${generation} ${to}`);
          for (let far = round + 1; far <= round + 20; far++) {
            const proposals = Array.from({ length: 16 }, (_, n) =>
              utf8(`snap:lie ${index} ${generation} ${far} ${n}`),
            );
            const hashes = proposals.map(proposalHash).sort(compareBytes);
            const report = own.roundChange(generation, far, null, hashes);
            sent.push({ kind: 'roundChanges', generation, roundChanges: [report] });
            sent.push({ kind: 'proposals', generation, proposals });
          }
        }
        if (activeLies.has('otherGeneration') && before?.kind === 'prevote') {
          sent.push({ ...before, generation });
        }
        if (activeLies.has('falseDecision')) {
          const { voter, signature } = own.precommit(generation, round, other);
          const certificate = { round, precommits: [{ voter, signature }] };
          sent.push({ kind: 'decision', generation, decision: { proposals: [evil], certificate } });
        }
        before = honest;
        break;
      }
      case 'precommit':
        if (!activeLies.has('precommitToOne') || to === victim) sent.push(honest);
        break;
      case 'decision':
        if (!activeLies.has('precommitToOne')) sent.push(honest);
        break;
      case 'roundChanges': {
        const [mine, ...rest] = honest.roundChanges;
        if (mine === undefined) break;
        if (activeLies.has('twoRoundChanges') && odd) {
          const report = own.roundChange(generation, mine.round, null, other);
          sent.push({ kind: 'roundChanges', generation, roundChanges: [report, ...rest] });
          sent.push({ kind: 'proposals', generation, proposals: [evil] });
        } else if (activeLies.has('hiddenLock')) {
          const report = own.roundChange(generation, mine.round, null, mine.proposals);
          sent.push({ kind: 'roundChanges', generation, roundChanges: [report] });
        } else sent.push(honest);
        if (activeLies.has('forgedRoundChange')) {
          const voter = (index + 1) % 7;
          sent.push({ kind: 'roundChanges', generation, roundChanges: [{ ...mine, voter }] });
        }
        break;
      }
      case 'proposals':
        if (!activeLies.has('servesNothing')) sent.push(honest);
        break;
      case 'requestProposals':
        sent.push(honest);
    }
    return sent;
  };
}

function withSpoiledLock(report: RoundChange): RoundChange {
  const { highest } = report;
  if (highest === null) return report;
  const prevotes = highest.prevotes.map((vote, at) =>
    at === 0 ? { ...vote, signature: new Uint8Array(64) } : vote,
  );
  return { ...report, highest: { ...highest, prevotes } };
}
