/**
 * Goal: a statement that names the last round there is ends no elder, whoever says it, and words that
 * only an elder can hold cost no signature check when somebody else shows them.
 * Method: the machine of one elder, messages through their codec; found by the scenario `lies`.
 */
import { describe, expect, test } from 'vitest';
import type { NodeId } from '#core/machine.ts';
import type { AgreementMessage, SignedReport } from '#protocol/agreement/index.ts';
import { sectionNode, type SectionNodeConfig } from '#roles/section-node/index.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section.ts';
import { createPrng } from '../../sim/prng.ts';
import { found } from '../../sim/section-world.ts';

const founding = found(createPrng(10), [...Array<number>(7).fill(7), 6]);
const [self, friend] = founding.elders;
if (self === undefined || friend === undefined) throw new Error('seven elders');
const { key } = founding.sealed.state.authority;
const generation = 1n;
const context = { now: 0, entropy: new Uint8Array(32) };
const born = founding.inputs.find(({ to }) => to === self.id);
if (born === undefined) throw new Error('a founder is told');
const blank = sectionNode.start(self.config, [], context).state;
const elder = sectionNode.step(
  self.config,
  blank,
  { kind: 'input', input: born.input },
  context,
).state;
const voter = founding.elders.indexOf(self);

const hash = new Uint8Array(32).fill(1);
const signature = new Uint8Array(64).fill(2);
const reportAt = (round: number): SignedReport => ({
  voter,
  round,
  highest: { round, value: [hash], votes: [{ voter, reports: hash, signature }] },
  proposals: [hash],
  signature,
});

const hear = (config: SectionNodeConfig, from: NodeId, message: AgreementMessage): void => {
  const over = decodeNodePayload(encodeNodePayload({ kind: 'agreement', generation, message }));
  if (!over.ok) return;
  const told = { key, generation: 0n, payload: over.value };
  sectionNode.step(config, elder, { kind: 'received', from, message: told }, context);
};

const lastRound = 2 ** 32 - 1;
const messages = (round: number): readonly AgreementMessage[] => [
  { kind: 'reports', generation, reports: [reportAt(round)] },
  {
    kind: 'vote',
    generation,
    vote: { voter, round, value: [hash], reports: [reportAt(round)], signature },
    proposals: [],
  },
];

describe.each([
  ['a stranger', 'ee'.repeat(32)],
  ['another elder', friend.id],
])('%s', (_, from) => {
  test('may name the last round there is, and nothing ends', () => {
    const rounds = [lastRound, lastRound - 1, 2 ** 31, 2 ** 31 - 1];
    for (const message of rounds.flatMap(messages)) {
      expect(() => hear(self.config, from, message)).not.toThrow();
    }
  });
});

test('a stranger that shows an elder its own words makes it check no signature', () => {
  let checked = 0;
  const { suites } = self.config;
  const verify: typeof suites.identity.verify = (...asked) => {
    checked += 1;
    return suites.identity.verify(...asked);
  };
  const config = {
    ...self.config,
    suites: { ...suites, identity: { ...suites.identity, verify } },
  };
  for (const message of messages(1)) hear(config, friend.id, message);
  expect(checked).toBeGreaterThan(0);
  checked = 0;
  for (const message of messages(1)) hear(config, 'ee'.repeat(32), message);
  expect(checked).toBe(0);
});
