/** Goal: what an elder remembers of merged lists is bounded, whatever sets are cited. */
import { expect, test } from 'vitest';
import type { Effect } from '#core/machine.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type { Ending, SectionNode, SectionNodeState } from '#roles/section-node/state.ts';
import { askMerge, maxMerges, merged } from '#roles/section-node/succession.ts';
import { personFor, usualPace } from '../../sim/section-world.ts';
import { genesis } from '../section/network.ts';

const born = genesis('merges', 6);
const { config } = personFor(born.anchor, usualPace, born.state.authority.elders[0]?.name as never);
const context = { now: 0, entropy: new Uint8Array(32) };
const root = new Uint8Array(32);
const setOf = (n: number): readonly SignedSnapshot[] =>
  [1, 2, 3, 4, 5].map((elder) => ({
    elder,
    root: new Uint8Array(32).fill(n),
    signature: new Uint8Array(64),
  }));
const start = {
  ending: {
    closing: born.state,
    state: null,
    sets: [],
    merged: new Map(),
    held: new Set(),
    merging: new Map(),
    activated: null,
  } satisfies Ending,
} as unknown as SectionNodeState;

const ask = (state: SectionNodeState, n: number, isOwn = false) => {
  if (state.ending === null) throw new Error('it ends');
  return askMerge(state, state.ending, setOf(n), isOwn);
};
const asks = (effects: readonly Effect<SectionNode>[]): boolean =>
  effects.some((each) => each.kind === 'output' && each.output.kind === 'merge');

test('results of sets that others cite are forgotten, the oldest first, and merged again when cited', () => {
  let state = ask(start, 0, true).state;
  for (let n = 1; n <= 200; n++) {
    const asked = ask(state, n);
    expect(asks(asked.effects)).toBe(true);
    ({ state } = merged(config, asked.state, setOf(n), root, context));
  }
  expect(state.ending?.merging.size).toBe(maxMerges);
  expect(state.ending?.merged.size).toBe(maxMerges - 1);
  expect([...(state.ending?.merging.values() ?? [])][0]?.isOwn).toBe(true);
  expect(asks(ask(state, 200).effects)).toBe(false);
  expect(asks(ask(state, 1).effects)).toBe(true);
});

test('what is being merged is not forgotten: no more is asked for until one is done', () => {
  let state = start;
  for (let n = 0; n < maxMerges; n++) ({ state } = ask(state, n));
  expect(asks(ask(state, 200).effects)).toBe(false);
  ({ state } = merged(config, state, setOf(3), root, context));
  const next = ask(state, 200);
  expect(asks(next.effects)).toBe(true);
  expect(next.state.ending?.merging.size).toBe(maxMerges);
});
