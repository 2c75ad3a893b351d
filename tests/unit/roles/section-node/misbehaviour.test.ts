/**
 * Goal: an adult that serves false bytes is demoted by the elders that saw it; elders that only claim it
 * cannot demote a member (N7, FAULT-F10).
 * Method: whole elders in the simulator; their shells report what they saw.
 */
import { expect, test } from 'vitest';
import { toXorName } from '#address/xor-name.ts';
import { createPrng } from '../../../sim/prng.ts';
import {
  foundSection,
  faultyNetwork,
  runSectionStory,
  type SectionApi,
} from '../../../sim/section/section-world.ts';

type Issue = 'missingCopy' | 'provable';

/** @returns the adults demoted at every elder after half a minute */
function demotedAfter(seed: number, issue: Issue, reporters: number, times: number) {
  const ages = Array.from({ length: 14 }, (_, at) => (at < 7 ? 9 : 5));
  const founding = foundSection(createPrng(seed), ages);
  const accused = founding.simNodes[9];
  if (accused === undefined) throw new Error('fourteen people');
  const report = (api: SectionApi): void => {
    for (const { id } of founding.elders.slice(0, reporters)) {
      api.input(id, { kind: 'misbehaved', name: toXorName(accused.name), issue }, 1);
    }
  };
  const left = new Set<string>();
  const { violations } = runSectionStory(
    {
      founding,
      faults: { ...faultyNetwork, crashProbability: 0 },
      healAtMs: 20_000,
      endAtMs: 40_000,
      externalEvents: Array.from({ length: times }, (_, at) => ({
        atMs: 9_000 + at * 1_500,
        do: report,
      })),
      watch: ({ outputs }) => {
        for (const output of outputs) {
          if (output.kind !== 'sectionEvents') continue;
          for (const event of output.events) {
            if (event.kind === 'demoted') left.add(event.name.join());
          }
        }
      },
    },
    seed,
  );
  return { violations, demoted: [...left], accused: accused.name.join() };
}

test.each([1, 2, 3])(
  'FAULT-F10: five elders that saw false bytes three times demote the adult, seed %i',
  (seed) => {
    const { violations, demoted, accused } = demotedAfter(seed, 'provable', 5, 3);
    expect(violations).toEqual([]);
    expect(demoted).toEqual([accused]);
  },
);

test.each([1, 2, 3])('N7: two liars, or four, demote no member, seed %i', (seed) => {
  for (const reporters of [2, 4]) {
    const { violations, demoted } = demotedAfter(seed, 'provable', reporters, 12);
    expect(violations).toEqual([]);
    expect(demoted).toEqual([]);
  }
});

test('FAULT-F2, FAULT-F10: missing copies, or false bytes twice, seen by all seven → the adult stays', () => {
  expect(demotedAfter(1, 'missingCopy', 7, 12).demoted).toEqual([]);
  expect(demotedAfter(1, 'provable', 7, 2).demoted).toEqual([]);
});
