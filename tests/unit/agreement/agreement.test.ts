/**
 * Goal: the engine's codec is strict, decisions and evidence verify themselves, and invalid
 * messages are rejected.
 * Method: one elder by hand, the others as signers.
 */
import { describe, expect, test } from 'vitest';
import { utf8 } from '#core/codec/bytes.ts';
import type { Effect } from '#core/machine.ts';
import {
  agreement,
  decodeAgreementMessage,
  encodeAgreementMessage,
  maxProposalBytes,
  maxProposals,
  proposalHash,
  verifyDecision,
  type Agreement,
  type AgreementConfig,
  type AgreementMessage,
  type AgreementState,
  type Decision,
} from '#protocol/agreement/index.ts';
import { logConfig, logScope, toyElders } from '../../sim/agreement/agreement-log.ts';
import { adversarySigner } from '../../sim/agreement/agreement-adversaries.ts';
import { verifyEquivocation } from '../../support/equivocation.ts';

const elders = toyElders(7);
const [self] = elders;
if (self === undefined) throw new Error('seven elders');
const scope = logScope(elders, 0);
const config: AgreementConfig = {
  ...logConfig(elders, self, { generations: 1, offers: () => [] }),
  generation: 0n,
};
const context = { now: 0, entropy: new Uint8Array(32) };
const [a, b] = [utf8('ok:a'), utf8('ok:b')];
const signer = (index: number) => adversarySigner(elders, index);
const idOf = (index: number): string => elders[index]?.id ?? '';
const generation = 0n;

const voteOf = (index: number, proposal: Uint8Array): AgreementMessage => ({
  kind: 'prevote',
  generation,
  prevote: signer(index).prevote(generation, 0, [proposalHash(proposal)]),
  proposals: [proposal],
});

const decisionOf = (proposal: Uint8Array, voters: readonly number[]): Decision => ({
  proposals: [proposal],
  certificate: {
    round: 0,
    precommits: voters.map((index) =>
      signer(index).precommit(generation, 0, [proposalHash(proposal)]),
    ),
  },
});

function elderAt(own: AgreementConfig = config) {
  let state: AgreementState = agreement.start(own, [], context).state;
  const receive = (from: string, message: AgreementMessage): readonly Effect<Agreement>[] => {
    const step = agreement.step(own, state, { kind: 'received', from, message }, context);
    state = step.state;
    return step.effects.flatMap((effect) => {
      if (effect.kind !== 'compute') return [effect];
      const result = { kind: 'valid' } as const;
      const done = agreement.step(own, state, { kind: 'computed', id: effect.id, result }, context);
      state = done.state;
      return done.effects;
    });
  };
  return { receive, state: () => state };
}

const faultsIn = (effects: readonly Effect<Agreement>[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === 'blame' ? [effect.fault.kind] : []));

describe('agreement', () => {
  test('messages have one encoding and enforced limits', () => {
    const message = voteOf(1, a);
    const bytes = encodeAgreementMessage(message);
    expect(decodeAgreementMessage(bytes)).toEqual({ ok: true, value: message });
    expect(decodeAgreementMessage(bytes.slice(1)).ok).toBe(false);
    const refused: AgreementMessage[] = [
      { kind: 'proposals', generation, proposals: [] },
      { kind: 'proposals', generation, proposals: [new Uint8Array(maxProposalBytes + 1)] },
      { kind: 'proposals', generation, proposals: [new Uint8Array(0)] },
      {
        kind: 'requestProposals',
        generation,
        hashes: Array.from({ length: 33 }, () => new Uint8Array(32)),
      },
    ];
    for (const each of refused) {
      expect(decodeAgreementMessage(encodeAgreementMessage(each)).ok).toBe(false);
    }
  });

  test('the largest decision fits one frame', () => {
    const proposals = Array.from({ length: maxProposals }, () => new Uint8Array(maxProposalBytes));
    const decision = { ...decisionOf(a, [0, 1, 2, 3, 4]), proposals };
    const bytes = encodeAgreementMessage({ kind: 'decision', generation, decision });
    expect(decodeAgreementMessage(bytes).ok).toBe(true);
  });

  test('a decision verifies only with five different elders, its generation and its proposals', () => {
    const five = decisionOf(a, [0, 1, 2, 3, 4]);
    expect(verifyDecision(scope, five)).toBe(true);
    expect(verifyDecision({ ...scope, generation: 1n }, five)).toBe(false);
    expect(verifyDecision({ ...scope, epoch: 4n }, five)).toBe(false);
    expect(verifyDecision(scope, { ...five, proposals: [b] })).toBe(false);
    expect(verifyDecision(scope, decisionOf(a, [0, 1, 2, 3]))).toBe(false);
    expect(verifyDecision(scope, decisionOf(a, [0, 1, 2, 3, 3]))).toBe(false);
  });

  test('N5: two prevotes in one round are evidence of equivocation', () => {
    const elder = elderAt();
    elder.receive(idOf(1), voteOf(1, a));
    const [fault] = elder
      .receive(idOf(1), voteOf(1, b))
      .flatMap((effect) => (effect.kind === 'blame' ? [effect.fault] : []));
    if (fault?.kind !== 'equivocation') throw new Error('evidence');
    expect(fault.culprit).toBe(idOf(1));
    expect(verifyEquivocation(scope, fault.evidence)).toBe(true);
    const moved = { ...fault.evidence, round: 1 };
    expect(verifyEquivocation(scope, moved)).toBe(false);
  });

  test('non-elders and forged authors are blamed', () => {
    expect(faultsIn(elderAt().receive('mallory', voteOf(1, a)))).toEqual(['notElder']);
    expect(faultsIn(elderAt().receive(idOf(2), voteOf(1, a)))).toEqual(['forgedAuthor']);
  });

  test('N9: a missing cited proposal is requested, and the statement counts once it arrives', () => {
    const elder = elderAt();
    const bare = { ...voteOf(1, a), proposals: [] } as AgreementMessage;
    const [asked] = elder
      .receive(idOf(1), bare)
      .flatMap((effect) => (effect.kind === 'send' ? [effect] : []));
    expect(asked).toMatchObject({ to: [idOf(1)], message: { kind: 'requestProposals' } });
    const then = elder.receive(idOf(1), { kind: 'proposals', generation, proposals: [a] });
    expect(then.map(({ kind }) => kind).slice(0, 2)).toEqual(['persist', 'send']);
  });

  test('N10: an abstaining elder only accepts decisions', () => {
    const elder = elderAt({ ...config, abstain: true });
    expect(elder.receive(idOf(1), voteOf(1, a))).toEqual([]);
    const message = { kind: 'decision', generation, decision: decisionOf(a, [1, 2, 3, 4, 5]) };
    const effects = elder.receive('anyone', message as AgreementMessage);
    expect(effects.some(({ kind }) => kind === 'output')).toBe(true);
    expect(effects.some(({ kind }) => kind === 'send')).toBe(false);
  });

  test('N11: a late prevote is answered with the decision', () => {
    const elder = elderAt();
    const decision = decisionOf(a, [1, 2, 3, 4, 5]);
    elder.receive(idOf(1), { kind: 'decision', generation, decision });
    expect(elder.receive(idOf(6), voteOf(6, b))).toEqual([
      { kind: 'send', to: [idOf(6)], message: { kind: 'decision', generation, decision } },
    ]);
  });
});
