/** Goal: a phrase is 16 bytes in words, and a mistyped one names the wrong word, or nothing false. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { englishWords, entropyToWords, numbersToEntropy } from '#crypto/bip39.ts';
import { isSimilarWord } from '#safe/credentials/similar-words.ts';
import { readPhrase } from '#safe/credentials/phrase-problem.ts';
import { newPhrase, splitPhrase } from '#safe/credentials/phrase.ts';
import { createPrng } from '../../sim/prng.ts';
import official from '../../vectors/credentials/bip39-english.json' with { type: 'json' };

const bytesOf = (hex: string): Uint8Array => {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error('not hex');
  return bytes.value;
};
const numbersOf = (words: readonly string[]): readonly number[] =>
  words.map((word) => englishWords.indexOf(word));

test.each(official)('BIP39 vector $entropy', ({ entropy, words }) => {
  expect(entropyToWords(bytesOf(entropy)).join(' ')).toBe(words);
  const back = numbersToEntropy(numbersOf(words.split(' ')));
  expect(back === null ? null : toHex(back)).toBe(entropy);
});

test('golden: the BIP39 vectors with their check words', () => {
  expect(official.map(({ entropy }) => newPhrase(bytesOf(entropy))[12])).toMatchInlineSnapshot(`
    [
      "short",
      "wine",
      "rotate",
      "nothing",
      "please",
      "melody",
      "hold",
      "voice",
    ]
  `);
});

test('every phrase we make decodes to its 16 bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (entropy) => {
      expect(readPhrase(newPhrase(entropy).join(' '))).toEqual({ ok: true, value: entropy });
    }),
    { numRuns: 50 },
  );
});

const entropy = bytesOf('0c1e24e5917779d297e14d45f14e1a1a');
const words = newPhrase(entropy);
const typed = (change: (words: string[]) => void): string => {
  const copy = [...words];
  change(copy);
  return copy.join(' ');
};

test('ACCESS-K3: numbering, commas, bullets, capitals, accents, odd spaces and short forms are accepted', () => {
  const forms = [
    words.map((word, i) => `${i + 1}. ${word.toUpperCase()}`).join('\n'),
    words.map((word, i) => `${i + 1})${word}`).join(',\u3000'),
    words.map((word) => `• ${word}\u200b`).join('\u00a0 '),
    `  ${words.join('\t\r\n')}  `,
    words.map((word) => word.slice(0, 4)).join(' '),
    words.map((word) => word.normalize('NFC').replace('a', 'á')).join('-'),
  ];
  for (const form of forms) expect(readPhrase(form)).toEqual({ ok: true, value: entropy });
  expect(splitPhrase('')).toEqual([]);
});

test('ACCESS-E1: an unknown entry is reported, with its only possible correction', () => {
  const position = 5;
  const right = words[position - 1] ?? '';
  const slip = right.slice(0, 2) + 'q' + right.slice(2);
  expect(readPhrase(typed((w) => (w[position - 1] = slip)))).toEqual({
    ok: false,
    error: { kind: 'unknownWord', position, word: slip, suggestion: right },
  });
  const gibberish = readPhrase(typed((w) => (w[position - 1] = 'xxyyzzxxyyzz')));
  expect(gibberish).toMatchObject({ error: { kind: 'unknownWord', position } });
});

test('ACCESS-E4: two swapped neighbours are found', () => {
  const problem = readPhrase(
    typed((w) => {
      [w[3], w[4]] = [w[4] ?? '', w[3] ?? ''];
    }),
  );
  expect(problem).toEqual({ ok: false, error: { kind: 'swapped', position: 4 } });
});

test('ACCESS-E6: a missing word is located when only one position is possible, a missing check word always', () => {
  expect(readPhrase(words.slice(0, 12).join(' '))).toEqual({
    ok: false,
    error: { kind: 'missing', after: 12 },
  });
  const missing = readPhrase(typed((w) => w.splice(6, 1)));
  expect(missing).toMatchObject({ ok: false, error: { kind: 'missing' } });
  if (!missing.ok && missing.error.kind === 'missing')
    expect([6, null]).toContain(missing.error.after);
});

test('a wrong number of words is only counted', () => {
  expect(readPhrase('abandon ability')).toEqual({
    ok: false,
    error: { kind: 'wrongCount', count: 2 },
  });
  const long = [...words, 'zoo'].join(' ');
  expect(readPhrase(long)).toEqual({ ok: false, error: { kind: 'wrongCount', count: 14 } });
});

test('ACCESS-E5: unrelated words get no suggestion', () => {
  const problem = readPhrase(words.map((_, i) => englishWords[(i * 157) % 2048]).join(' '));
  expect(problem.ok).toBe(false);
  if (!problem.ok) expect(['checkFails', 'oneOfThese']).toContain(problem.error.kind);
});

test('ACCESS-E2: of 100 seeded phrases with one misread word, at least 97 are corrected, none wrongly', () => {
  const prng = createPrng(20261);
  const outcome = { right: 0, ambiguous: 0, wrong: 0, undetected: 0 };
  for (let round = 0; round < 100; round++) {
    const phrase = newPhrase(prng.bytes(16));
    const position = prng.below(13);
    const truth = phrase[position] ?? '';
    const near = englishWords.filter((word) => word !== truth && isSimilarWord(truth, word));
    const misread = near[prng.below(near.length)];
    if (misread === undefined) {
      outcome.right += 1;
      continue;
    }
    const read = readPhrase(phrase.map((word, i) => (i === position ? misread : word)).join(' '));
    if (read.ok) outcome.undetected += 1;
    else if (read.error.kind !== 'wrongWord') outcome.ambiguous += 1;
    else if (read.error.suggestion === truth && read.error.position === position + 1)
      outcome.right += 1;
    else outcome.wrong += 1;
  }
  expect(outcome.right).toBeGreaterThanOrEqual(97);
  expect([outcome.wrong, outcome.undetected]).toEqual([0, 0]);
});

test('reading a phrase never throws, whatever was typed', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      readPhrase(text);
    }),
  );
});
