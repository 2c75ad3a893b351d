/** Goal: passwords have one canonical form, and weak ones are refused with a reason. */
import { expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { toPassword } from '#safe/credentials/password-rules.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { createEstimator } from '../../../src/vault/guesses/estimate.ts';

const guesses = createEstimator();
const estimate = async (password: string): Promise<number> => guesses(password);
const strengthOf = (password: string) => passwordStrength(password, estimate);

test("ACCESS-K2: different keyboards' spellings are one password", () => {
  const same = (a: string, b: string): void => {
    const [left, right] = [toPassword(a), toPassword(b)];
    expect(left.ok && toHex(left.value)).toBe(right.ok && toHex(right.value));
  };
  same('caf\u00e9 caf\u00e9!', 'cafe\u0301 cafe\u0301!');
  same('１２３４ＡＢＣＤ', '1234ABCD');
  same('one two\u00a0three', 'one two three');
  const spaces = toPassword(' spaces stay ');
  expect(spaces.ok && toHex(spaces.value)).toBe(toHex(utf8(' spaces stay ')));
});

test('ACCESS-K2: short, long and unprintable passwords are refused', () => {
  expect(toPassword('sevench')).toEqual({ ok: false, error: 'tooShort' });
  expect(toPassword('é'.repeat(4))).toMatchObject({ ok: true });
  expect(toPassword('x'.repeat(256)).ok).toBe(true);
  expect(toPassword('x'.repeat(257))).toEqual({ ok: false, error: 'tooLong' });
  for (const bad of ['line\nbreak!', 'tab\ttab tab', 'nul\u0000nul nul', 'half \ud83d pair']) {
    expect(toPassword(bad)).toEqual({ ok: false, error: 'notText' });
  }
});

test.each([
  'password123',
  'aaaaaaaa',
  '12345678',
  'Passw0rd!',
  'qwertyuiop',
  'P@ssword2026',
  'abcdefghij',
  'hunter2 hunter2',
  'safesafesafe',
  'MySafe2026!',
  'iloveyou1234',
  'abcabcabcabcabc',
  '1q2w3e4r5t6y',
  'Monday2024!',
  'correct horse',
  'violet harbour',
  'Sommerferien1',
  'constitution',
  'Schmetterling1',
  'Weihnachtsbaum',
  'anniversaire',
  'bibliothèque',
  'Papillon2024',
  'mariposa',
  'felicidad2020',
  'достопримечательность',
  'привет мир',
  'ｐａｓｓｗｏｒｄ１２３',
])('%s is refused as weak', async (password) => {
  const strength = await strengthOf(password);
  expect(strength.acceptable).toBe(false);
  expect(strength.score).toBeLessThan(2);
});

test.each([
  'correct horse battery staple',
  'kX9#mQ2$vL7',
  'violin-gravel-marble-19-teapot',
  'Der Hund frisst um halb drei',
  'violet harbour 41 lantern',
  'qkzvxwmpjtrd',
  'aKdjWqPzLmTr',
  'тихий вечер над старым городом',
  'correct horse battery staple '.repeat(3),
])('%s is accepted, with what it would cost a thief', async (password) => {
  const strength = await strengthOf(password);
  expect(strength.acceptable).toBe(true);
  expect(strength.sentence).toMatch(/would pay (about|more than) \$/);
});

test('ACCESS-K2: one character that expands to a sentence is one character', async () => {
  // NFKD makes eighteen characters of it: as a key it is fine, as a password it is one guess of a thousand.
  expect(toPassword('\ufdfa').ok).toBe(true);
  expect(await strengthOf('\ufdfa')).toMatchObject({ acceptable: false, score: 0 });
  expect((await strengthOf('\ufdfa'.repeat(8))).acceptable).toBe(false);
  expect((await strengthOf('é'.repeat(4))).sentence).toBe('Use at least 8 characters.');
});

test('ACCESS-K4: the price is half the guesses at 15 million a dollar', async () => {
  const at = (log10: number) => passwordStrength('long enough', async () => log10);
  expect((await at(12)).sentence).toContain('about $33 000');
  expect((await at(10)).sentence).toContain('about $330');
  expect(await at(10)).toMatchObject({ acceptable: true, score: 2 });
  expect((await at(9.9)).acceptable).toBe(false);
  expect((await at(6)).sentence).toContain('less than $1');
  expect((await at(20)).sentence).toContain('more than $1 billion');
});

test('ACCESS-K4: the estimate never exceeds the known strength of a password', () => {
  // log10 of the guesses of an attacker who knows how the password was made.
  for (const [password, known] of [
    ['gravelmarble', 2 * 3.3 + 0.4],
    ['gravel marble violin teapot', 4 * 4.3 + 2],
    ['kX9#mQ2$vL7', 11 * 1.9],
    ['hunter2hunter2', 6.5],
  ] as const) {
    expect(guesses(password)).toBeLessThanOrEqual(known);
  }
});

test('adding a word never makes a password weaker', () => {
  for (const password of ['correct horse', 'kX9#mQ2', 'aaaa', 'monkey 2020']) {
    expect(guesses(`${password} gravel`)).toBeGreaterThan(guesses(password));
  }
});

test('an estimate is fast for the longest allowed password', () => {
  const started = process.threadCpuUsage();
  for (const password of ['aB3$'.repeat(64), 'p4$$w0rd'.repeat(32), 'x'.repeat(256)]) {
    guesses(password);
  }
  expect(process.threadCpuUsage(started).user).toBeLessThan(3_000_000);
});
