/** N10: only an own signature missing from the facts proves to an elder that it lost state. */
import { expect, test } from 'vitest';
import {
  provesLostState,
  precommitBody,
  prevoteBody,
  statementBytes,
} from '#protocol/agreement/index.ts';
import { foundSection, toySuites } from '../../sim/section/section-world.ts';
import { createPrng } from '../../sim/prng.ts';
import { agreementConfig } from '#roles/section-node/generation/agreement-wiring.ts';
import { toHex } from '#core/codec/bytes.ts';

const { elders, sealed } = foundSection(createPrng(1), Array<number>(7).fill(7));
const [self, other] = elders;
if (self === undefined || other === undefined) throw new Error('seven elders');
const scope = agreementConfig(self.config, sealed, true);
const value = [new Uint8Array(32).fill(3)];
const body = prevoteBody(value, new Uint8Array(32));
const signedStatementBy = (seed: Uint8Array) => ({
  round: 1,
  phase: 'prevote' as const,
  body,
  signature: toySuites.identity.sign(seed, statementBytes(scope, 1, 'prevote', self.name, body)),
});
const own = signedStatementBy(self.config.identitySeed);

test('N10: only an own statement missing from the facts proves lost state', () => {
  expect(provesLostState(scope, self.name, new Set(), [own])).toBe(true);
  expect(provesLostState(scope, self.name, new Set([`prevote/1/${toHex(body)}`]), [own])).toBe(
    false,
  );
});

test('N10: a faulty elder cannot make another abstain', () => {
  const changed = { ...own, body: precommitBody(value) };
  const forged = [signedStatementBy(other.config.identitySeed), changed, { ...own, round: 2 }];
  expect(provesLostState(scope, self.name, new Set(), forged)).toBe(false);
});
