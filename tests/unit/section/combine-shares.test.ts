/** Goal: five correct shares combine although two elders sent wrong ones. Method: the collector with toy curves. */
import { expect, test } from 'vitest';
import {
  combineDue,
  createThresholdCollector,
  performCombine,
  withShare,
  afterFailedCombine,
  type ThresholdCollector,
} from '#protocol/section/index.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { makeSection, toyName } from '../money/fixtures.ts';

const { section, elders } = makeSection(toySuite, toyScalars, toyName);
const signers = { key: section.key, elders };
const bytes = Uint8Array.of(1);
const shareOf = (index: number): Uint8Array => {
  const secret = elders[index - 1]?.secretShare;
  if (secret === undefined) throw new Error('seven elders');
  return toySuite.sign(secret, 'AUTHORITY', bytes);
};
const due = (before: ThresholdCollector) => {
  const { state, effects } = combineDue(before, signers, 'id', (collector) => collector);
  return { collector: state, job: effects[0]?.job };
};

test('wrong shares of two elders → both are rejected for good, and the other five combine', () => {
  const wrong = new Uint8Array(48).fill(9);
  let collector = createThresholdCollector('AUTHORITY', bytes);
  for (const index of [1, 2]) collector = withShare(collector, index, wrong);
  for (const index of [3, 4, 5]) collector = withShare(collector, index, shareOf(index));
  const first = due(collector);
  if (first.job === undefined) throw new Error('five shares are here');
  const failed = performCombine(toySuite, first.job);
  expect(failed).toEqual({ kind: 'combineFailed', wrong: [1, 2] });

  // Shares that arrive during the job wait for it.
  collector = first.collector;
  for (const index of [6, 7]) collector = withShare(collector, index, shareOf(index));
  expect(due(collector).job).toBeUndefined();
  collector = afterFailedCombine(collector, [1, 2]);
  for (const index of [1, 2]) expect(withShare(collector, index, shareOf(index))).toBe(collector);
  const { job } = due(collector);
  expect(job && performCombine(toySuite, job).kind).toBe('combined');
});

test('one entry per elder: the first share stays', () => {
  const collector = withShare(createThresholdCollector('AUTHORITY', bytes), 1, shareOf(1));
  expect(withShare(collector, 1, shareOf(2))).toBe(collector);
});
