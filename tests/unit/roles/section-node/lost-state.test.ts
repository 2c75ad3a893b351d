/**
 * Goal: an elder that receives a statement of its own that its disk lacks persists that and abstains
 * under that key, in the agreement and for money, also after the next start (N10, decision 17).
 * Method: the machine of one elder, stepped by hand.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { statementBytes, prevoteBody, type SignedStatement } from '#protocol/agreement/index.ts';
import { agreementConfig } from '#roles/section-node/generation/agreement-wiring.ts';
import {
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { createPrng } from '../../../sim/prng.ts';
import { foundSection, toySuites } from '../../../sim/section/section-world.ts';

const founding = foundSection(createPrng(10), [...Array<number>(7).fill(7), 6]);
const [self, ...others] = founding.elders;
const adult = founding.simNodes[7];
if (self === undefined || adult === undefined) throw new Error('seven elders and an adult');
const { config } = self;
const { key } = founding.sealed.state.authority;
const generation = 1n;
const context = { now: 0, entropy: new Uint8Array(32) };

const body = prevoteBody([new Uint8Array(32).fill(3)], new Uint8Array(32));
const statementBy = (seed: Uint8Array): SignedStatement => {
  const scope = agreementConfig(config, founding.sealed, true);
  const bytes = statementBytes(scope, 0, 'prevote', self.name, body);
  return { round: 0, phase: 'prevote', body, signature: toySuites.identity.sign(seed, bytes) };
};

const step = (state: SectionNodeState, from: NodeId, payload: NodePayload) =>
  sectionNode.step(
    config,
    state,
    { kind: 'received', from, message: { key, generation: 0n, payload } },
    context,
  );
const receiveStateAnswer = (
  state: SectionNodeState,
  from: NodeId,
  statements: readonly SignedStatement[],
) => step(state, from, { kind: 'stateAnswer', generation, statements });

const facts = (effects: readonly Effect<SectionNode>[]): readonly SectionNodeFact[] =>
  effects.flatMap((effect) => (effect.kind === 'persist' ? [effect.fact] : []));
const sentKinds = (effects: readonly Effect<SectionNode>[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message.payload.kind] : []));
const adopted = (effects: readonly Effect<SectionNode>[]) =>
  effects.flatMap((effect) =>
    effect.kind === 'output' && effect.output.kind === 'adopted' ? [effect.output] : [],
  );

/** The facts it persisted at genesis. */
const disk = ((): readonly SectionNodeFact[] => {
  const input = founding.inputs.find(({ to }) => to === self.id)?.input;
  if (input === undefined) throw new Error('a founder has an input');
  const blank = sectionNode.start(config, [], context);
  return facts(sectionNode.step(config, blank.state, { kind: 'input', input }, context).effects);
})();
const begun = sectionNode.start(config, disk, context);
const withLostState = receiveStateAnswer(begun.state, others[0]?.id ?? '', [
  statementBy(config.identitySeed),
]);

describe('N10: an elder that restarts', () => {
  test('has its share and a pending generation, and sends only the state query', () => {
    expect(adopted(begun.effects).map(({ share }) => share !== null)).toEqual([true]);
    expect(begun.state.pendingGeneration).not.toBeNull();
    expect(begun.state.stateRecovery).not.toBeNull();
    expect(sentKinds(begun.effects)).toEqual(['stateQuery']);
  });

  test('signs again after four different elders answered; adults do not count', () => {
    const [a, b, c, d] = others.map(({ id }) => id);
    let { state } = begun;
    for (const from of [a, a, a, a, adult.id, b, c])
      state = receiveStateAnswer(state, from ?? '', []).state;
    expect(state.stateRecovery).not.toBeNull();
    state = receiveStateAnswer(state, d ?? '', []).state;
    expect(state.stateRecovery).toBeNull();
    expect(state.pendingGeneration).not.toBeNull();
    expect(state.keysWithLostState.size).toBe(0);
  });
});

describe('N10: an elder that receives an unknown statement of its own', () => {
  test('persists that first, then drops its pending generation and its share for money', () => {
    const { state, effects } = withLostState;
    expect(effects[0]).toEqual({ kind: 'persist', fact: { kind: 'stateLost', key } });
    expect(effects).toContainEqual({ kind: 'output', output: { kind: 'stateLost', key } });
    expect(adopted(effects)).toMatchObject([{ role: 'elder', share: null }]);
    expect(sentKinds(effects)).toEqual([]);
    expect([...state.keysWithLostState]).toEqual([toHex(key)]);
    expect(state.pendingGeneration).toBeNull();
    expect(state.stateRecovery).toBeNull();
  });

  test('endorses nothing, answers no state query, and reports it once', () => {
    const { state } = withLostState;
    const input = { kind: 'setVacancies', vacancies: 20 } as const;
    const endorsing = sectionNode.step(config, state, { kind: 'input', input }, context);
    expect(sentKinds(endorsing.effects)).toEqual([]);
    const asked = step(state, others[1]?.id ?? '', { kind: 'stateQuery', generation });
    expect(sentKinds(asked.effects)).toEqual([]);
    expect(
      receiveStateAnswer(state, others[1]?.id ?? '', [statementBy(config.identitySeed)]).effects,
    ).toEqual([]);
  });

  test('abstains after the next restart too', () => {
    const again = sectionNode.start(config, [...disk, ...facts(withLostState.effects)], context);
    expect(again.state.pendingGeneration).toBeNull();
    expect(adopted(again.effects)).toMatchObject([{ role: 'elder', share: null }]);
    expect(sentKinds(again.effects)).toEqual([]);
  });
});

test('N10: a statement signed by another elder makes no elder abstain', () => {
  const [liar] = others;
  const lie = statementBy(liar?.config.identitySeed ?? new Uint8Array(32));
  const { state, effects } = receiveStateAnswer(begun.state, liar?.id ?? '', [lie]);
  expect(state.keysWithLostState.size).toBe(0);
  expect(state.pendingGeneration).not.toBeNull();
  expect(effects).toEqual([]);
});
