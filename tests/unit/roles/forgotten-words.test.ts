/**
 * Goal: an elder that is shown a word of its own that its disk does not hold writes that down and is
 * silent under that key, at its desk and for money, also after the next start (N10, decision 17).
 * Method: the machine of one elder, stepped by hand.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { statementBytes, voteBody, type Word } from '#protocol/agreement/index.ts';
import { agreementConfig } from '#roles/section-node/desk.ts';
import {
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { createPrng } from '../../sim/prng.ts';
import { found, toySuites } from '../../sim/section-world.ts';

const founding = found(createPrng(10), [...Array<number>(7).fill(7), 6]);
const [self, ...others] = founding.elders;
const adult = founding.people[7];
if (self === undefined || adult === undefined) throw new Error('seven elders and an adult');
const { config } = self;
const { key } = founding.sealed.state.authority;
const generation = 1n;
const context = { now: 0, entropy: new Uint8Array(32) };

const body = voteBody([new Uint8Array(32).fill(3)], new Uint8Array(32));
const wordBy = (seed: Uint8Array): Word => {
  const scope = agreementConfig(config, founding.sealed, true);
  const bytes = statementBytes(scope, 0, 'vote', self.name, body);
  return { round: 0, phase: 'vote', body, signature: toySuites.identity.sign(seed, bytes) };
};

const step = (state: SectionNodeState, from: NodeId, payload: NodePayload) =>
  sectionNode.step(
    config,
    state,
    { kind: 'received', from, message: { key, generation: 0n, payload } },
    context,
  );
const told = (state: SectionNodeState, from: NodeId, words: readonly Word[]) =>
  step(state, from, { kind: 'recalled', generation, words });

const facts = (effects: readonly Effect<SectionNode>[]): readonly SectionNodeFact[] =>
  effects.flatMap((effect) => (effect.kind === 'persist' ? [effect.fact] : []));
const sentKinds = (effects: readonly Effect<SectionNode>[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message.payload.kind] : []));
const adopted = (effects: readonly Effect<SectionNode>[]) =>
  effects.flatMap((effect) =>
    effect.kind === 'output' && effect.output.kind === 'adopted' ? [effect.output] : [],
  );

/** What its birth wrote down. */
const disk = ((): readonly SectionNodeFact[] => {
  const input = founding.inputs.find(({ to }) => to === self.id)?.input;
  if (input === undefined) throw new Error('a founder is told');
  const blank = sectionNode.start(config, [], context);
  return facts(sectionNode.step(config, blank.state, { kind: 'input', input }, context).effects);
})();
const begun = sectionNode.start(config, disk, context);
const forgotten = told(begun.state, others[0]?.id ?? '', [wordBy(config.identitySeed)]);

describe('N10: an elder that starts on its disk', () => {
  test('holds its share and a desk, asks, and says nothing else', () => {
    expect(adopted(begun.effects).map(({ share }) => share !== null)).toEqual([true]);
    expect(begun.state.desk).not.toBeNull();
    expect(begun.state.recall).not.toBeNull();
    expect(sentKinds(begun.effects)).toEqual(['recall']);
  });

  test('speaks when four others have answered, each once, and no adult', () => {
    const [a, b, c, d] = others.map(({ id }) => id);
    let { state } = begun;
    for (const from of [a, a, a, a, adult.id, b, c]) state = told(state, from ?? '', []).state;
    expect(state.recall).not.toBeNull();
    state = told(state, d ?? '', []).state;
    expect(state.recall).toBeNull();
    expect(state.desk).not.toBeNull();
    expect(state.forgot.size).toBe(0);
  });
});

describe('N10: an elder that is shown a word of its own that it does not know', () => {
  test('writes that down first, and has no desk and no share for money any more', () => {
    const { state, effects } = forgotten;
    expect(effects[0]).toEqual({ kind: 'persist', fact: { kind: 'forgot', key } });
    expect(effects).toContainEqual({ kind: 'output', output: { kind: 'forgot', key } });
    expect(adopted(effects)).toMatchObject([{ standing: 'elder', share: null }]);
    expect(sentKinds(effects)).toEqual([]);
    expect([...state.forgot]).toEqual([toHex(key)]);
    expect(state.desk).toBeNull();
    expect(state.recall).toBeNull();
  });

  test('endorses nothing, answers no question about others, and hears it only once', () => {
    const { state } = forgotten;
    const input = { kind: 'placesWanted', places: 20 } as const;
    const wished = sectionNode.step(config, state, { kind: 'input', input }, context);
    expect(sentKinds(wished.effects)).toEqual([]);
    const asked = step(state, others[1]?.id ?? '', { kind: 'recall', generation });
    expect(sentKinds(asked.effects)).toEqual([]);
    expect(told(state, others[1]?.id ?? '', [wordBy(config.identitySeed)]).effects).toEqual([]);
  });

  test('is silent after the next start, too', () => {
    const again = sectionNode.start(config, [...disk, ...facts(forgotten.effects)], context);
    expect(again.state.desk).toBeNull();
    expect(adopted(again.effects)).toMatchObject([{ standing: 'elder', share: null }]);
    expect(sentKinds(again.effects)).toEqual([]);
  });
});

test('N10: a word that another signed silences nobody', () => {
  const [liar] = others;
  const lie = wordBy(liar?.config.identitySeed ?? new Uint8Array(32));
  const { state, effects } = told(begun.state, liar?.id ?? '', [lie]);
  expect(state.forgot.size).toBe(0);
  expect(state.desk).not.toBeNull();
  expect(effects).toEqual([]);
});
