/**
 * Goal: a statement for the last possible round crashes no elder, whichever peer sends it, and statements
 * that only elders hold cost no signature check when another peer sends them.
 * Method: the machine of one elder, messages through their codec; found by the scenario `lies`.
 */
import { describe, expect, test } from 'vitest';
import type { NodeId } from '#core/machine.ts';
import type { AgreementMessage, RoundChange } from '#protocol/agreement/index.ts';
import { sectionNode, type SectionNodeConfig } from '#roles/section-node/index.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section-messages.ts';
import { createPrng } from '../../../sim/prng.ts';
import { foundSection } from '../../../sim/section/section-world.ts';

const founding = foundSection(createPrng(10), [...Array<number>(7).fill(7), 6]);
const [self, friend] = founding.elders;
if (self === undefined || friend === undefined) throw new Error('seven elders');
const { key } = founding.sealed.state.authority;
const generation = 1n;
const context = { now: 0, entropy: new Uint8Array(32) };
const born = founding.inputs.find(({ to }) => to === self.id);
if (born === undefined) throw new Error('a founder has an input');
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
const roundChangeAt = (round: number): RoundChange => ({
  voter,
  round,
  highest: { round, value: [hash], prevotes: [{ voter, roundChangesDigest: hash, signature }] },
  proposals: [hash],
  signature,
});

const receive = (config: SectionNodeConfig, from: NodeId, message: AgreementMessage): void => {
  const over = decodeNodePayload(encodeNodePayload({ kind: 'agreement', generation, message }));
  if (!over.ok) return;
  const delivered = { key, generation: 0n, payload: over.value };
  sectionNode.step(config, elder, { kind: 'received', from, message: delivered }, context);
};

const lastRound = 2 ** 32 - 1;
const messages = (round: number): readonly AgreementMessage[] => [
  { kind: 'roundChanges', generation, roundChanges: [roundChangeAt(round)] },
  {
    kind: 'prevote',
    generation,
    prevote: { voter, round, value: [hash], roundChanges: [roundChangeAt(round)], signature },
    proposals: [],
  },
];

describe.each([
  ['an unknown peer', 'ee'.repeat(32)],
  ['another elder', friend.id],
])('%s', (_, from) => {
  test('may name the last possible round, and no node fails', () => {
    const rounds = [lastRound, lastRound - 1, 2 ** 31, 2 ** 31 - 1];
    for (const message of rounds.flatMap(messages)) {
      expect(() => receive(self.config, from, message)).not.toThrow();
    }
  });
});

test('an elder’s own statements from an unknown peer → no signature check', () => {
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
  for (const message of messages(1)) receive(config, friend.id, message);
  expect(checked).toBeGreaterThan(0);
  checked = 0;
  for (const message of messages(1)) receive(config, 'ee'.repeat(32), message);
  expect(checked).toBe(0);
});
