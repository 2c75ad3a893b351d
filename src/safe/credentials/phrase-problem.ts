/**
 * What is wrong with typed words (messages E-01 to E-06 of the credentials design): a suggestion is
 * made only when one single correction gives a whole phrase, because a wrong one would be believed.
 */
import { err, ok, type Result } from '#core/result.ts';
import { numbersToEntropy } from '#crypto/bip39.ts';
import { englishWords } from '#crypto/bip39.ts';
import { isNear, editDistance } from './near-words.ts';
import {
  checkNumber,
  knownNumber,
  numbersToCheckedEntropy,
  PHRASE_WORDS,
  splitPhrase,
  wordAt,
} from './phrase.ts';

/** Positions count from 1. Contains words of the phrase: never log one. */
export type PhraseProblem =
  | {
      readonly kind: 'unknownWord';
      readonly position: number;
      readonly word: string;
      readonly suggestion: string | null;
    }
  | { readonly kind: 'wrongWord'; readonly position: number; readonly suggestion: string }
  | { readonly kind: 'oneOfThese'; readonly positions: readonly number[] }
  | { readonly kind: 'swapped'; readonly position: number }
  | { readonly kind: 'missing'; readonly after: number | null }
  | { readonly kind: 'wrongCount'; readonly count: number }
  | { readonly kind: 'checkFails' };

/** More positions than this help nobody: then the whole phrase is to be checked. */
const maxPositions = 4;

/** @returns the 16 bytes behind the typed words, or the first thing that is wrong with them. */
export function readPhrase(typed: string): Result<Uint8Array, PhraseProblem> {
  const words = splitPhrase(typed);
  if (words.length < PHRASE_WORDS - 1 || words.length > PHRASE_WORDS) {
    return err({ kind: 'wrongCount', count: words.length });
  }
  const numbers = words.map(knownNumber);
  const unknown = numbers.indexOf(null);
  if (unknown >= 0) return err(unknownWord(words, numbers, unknown));
  const known = numbers.filter((number) => number !== null);
  if (known.length < PHRASE_WORDS) return err(missingWord(known));
  const entropy = numbersToCheckedEntropy(known);
  return entropy === null ? err(misreadWord(known)) : ok(entropy);
}

/** E-01: the words that look like the typed one, and of those the ones that make a phrase. */
function unknownWord(
  words: readonly string[],
  numbers: readonly (number | null)[],
  at: number,
): PhraseProblem {
  const word = words[at] ?? '';
  const problem = (suggestion: number | null): PhraseProblem => ({
    kind: 'unknownWord',
    position: at + 1,
    word,
    suggestion: suggestion === null ? null : wordAt(suggestion),
  });
  const near = everyNumber.filter((number) => isNear(word, wordAt(number)));
  const alone = numbers.every((number, i) => number !== null || i === at);
  if (!alone || words.length !== PHRASE_WORDS) return problem(closest(word, near));
  const fits = (number: number): boolean =>
    numbersToCheckedEntropy(numbers.map((known, i) => (i === at ? number : (known ?? 0)))) !== null;
  const fitting = near.filter(fits);
  if (fitting.length > 0) return problem(only(fitting));
  // The position is certain, so a word that looks quite different may still be the one.
  return problem(only(everyNumber.filter(fits)));
}

/** E-02 to E-05. */
function misreadWord(numbers: readonly number[]): PhraseProblem {
  const swaps = positions(numbers.length - 1).filter(
    (at) => numbers[at] !== numbers[at + 1] && checks(swap(numbers, at)),
  );
  const misread = positions(numbers.length).flatMap((at) =>
    nearNumbers(numbers[at] ?? 0)
      .filter((number) => checks(replace(numbers, at, number)))
      .map((number) => ({ at, number })),
  );
  const [swapped, wrong] = [swaps[0], misread[0]];
  if (swaps.length + misread.length === 1) {
    if (swapped !== undefined) return { kind: 'swapped', position: swapped + 1 };
    if (wrong !== undefined) {
      return { kind: 'wrongWord', position: wrong.at + 1, suggestion: wordAt(wrong.number) };
    }
  }
  const likely = [...swaps, ...misread.map(({ at }) => at)];
  return oneOfThese(likely.length > 0 ? likely : anySubstitution(numbers));
}

/** Where any other word, however different, would make a phrase: a position, never a suggestion. */
function anySubstitution(numbers: readonly number[]): readonly number[] {
  const found = positions(PHRASE_WORDS - 1).filter((at) =>
    everyNumber.some((number) => checks(replace(numbers, at, number))),
  );
  // The check word itself is wrong whenever the other twelve fit, which one in 16 does by chance.
  const restFits = numbersToEntropy(numbers.slice(0, PHRASE_WORDS - 1)) !== null;
  return restFits ? [...found, PHRASE_WORDS - 1] : found;
}

function oneOfThese(at: readonly number[]): PhraseProblem {
  const unique = [...new Set(at)].sort((a, b) => a - b);
  if (unique.length === 0 || unique.length > maxPositions) return { kind: 'checkFails' };
  return { kind: 'oneOfThese', positions: unique.map((position) => position + 1) };
}

/** E-06: twelve known words of thirteen. */
function missingWord(numbers: readonly number[]): PhraseProblem {
  // A sheet without the check word, or one not copied, is far more common than chance (1 in 16).
  if (numbersToEntropy(numbers) !== null) return { kind: 'missing', after: PHRASE_WORDS - 1 };
  const found = positions(PHRASE_WORDS - 1).filter((at) =>
    everyNumber.some((number) => checks([...numbers.slice(0, at), number, ...numbers.slice(at)])),
  );
  return { kind: 'missing', after: only(found) };
}

/** Like {@link numbersToCheckedEntropy} without keeping the entropy. */
function checks(numbers: readonly number[]): boolean {
  const entropy = numbersToEntropy(numbers.slice(0, PHRASE_WORDS - 1));
  return entropy !== null && checkNumber(entropy) === numbers[PHRASE_WORDS - 1];
}

const everyNumber: readonly number[] = englishWords.map((_, number) => number);

const nearNumbers = (number: number): readonly number[] =>
  everyNumber.filter((other) => other !== number && isNear(wordAt(number), wordAt(other)));

/** The one number whose word is closest to what was typed, `null` when two are equally close. */
function closest(word: string, numbers: readonly number[]): number | null {
  const distances = numbers.map((number) => editDistance(word, wordAt(number)));
  const least = Math.min(...distances);
  return only(numbers.filter((_, i) => distances[i] === least));
}

const only = <T>(list: readonly T[]): T | null => (list.length === 1 ? (list[0] ?? null) : null);
const positions = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
const replace = (list: readonly number[], at: number, value: number): readonly number[] =>
  list.map((each, i) => (i === at ? value : each));
const swap = (list: readonly number[], at: number): readonly number[] =>
  list.map((each, i) => (i === at ? list[at + 1] : i === at + 1 ? list[at] : each) ?? 0);
