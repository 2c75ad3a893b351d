/**
 * Finds the error in typed words (messages ACCESS-E1–E6). It suggests a
 * correction only when exactly one gives a whole phrase, because a person would trust a wrong one.
 */
import { err, ok, type Result } from '#core/result.ts';
import { numbersToEntropy } from '#crypto/bip39.ts';
import { englishWords } from '#crypto/bip39.ts';
import { isSimilarWord, editDistance } from './similar-words.ts';
import {
  checkNumber,
  findWordNumber,
  numbersToCheckedEntropy,
  PHRASE_WORDS,
  splitPhrase,
  wordAt,
} from './phrase.ts';

/** Positions count from 1; `after: 0` is at the beginning. Contains phrase words: never log one. */
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

/** More positions do not help a person: then the whole phrase should be checked. */
const maxPositions = 4;

/** @returns the 16 bytes of the typed words, or the first error in them. */
export function readPhrase(typed: string): Result<Uint8Array, PhraseProblem> {
  const words = splitPhrase(typed);
  if (words.length < PHRASE_WORDS - 1 || words.length > PHRASE_WORDS) {
    return err({ kind: 'wrongCount', count: words.length });
  }
  const numbers = words.map(findWordNumber);
  const unknown = numbers.indexOf(null);
  if (unknown >= 0) return err(unknownWord(words, numbers, unknown));
  const known = numbers.filter((number) => number !== null);
  if (known.length < PHRASE_WORDS) return err(missingWord(known));
  const entropy = numbersToCheckedEntropy(known);
  return entropy === null ? err(misreadWord(known)) : ok(entropy);
}

/** ACCESS-E1: of the words similar to the typed one, those that complete a phrase. */
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
  const near = everyNumber.filter((number) => isSimilarWord(word, wordAt(number)));
  const alone = numbers.every((number, i) => number !== null || i === at);
  if (!alone || words.length !== PHRASE_WORDS) return problem(closest(word, near));
  const fits = (number: number): boolean =>
    numbersToCheckedEntropy(numbers.map((known, i) => (i === at ? number : (known ?? 0)))) !== null;
  const fitting = near.filter(fits);
  if (fitting.length > 0) return problem(onlyItem(fitting));
  // The position is certain, so a quite different word may also be right.
  return problem(onlyItem(everyNumber.filter(fits)));
}

/** ACCESS-E2–E5. */
function misreadWord(numbers: readonly number[]): PhraseProblem {
  const swaps = positions(numbers.length - 1).filter(
    (at) => numbers[at] !== numbers[at + 1] && hasValidCheckWord(swap(numbers, at)),
  );
  const misread = positions(numbers.length).flatMap((at) =>
    similarNumbers(numbers[at] ?? 0)
      .filter((number) => hasValidCheckWord(replace(numbers, at, number)))
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

/** Positions where any other word would complete a phrase: a position, never a suggestion. */
function anySubstitution(numbers: readonly number[]): readonly number[] {
  const found = positions(PHRASE_WORDS - 1).filter((at) =>
    everyNumber.some((number) => hasValidCheckWord(replace(numbers, at, number))),
  );
  // The check word itself is wrong whenever the other twelve match, which happens by chance once in 16.
  const restFits = numbersToEntropy(numbers.slice(0, PHRASE_WORDS - 1)) !== null;
  return restFits ? [...found, PHRASE_WORDS - 1] : found;
}

function oneOfThese(at: readonly number[]): PhraseProblem {
  const unique = [...new Set(at)].sort((a, b) => a - b);
  if (unique.length === 0 || unique.length > maxPositions) return { kind: 'checkFails' };
  return { kind: 'oneOfThese', positions: unique.map((position) => position + 1) };
}

/** ACCESS-E6: twelve known words of thirteen. */
function missingWord(numbers: readonly number[]): PhraseProblem {
  // A missing check word, or one not copied, is far more common than chance (1 in 16).
  if (numbersToEntropy(numbers) !== null) return { kind: 'missing', after: PHRASE_WORDS - 1 };
  const found = positions(PHRASE_WORDS - 1).filter((at) =>
    everyNumber.some((number) =>
      hasValidCheckWord([...numbers.slice(0, at), number, ...numbers.slice(at)]),
    ),
  );
  return { kind: 'missing', after: onlyItem(found) };
}

/** Like {@link numbersToCheckedEntropy} without keeping the entropy. */
function hasValidCheckWord(numbers: readonly number[]): boolean {
  const entropy = numbersToEntropy(numbers.slice(0, PHRASE_WORDS - 1));
  return entropy !== null && checkNumber(entropy) === numbers[PHRASE_WORDS - 1];
}

const everyNumber: readonly number[] = englishWords.map((_, number) => number);

const similarNumbers = (number: number): readonly number[] =>
  everyNumber.filter((other) => other !== number && isSimilarWord(wordAt(number), wordAt(other)));

/** The number of the word closest to the typed one, `null` when two are equally close. */
function closest(word: string, numbers: readonly number[]): number | null {
  const distances = numbers.map((number) => editDistance(word, wordAt(number)));
  const least = Math.min(...distances);
  return onlyItem(numbers.filter((_, i) => distances[i] === least));
}

const onlyItem = <T>(list: readonly T[]): T | null =>
  list.length === 1 ? (list[0] ?? null) : null;
const positions = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
const replace = (list: readonly number[], at: number, value: number): readonly number[] =>
  list.map((each, i) => (i === at ? value : each));
const swap = (list: readonly number[], at: number): readonly number[] =>
  list.map((each, i) => (i === at ? list[at + 1] : i === at + 1 ? list[at] : each) ?? 0);
