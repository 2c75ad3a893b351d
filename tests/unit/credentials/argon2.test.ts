/** Goal: the slow step is Argon2id as published, with parameters an attacker cannot choose. */
import { argon2id } from '@noble/hashes/argon2.js';
import { expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { stretchPassword, stretchUnchecked } from '#runtime/jobs/argon2.ts';
import { STRETCH_STANDARD } from '#crypto/stretch-parameters.ts';
import vectors from '../../vectors/credentials/argon2id.json' with { type: 'json' };

const repeated = (byte: number, length: number): Uint8Array => new Uint8Array(length).fill(byte);

test.each(vectors.cases)('reference vector m=$memoryKiB t=$passes $password', async (vector) => {
  const { password, salt, hash, ...parameters } = vector;
  const stretched = await stretchUnchecked(utf8(password), utf8(salt), parameters);
  expect(stretched.ok && toHex(stretched.value)).toBe(hash);
});

test('RFC 9106 5.3: the second implementation, used for comparison, is correct', () => {
  const hash = argon2id(repeated(1, 32), repeated(2, 16), {
    t: 3,
    m: 32,
    p: 4,
    key: repeated(3, 8),
    personalization: repeated(4, 12),
    dkLen: 32,
  });
  expect(toHex(hash)).toBe('0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659');
});

test('both implementations agree on passwords with every kind of byte', async () => {
  const password = Uint8Array.from({ length: 256 }, (_, i) => i);
  const ours = await stretchUnchecked(password, repeated(9, 16), { memoryKiB: 64, passes: 3 });
  const theirs = argon2id(password, repeated(9, 16), { t: 3, m: 64, p: 1, dkLen: 32 });
  expect(ours.ok && toHex(ours.value)).toBe(toHex(theirs));
});

test.each([
  { memoryKiB: 64, passes: 3 },
  { memoryKiB: 65_536, passes: 1 },
  { memoryKiB: 2 ** 21, passes: 3 },
  { memoryKiB: 65_536, passes: 17 },
  { memoryKiB: 65_536.5, passes: 3 },
])(
  'ACCESS-K1: $memoryKiB KiB and $passes passes are outside the accepted range',
  async (parameters) => {
    const stretched = await stretchPassword(utf8('password'), repeated(1, 16), parameters);
    expect(stretched).toEqual({ ok: false, error: 'outOfRange' });
  },
);

test('the standard parameters are accepted and a salt must have 16 bytes', async () => {
  expect((await stretchPassword(utf8('p'), repeated(1, 16), STRETCH_STANDARD)).ok).toBe(true);
  expect((await stretchPassword(utf8('p'), repeated(1, 15), STRETCH_STANDARD)).ok).toBe(false);
});
