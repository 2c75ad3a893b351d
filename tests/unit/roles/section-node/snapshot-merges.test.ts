/** Goal: the merge results that an elder stores are bounded, whatever sets are cited. */
import { expect, test } from 'vitest';
import type { Effect } from '#core/machine.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import type { ActiveHandover, SectionNode, SectionNodeState } from '#roles/section-node/state.ts';
import { requestMerge, maxMerges, onMerged } from '#roles/section-node/handover/handover-flow.ts';
import { simNodeFor, usualSectionPace } from '../../../sim/section/section-world.ts';
import { genesis } from '../../section/network.ts';

const born = genesis('merges', 6);
const { config } = simNodeFor(
  born.anchor,
  usualSectionPace,
  born.state.authority.elders[0]?.name as never,
);
const context = { now: 0, entropy: new Uint8Array(32) };
const root = new Uint8Array(32);
const setOf = (n: number): readonly SignedSnapshot[] =>
  [1, 2, 3, 4, 5].map((elder) => ({
    elder,
    root: new Uint8Array(32).fill(n),
    signature: new Uint8Array(64),
  }));
const start = {
  activeHandover: {
    closingState: born.state,
    state: null,
    proposableSets: [],
    mergedRoots: new Map(),
    heldSnapshots: new Set(),
    requestedMerges: new Map(),
    activationLink: null,
  } satisfies ActiveHandover,
} as unknown as SectionNodeState;

const ask = (state: SectionNodeState, n: number, isOwn = false) => {
  if (state.activeHandover === null) throw new Error('it ends');
  return requestMerge(state, state.activeHandover, setOf(n), isOwn);
};
const asks = (effects: readonly Effect<SectionNode>[]): boolean =>
  effects.some((each) => each.kind === 'output' && each.output.kind === 'merge');

test('results of cited sets are evicted, oldest first, and merged again when cited', () => {
  let state = ask(start, 0, true).state;
  for (let n = 1; n <= 200; n++) {
    const asked = ask(state, n);
    expect(asks(asked.effects)).toBe(true);
    ({ state } = onMerged(config, asked.state, setOf(n), root, context));
  }
  expect(state.activeHandover?.requestedMerges.size).toBe(maxMerges);
  expect(state.activeHandover?.mergedRoots.size).toBe(maxMerges - 1);
  expect([...(state.activeHandover?.requestedMerges.values() ?? [])][0]?.isOwn).toBe(true);
  expect(asks(ask(state, 200).effects)).toBe(false);
  expect(asks(ask(state, 1).effects)).toBe(true);
});

test('running merges are not evicted: no further merge starts until one ends', () => {
  let state = start;
  for (let n = 0; n < maxMerges; n++) ({ state } = ask(state, n));
  expect(asks(ask(state, 200).effects)).toBe(false);
  ({ state } = onMerged(config, state, setOf(3), root, context));
  const next = ask(state, 200);
  expect(asks(next.effects)).toBe(true);
  expect(next.state.activeHandover?.requestedMerges.size).toBe(maxMerges);
});
