/**
 * Goal: the doors of the engine: strict codec, self-verifying decisions and evidence, refusals.
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
  verifyEquivocation,
  type Agreement,
  type AgreementConfig,
  type AgreementMessage,
  type AgreementState,
  type Decision,
} from '#protocol/agreement/index.ts';
import { logConfig, logScope, toyElders } from '../../sim/agreement-log.ts';
import { liar } from '../../sim/agreement-lies.ts';

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
const signer = (index: number) => liar(elders, index);
const idOf = (index: number): string => elders[index]?.id ?? '';
const generation = 0n;

const voteOf = (index: number, proposal: Uint8Array): AgreementMessage => ({
  kind: 'vote',
  generation,
  vote: signer(index).vote(generation, 0, [proposalHash(proposal)]),
  proposals: [proposal],
});

const decisionOf = (proposal: Uint8Array, voters: readonly number[]): Decision => ({
  proposals: [proposal],
  certificate: {
    round: 0,
    strongs: voters.map((index) => signer(index).strong(generation, 0, [proposalHash(proposal)])),
  },
});

function elderAt(own: AgreementConfig = config) {
  let state: AgreementState = agreement.start(own, [], context).state;
  const hear = (from: string, message: AgreementMessage): readonly Effect<Agreement>[] => {
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
  return { hear, state: () => state };
}

const faultsIn = (effects: readonly Effect<Agreement>[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === 'blame' ? [effect.fault.kind] : []));

describe('agreement', () => {
  test('a message has one encoding, and bounds', () => {
    const message = voteOf(1, a);
    const bytes = encodeAgreementMessage(message);
    expect(decodeAgreementMessage(bytes)).toEqual({ ok: true, value: message });
    expect(decodeAgreementMessage(bytes.slice(1)).ok).toBe(false);
    const refused: AgreementMessage[] = [
      { kind: 'proposals', generation, proposals: [] },
      { kind: 'proposals', generation, proposals: [new Uint8Array(maxProposalBytes + 1)] },
      { kind: 'proposals', generation, proposals: [new Uint8Array(0)] },
      { kind: 'ask', generation, hashes: Array.from({ length: 33 }, () => new Uint8Array(32)) },
    ];
    for (const each of refused) {
      expect(decodeAgreementMessage(encodeAgreementMessage(each)).ok).toBe(false);
    }
  });

  test('the greatest decision fits one frame', () => {
    const proposals = Array.from({ length: maxProposals }, () => new Uint8Array(maxProposalBytes));
    const decision = { ...decisionOf(a, [0, 1, 2, 3, 4]), proposals };
    const bytes = encodeAgreementMessage({ kind: 'decision', generation, decision });
    expect(decodeAgreementMessage(bytes).ok).toBe(true);
  });

  test('a decision verifies itself: five different elders, this generation, these proposals', () => {
    const five = decisionOf(a, [0, 1, 2, 3, 4]);
    expect(verifyDecision(scope, five)).toBe(true);
    expect(verifyDecision({ ...scope, generation: 1n }, five)).toBe(false);
    expect(verifyDecision({ ...scope, epoch: 4n }, five)).toBe(false);
    expect(verifyDecision(scope, { ...five, proposals: [b] })).toBe(false);
    expect(verifyDecision(scope, decisionOf(a, [0, 1, 2, 3]))).toBe(false);
    expect(verifyDecision(scope, decisionOf(a, [0, 1, 2, 3, 3]))).toBe(false);
  });

  test('N5: two votes of one round convict; the first one counts', () => {
    const elder = elderAt();
    elder.hear(idOf(1), voteOf(1, a));
    const [fault] = elder
      .hear(idOf(1), voteOf(1, b))
      .flatMap((effect) => (effect.kind === 'blame' ? [effect.fault] : []));
    if (fault?.kind !== 'equivocation') throw new Error('evidence');
    expect(fault.culprit).toBe(idOf(1));
    expect(verifyEquivocation(scope, fault.evidence)).toBe(true);
    const moved = { ...fault.evidence, round: 1 };
    expect(verifyEquivocation(scope, moved)).toBe(false);
  });

  test('who is no elder, or speaks for another, is blamed', () => {
    expect(faultsIn(elderAt().hear('mallory', voteOf(1, a)))).toEqual(['notElder']);
    expect(faultsIn(elderAt().hear(idOf(2), voteOf(1, a)))).toEqual(['notItsOwn']);
  });

  test('N9: what is cited and not held is asked for, and counts when it comes', () => {
    const elder = elderAt();
    const bare = { ...voteOf(1, a), proposals: [] } as AgreementMessage;
    const [asked] = elder
      .hear(idOf(1), bare)
      .flatMap((effect) => (effect.kind === 'send' ? [effect] : []));
    expect(asked).toMatchObject({ to: [idOf(1)], message: { kind: 'ask' } });
    const then = elder.hear(idOf(1), { kind: 'proposals', generation, proposals: [a] });
    expect(then.map(({ kind }) => kind).slice(0, 2)).toEqual(['persist', 'send']);
  });

  test('N10: a silent elder says nothing and takes a decision', () => {
    const elder = elderAt({ ...config, silent: true });
    expect(elder.hear(idOf(1), voteOf(1, a))).toEqual([]);
    const message = { kind: 'decision', generation, decision: decisionOf(a, [1, 2, 3, 4, 5]) };
    const effects = elder.hear('anyone', message as AgreementMessage);
    expect(effects.some(({ kind }) => kind === 'output')).toBe(true);
    expect(effects.some(({ kind }) => kind === 'send')).toBe(false);
  });

  test('N11: an old vote is answered with the decision', () => {
    const elder = elderAt();
    const decision = decisionOf(a, [1, 2, 3, 4, 5]);
    elder.hear(idOf(1), { kind: 'decision', generation, decision });
    expect(elder.hear(idOf(6), voteOf(6, b))).toEqual([
      { kind: 'send', to: [idOf(6)], message: { kind: 'decision', generation, decision } },
    ]);
  });
});
