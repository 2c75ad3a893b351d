/** N10: only its own signature shows an elder that it forgot; what its facts hold shows nothing. */
import { expect, test } from 'vitest';
import { showsForgotten, strongBody, voteBody, statementBytes } from '#protocol/agreement/index.ts';
import { found, toySuites } from '../../sim/section-world.ts';
import { createPrng } from '../../sim/prng.ts';
import { agreementConfig } from '#roles/section-node/desk.ts';
import { toHex } from '#core/codec/bytes.ts';

const { elders, sealed } = found(createPrng(1), Array<number>(7).fill(7));
const [self, other] = elders;
if (self === undefined || other === undefined) throw new Error('seven elders');
const scope = agreementConfig(self.config, sealed, true);
const value = [new Uint8Array(32).fill(3)];
const body = voteBody(value, new Uint8Array(32));
const wordBy = (seed: Uint8Array) => ({
  round: 1,
  phase: 'vote' as const,
  body,
  signature: toySuites.identity.sign(seed, statementBytes(scope, 1, 'vote', self.name, body)),
});
const own = wordBy(self.config.identitySeed);

test('N10: its own statement that its facts do not hold shows it; one they hold does not', () => {
  expect(showsForgotten(scope, self.name, new Set(), [own])).toBe(true);
  expect(showsForgotten(scope, self.name, new Set([`vote/1/${toHex(body)}`]), [own])).toBe(false);
});

test('N10: a liar cannot silence an elder', () => {
  const changed = { ...own, body: strongBody(value) };
  const lies = [wordBy(other.config.identitySeed), changed, { ...own, round: 2 }];
  expect(showsForgotten(scope, self.name, new Set(), lies)).toBe(false);
});
