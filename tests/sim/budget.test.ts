/**
 * Goal: what a decision, a key generation, a handover and a repair cost does not grow faster than it
 * must: updates with the members, everything else with the seven elders; and nobody can make others
 * say more than it says itself.
 * Method: whole nodes in calm weather, messages and bytes counted with the codecs of the wire.
 */
import { expect, test } from 'vitest';
import { measureDecision, measureHandover, measureRepair } from './section-budget.ts';

const sizes = [10, 20, 40, 80];
/** Every elder to every other. */
const pairs = 42;

test.each(sizes)('a decision among %d members', (members) => {
  const { decision, updates, decided, violations } = measureDecision(members);
  expect(violations).toEqual([]);
  expect(decided).toBe(true);
  // Endorsement, vote, strong, decision, two shares: some are said twice.
  expect(decision.messages - updates.messages).toBeLessThan(14 * pairs);
  expect(updates.messages).toBeLessThanOrEqual(3 * members + pairs);
  // 7 elders at ~0.2 kB and members at ~0.12 kB, three times to each: so bytes go with the square.
  expect(updates.bytes).toBeLessThan(updates.messages * (4_000 + 200 * members));
});

test.each([14, 40])('a key generation and a handover among %d members', (members) => {
  const { keyGeneration, handover, done, violations } = measureHandover(members);
  expect(violations).toEqual([]);
  expect(done).toBe(true);
  expect(keyGeneration.messages).toBeLessThan(40 * pairs);
  expect(handover.messages).toBeLessThan(40 * pairs);
});

test('N31, N35: who says ten times that it is behind is told once by each peer in a round', () => {
  const once = measureRepair(20);
  const often = measureRepair(20, 10);
  expect([...once.violations, ...often.violations]).toEqual([]);
  expect(often.answers).toBeGreaterThan(0);
  expect(often.answers).toBeLessThanOrEqual(once.answers + 7 * 2);
});
