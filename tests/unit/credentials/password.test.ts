/** Goal: passwords have one form, and weak ones are refused with a reason. */
import { expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { toPassword } from '#safe/credentials/password.ts';
import { estimateGuesses, passwordStrength } from '#safe/credentials/strength.ts';

test('C.2: what keyboards write differently is one password', () => {
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

test('C.2: short, long and unprintable passwords are refused', () => {
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
])('%s is refused as weak', (password) => {
  const strength = passwordStrength(password);
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
])('%s is accepted, with what it would cost a thief', (password) => {
  const strength = passwordStrength(password);
  expect(strength.acceptable).toBe(true);
  expect(strength.sentence).toMatch(/would pay (about|more than) \$/);
});

test('B.11: the price is half the guesses at 15 million a dollar', () => {
  expect(passwordStrength('long enough', () => 12).sentence).toContain('about $33 000');
  expect(passwordStrength('long enough', () => 10).sentence).toContain('about $330');
  expect(passwordStrength('long enough', () => 10)).toMatchObject({ acceptable: true, score: 2 });
  expect(passwordStrength('long enough', () => 9.9).acceptable).toBe(false);
  expect(passwordStrength('long enough', () => 6).sentence).toContain('less than $1');
  expect(passwordStrength('long enough', () => 20).sentence).toContain('more than $1 billion');
});

test('B.11: the estimate stays at or below what is known about a password', () => {
  // log10 of the guesses an attacker needs who knows how the password was made.
  for (const [password, known] of [
    ['gravelmarble', 2 * 3.3 + 0.4],
    ['gravel marble violin teapot', 4 * 4.3 + 2],
    ['kX9#mQ2$vL7', 11 * 1.9],
    ['hunter2hunter2', 6.5],
  ] as const) {
    expect(estimateGuesses(password)).toBeLessThanOrEqual(known);
  }
});

test('adding a word never makes a password weaker', () => {
  for (const password of ['correct horse', 'kX9#mQ2', 'aaaa', 'monkey 2020']) {
    expect(estimateGuesses(`${password} gravel`)).toBeGreaterThan(estimateGuesses(password));
  }
});

test('an estimate stays quick for the longest password allowed', () => {
  const started = performance.now();
  estimateGuesses('aB3$'.repeat(16));
  expect(performance.now() - started).toBeLessThan(500);
});
