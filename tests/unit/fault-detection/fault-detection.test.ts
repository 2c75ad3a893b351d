/**
 * Goal: fault detection names faulty nodes, one at a time, and no others (FAULT-F1–F8).
 * Method: whole sections simulated, as one elder observes them, with seeded randomness.
 */
import { expect, test } from 'vitest';
import {
  observe,
  nextSuspect,
  startFaultDetection,
  suspicionOf,
  suspicionsOf,
  defaultFaultDetection,
  type FaultDetectionConfig,
  type FaultDetectionEvent,
  type FaultDetectionState,
  type Issue,
  type PeerKind,
} from '#protocol/fault-detection/index.ts';
import { createPrng } from '../../sim/prng.ts';

const config: FaultDetectionConfig = { ...defaultFaultDetection, self: 'elder-0' };
const elders = Array.from({ length: 7 }, (_, i) => `elder-${i}`);
const adults = Array.from({ length: 14 }, (_, i) => `adult-${i}`);
const allPeers = [...elders, ...adults].slice(1);

const members = (ids: readonly string[]): FaultDetectionEvent => ({
  kind: 'adopted',
  members: ids.map((id) => ({ id, kind: id.split('-')[0] as PeerKind })),
});

const after = (
  state: FaultDetectionState,
  ...events: readonly FaultDetectionEvent[]
): FaultDetectionState => events.reduce((each, event) => observe(config, each, event), state);

const settled = (ids: readonly string[] = [...elders, ...adults]): FaultDetectionState =>
  rounds(after(startFaultDetection(), members(ids), members(ids), members(ids)), 30, []);

/** Rounds in which these peers do not answer. */
function rounds(
  state: FaultDetectionState,
  count: number,
  unresponsive: readonly string[],
): FaultDetectionState {
  const asked = [...state.peers.keys()];
  const answered = asked.filter((id) => !unresponsive.includes(id));
  let next = state;
  for (let i = 0; i < count; i++) {
    next = after(next, { kind: 'roundEnded', asked, answered });
  }
  return next;
}

function seen(
  state: FaultDetectionState,
  id: string,
  issue: Exclude<Issue, 'silence'>,
  times: number,
): FaultDetectionState {
  let next = state;
  // Spread over rounds: issues per peer and round are capped.
  for (let i = 0; i < times; i++) {
    next = after(next, { kind: 'seen', id, issue });
    if (i % 2 === 1) next = rounds(next, 1, []);
  }
  return next;
}

const named = (state: FaultDetectionState): readonly string[] =>
  suspicionsOf(config, state).map(({ id }) => id);

test('FAULT-F2: a dead node is named after twenty answered rounds, by its silence alone', () => {
  const dead = ['adult-3'];
  expect(named(rounds(settled(), 19, dead))).toEqual([]);
  const state = rounds(settled(), 20, dead);
  const [, suspicion] = nextSuspect(config, state);
  expect(suspicion?.id).toBe('adult-3');
  expect(suspicion?.reachedSilenceLimit).toBe(true);
  expect(suspicion?.evidence).toEqual([{ issue: 'silence', count: 20, median: 0, allowed: 8 }]);
});

test('FAULT-F2: one category is not enough, two are', () => {
  const wrong = seen(settled(), 'adult-5', 'missingCopy', 12);
  expect(named(wrong)).toEqual([]);
  expect(named(seen(wrong, 'adult-5', 'staleState', 30))).toEqual(['adult-5']);
});

test('FAULT-F10: three false answers suffice alone, two do not', () => {
  const twice = seen(settled(), 'adult-5', 'provable', 2);
  expect(named(twice)).toEqual([]);
  const state = seen(twice, 'adult-5', 'provable', 1);
  const [, suspicion] = nextSuspect(config, state);
  expect(suspicion).toMatchObject({ id: 'adult-5', reachedSilenceLimit: false });
  expect(suspicion?.evidence).toEqual([{ issue: 'provable', count: 3, median: 0, allowed: 2 }]);
});

test('FAULT-F1, FAULT-F10: an issue common to all accuses no node: the fault is our own', () => {
  let state = settled();
  for (const id of allPeers) state = seen(state, id, 'provable', 9);
  expect(named(state)).toEqual([]);
});

test('FAULT-F1: equal issues accuse no node, however many', () => {
  let state = settled();
  for (const id of allPeers) {
    for (const issue of ['staleState', 'missingCopy', 'dkg', 'missedVote'] as const) {
      for (let i = 0; i < 60; i++) state = after(state, { kind: 'seen', id, issue });
    }
  }
  expect(named(state)).toEqual([]);
});

test('FAULT-F1: a start-up mix of issues over all nodes accuses none, in any order', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = createPrng(seed);
    let state = settled();
    const mix = [
      ['missedVote', 230],
      ['dkg', 500],
      ['missingCopy', 30],
      ['staleState', 450],
    ] as const;
    for (const [issue, count] of mix) {
      for (let i = 0; i < count; i++) {
        state = after(state, { kind: 'seen', id: prng.pick(allPeers), issue });
        if (i % 25 === 0) state = rounds(state, 1, [prng.pick(allPeers)]);
      }
    }
    expect(named(state)).toEqual([]);
  }
});

test('exactly the bad nodes are named', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = createPrng(seed);
    const bad = new Set(Array.from({ length: 1 + prng.below(4) }, () => prng.pick(adults)));
    if (prng.chance(0.5)) bad.add(elders[1 + prng.below(6)] ?? '');
    const ever = new Set<string>();
    let state = settled();
    for (let round = 0; round < 120; round++) {
      const asked = [...state.peers.keys()];
      const answered = asked.filter((id) => !prng.chance(bad.has(id) ? 0.4 : 0.03));
      state = after(state, { kind: 'roundEnded', asked, answered });
      for (const id of asked) {
        for (const issue of ['staleState', 'missingCopy', 'missedVote'] as const) {
          const often = bad.has(id) ? 0.5 : 0.04;
          if (prng.chance(often)) state = after(state, { kind: 'seen', id, issue });
        }
      }
      for (const id of named(state)) ever.add(id);
    }
    expect([...ever].sort()).toEqual([...bad].sort());
  }
});

test('FAULT-F4: an elder with a bad link of its own accuses no node', () => {
  // It gets answers from six of twenty, always the same ones.
  const unresponsive = allPeers.slice(6);
  expect(named(rounds(settled(), 200, unresponsive))).toEqual([]);
});

test('FAULT-F3: three peers of a kind are too few for one to be an outlier', () => {
  const few = ['elder-0', ...adults.slice(0, 3)];
  expect(named(rounds(settled(few), 100, ['adult-0']))).toEqual([]);
});

test('FAULT-F3: elders are compared only with elders: an issue of all adults excuses none of them', () => {
  let state = settled();
  for (const id of adults) state = seen(state, id, 'missedVote', 8);
  state = seen(seen(state, 'elder-2', 'missedVote', 12), 'elder-2', 'dkg', 12);
  expect(named(state)).toEqual(['elder-2']);
});

test('FAULT-F5: a restart is no fault: 19 rounds without answers, then catching up from an old state', () => {
  let state = rounds(settled(), 10, ['adult-1']);
  for (let i = 0; i < 12; i++)
    state = after(state, { kind: 'seen', id: 'adult-1', issue: 'missedVote' });
  state = rounds(state, 9, ['adult-1']);
  expect(named(state)).toEqual([]);
  state = rounds(state, 1, []);
  for (let i = 0; i < 14; i++) {
    state = after(state, { kind: 'seen', id: 'adult-1', issue: 'staleState' });
    state = rounds(state, 1, []);
    if (i < 13) expect(named(state)).toEqual([]);
  }
});

test('FAULT-F5: a newcomer has grace, counted in answered rounds and generations', () => {
  const ids = [...elders, ...adults, 'adult-99'];
  let state = after(settled(), members(ids));
  state = rounds(state, 40, ['adult-99']);
  expect(named(state)).toEqual([]);
  state = after(state, members(ids), members(ids));
  expect(named(state)).toEqual(['adult-99']);
});

test('planted bug, N40: without grace a newcomer is named before it can answer', () => {
  const ids = [...elders, ...adults, 'adult-99'];
  const newcomer = rounds(after(settled(), members(ids)), 20, ['adult-99']);
  const withoutGrace = { ...config, graceRounds: 0, graceGenerations: 0 };
  expect(suspicionsOf(withoutGrace, newcomer).map(({ id }) => id)).toEqual(['adult-99']);
  expect(named(newcomer)).toEqual([]);
});

test('FAULT-F6: a promoted adult starts with no counts', () => {
  let state = seen(seen(settled(), 'adult-5', 'missingCopy', 12), 'adult-5', 'staleState', 30);
  expect(named(state)).toEqual(['adult-5']);
  const promoted = [...elders, ...adults].map((id) => ({
    id,
    kind: (id === 'adult-5' ? 'elder' : id.split('-')[0]) as PeerKind,
  }));
  state = after(state, { kind: 'adopted', members: promoted });
  expect(named(state)).toEqual([]);
});

test('FAULT-F7: one at a time, worst first, the next one only after a pause', () => {
  let state = rounds(settled(), 40, ['adult-1']);
  state = rounds(state, 25, ['adult-1', 'adult-2']);
  expect(named(state)).toEqual(['adult-1', 'adult-2']);
  const first = nextSuspect(config, state);
  expect(first[1]?.id).toBe('adult-1');
  expect(nextSuspect(config, rounds(first[0], 50, ['adult-1', 'adult-2']))[1]?.id).toBe('adult-1');
  const left = [...elders, ...adults].filter((id) => id !== 'adult-1');
  const gone = after(first[0], members(left));
  expect(nextSuspect(config, gone)[1]).toBeNull();
  expect(nextSuspect(config, rounds(gone, 10, ['adult-2']))[1]?.id).toBe('adult-2');
});

test('FAULT-F8: an elder endorses only what it observes itself', () => {
  const state = rounds(settled(), 25, ['adult-1']);
  expect(suspicionOf(config, state, 'adult-1')?.id).toBe('adult-1');
  expect(suspicionOf(config, state, 'adult-2')).toBeUndefined();
});

test('FAULT-F9: issues expire with the window', () => {
  let state = seen(seen(settled(), 'adult-5', 'missingCopy', 12), 'adult-5', 'staleState', 30);
  state = rounds(state, config.windowRounds + 60, []);
  expect(named(state)).toEqual([]);
  expect([...state.peers.values()].every(({ buckets }) => buckets.length === 0)).toBe(true);
});
