/**
 * Goal: the cost of a decision, a key generation, a handover and a repair grows no faster than
 * necessary: updates with the number of members, everything else with the seven elders; and no node
 * can make others send more than it sends itself.
 * Method: full nodes without faults, messages and bytes counted with the wire codecs.
 */
import { expect, test } from 'vitest';
import { measureDecision, measureHandover, measureRepair } from './message-budget.ts';

const sizes = [10, 20, 40, 80];
/** Every elder to every other. */
const pairs = 42;

test.each(sizes)('a decision among %d members → within its message budget', (members) => {
  const { decision, updates, decided, violations } = measureDecision(members);
  expect(violations).toEqual([]);
  expect(decided).toBe(true);
  // Endorsement, prevote, precommit, decision, two shares: some are sent twice.
  expect(decision.messages - updates.messages).toBeLessThan(14 * pairs);
  expect(updates.messages).toBeLessThanOrEqual(3 * members + pairs);
  // 7 elders at ~0.2 kB and members at ~0.12 kB, three times to each: bytes grow with the square.
  expect(updates.bytes).toBeLessThan(updates.messages * (4_000 + 200 * members));
});

test.each([14, 40])(
  'a key generation and a handover among %d members → within their message budget',
  (members) => {
    const { keyGeneration, handover, done, violations } = measureHandover(members);
    expect(violations).toEqual([]);
    expect(done).toBe(true);
    expect(keyGeneration.messages).toBeLessThan(40 * pairs);
    expect(handover.messages).toBeLessThan(40 * pairs);
  },
);

test('N31, N35: a node announces old state ten times a round → each peer sends one update per round', () => {
  const once = measureRepair(20);
  const often = measureRepair(20, 10);
  expect([...once.violations, ...often.violations]).toEqual([]);
  expect(often.answers).toBeGreaterThan(0);
  expect(often.answers).toBeLessThanOrEqual(once.answers + 7 * 2);
});
