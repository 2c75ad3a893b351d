/**
 * Goal: an adult that gives false bytes is demoted by the elders that saw it, and elders that only
 * say so cannot demote anybody (N7, F10).
 * Method: whole elders in the simulator; their shells report what they saw.
 */
import { expect, test } from 'vitest';
import { toXorName } from '#address/xor-name.ts';
import { createPrng } from '../../sim/prng.ts';
import { found, rough, tell, type SectionApi } from '../../sim/section-world.ts';

type Issue = 'data' | 'falsehood';

/** @returns ids of adults that had to move, in the eyes of every elder, after half a minute */
function demotedAfter(seed: number, issue: Issue, reporters: number, times: number) {
  const ages = Array.from({ length: 14 }, (_, at) => (at < 7 ? 9 : 5));
  const founding = found(createPrng(seed), ages);
  const accused = founding.people[9];
  if (accused === undefined) throw new Error('fourteen people');
  const report = (api: SectionApi): void => {
    for (const { id } of founding.elders.slice(0, reporters)) {
      api.input(id, { kind: 'misbehaved', name: toXorName(accused.name), issue }, 1);
    }
  };
  const left = new Set<string>();
  const { violations } = tell(
    {
      founding,
      faults: { ...rough, crashProbability: 0 },
      healAtMs: 20_000,
      endAtMs: 40_000,
      deeds: Array.from({ length: times }, (_, at) => ({ atMs: 9_000 + at * 1_500, do: report })),
      watch: ({ outputs }) => {
        for (const output of outputs) {
          if (output.kind !== 'happened') continue;
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

test.each([1, 2, 3])('F10: five elders that saw it three times demote it, seed %i', (seed) => {
  const { violations, demoted, accused } = demotedAfter(seed, 'falsehood', 5, 3);
  expect(violations).toEqual([]);
  expect(demoted).toEqual([accused]);
});

test.each([1, 2, 3])('N7: two liars demote nobody, and neither do four, seed %i', (seed) => {
  for (const reporters of [2, 4]) {
    const { violations, demoted } = demotedAfter(seed, 'falsehood', reporters, 12);
    expect(violations).toEqual([]);
    expect(demoted).toEqual([]);
  }
});

test('F2, F10: all seven saw it break promises, or give false bytes twice: it stays', () => {
  expect(demotedAfter(1, 'data', 7, 12).demoted).toEqual([]);
  expect(demotedAfter(1, 'falsehood', 7, 2).demoted).toEqual([]);
});
