/**
 * Goal: the checkers of handover, split and relocation notice when any one rule is missing.
 * Method: one bug planted at a time into every node; some seed must fail, and for the right reason.
 * The same seeds pass without the bug.
 */
import { expect, test, vi } from 'vitest';
import { runHandover } from '../scenarios/handover.ts';
import { runRelocation } from '../scenarios/relocation.ts';
import { runSplit } from '../scenarios/split.ts';
import { sectionMutants } from './section-mutants.ts';

vi.setConfig({ testTimeout: 120_000 });

const seeds = 30;
const stories = { handover: runHandover, split: runSplit, relocation: runRelocation };

test.each(sectionMutants)('$name', ({ story, found, from = 1, ...plan }) => {
  const seen: string[] = [];
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      seen.push(...stories[story](seed, plan).violations);
    } catch (error) {
      seen.push(`threw: ${String(error)}`);
    }
    if (seen.some((each) => found.test(each))) return;
  }
  expect(seen.slice(0, 5)).toContain(found);
});
