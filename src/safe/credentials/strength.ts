/**
 * How many guesses a password costs a thief who also has the phrase: a deliberately low estimate.
 *
 * The cheapest way to put the password together is sought, piece by piece: common passwords and
 * words (with capitals and look-alike digits), rows of keys, counting, repetition, years; letters
 * that sound like a word count as a word of a large dictionary; whatever is left costs ten guesses
 * a character. The count of orders is a factorial, as zxcvbn does it; spaces between words are
 * nearly free.
 * {@link PasswordEstimator} is the seam for a library that knows more words.
 */
import { commonPasswords, commonWords, keyRows } from './common-passwords.ts';
import { MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS, toPassword } from './password.ts';

/** @returns log10 of the guesses needed. */
export type PasswordEstimator = (password: string) => number;

export interface Strength {
  readonly acceptable: boolean;
  readonly sentence: string;
  readonly score: 0 | 1 | 2 | 3 | 4;
}

/** Argon2id 64 MiB t=3 on a rented graphics card: 6.7·10⁻⁸ dollars a guess. */
const guessesPerDollar = 15e6;
/** Below: refused. 10¹⁰ guesses are $330 on average. */
const weakBelow = 10;

export function passwordStrength(
  typed: string,
  estimate: PasswordEstimator = estimateGuesses,
): Strength {
  const checked = toPassword(typed);
  if (!checked.ok) {
    const sentences = {
      tooShort: `Use at least ${MIN_PASSWORD_CHARACTERS} characters.`,
      tooLong: `Use at most ${MAX_PASSWORD_BYTES} bytes; this password is longer.`,
      notText: 'This password contains characters no keyboard types. Type it by hand.',
    };
    return { acceptable: false, sentence: sentences[checked.error], score: 0 };
  }
  const log10 = estimate(typed.normalize('NFKD'));
  const cost = money(log10);
  const thief = `A thief who also has your phrase would pay ${cost} to find this password.`;
  if (log10 < weakBelow) {
    const advice = 'Too weak: add another word or two that have nothing to do with each other.';
    return { acceptable: false, sentence: `${advice} ${thief}`, score: log10 < 6 ? 0 : 1 };
  }
  return { acceptable: true, sentence: thief, score: log10 < 12 ? 2 : log10 < 14 ? 3 : 4 };
}

/** Half of the guesses on average, in plain figures. */
function money(log10: number): string {
  const dollars = 10 ** log10 / guessesPerDollar / 2;
  if (dollars < 1) return 'less than $1';
  if (dollars >= 1e9) return 'more than $1 billion';
  if (dollars >= 1e6) return `about $${round(dollars / 1e6)} million`;
  return `about $${round(dollars).replace(/\B(?=(\d{3})+$)/g, ' ')}`;
}

/** Two significant digits: more would claim a precision nobody has. */
function round(value: number): string {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
  return String(Math.round(value / unit) * unit);
}

/** The cheapest split of the password into known pieces; log10 of guesses. */
export function estimateGuesses(password: string): number {
  const characters = [...password];
  // Long pastes are strong by length alone, and the search below is quadratic.
  if (characters.length > 64) return characters.length * 0.5;
  /** cheapest[i][k]: log10 of the cheapest way to make the first i characters from k pieces. */
  const cheapest: number[][] = Array.from({ length: characters.length + 1 }, () => []);
  cheapest[0] = [0];
  for (let end = 1; end <= characters.length; end++) {
    for (let start = 0; start < end; start++) {
      const separator = separatorGuesses(characters, start, end);
      const cost = separator ?? pieceGuesses(characters, start, end);
      for (const [before, sum] of (cheapest[start] ?? []).entries()) {
        if (sum === undefined) continue;
        const row = cheapest[end] ?? [];
        // A separator stands where it stands: there is no other order to try.
        const pieces = separator === null ? before + 1 : before;
        if (sum + cost < (row[pieces] ?? Infinity)) row[pieces] = sum + cost;
      }
    }
  }
  const whole = (cheapest[characters.length] ?? []).map(
    (cost, pieces) => cost + Math.log10(factorial(pieces)),
  );
  return Math.min(...whole.filter((cost) => Number.isFinite(cost)));
}

/** log10 of the guesses for one piece taken as the cheapest kind it can be. */
function pieceGuesses(characters: readonly string[], start: number, end: number): number {
  const length = end - start;
  const text = characters.slice(start, end).join('');
  const lower = text.toLowerCase();
  const costs = [length];
  const rank = rankOf(lower);
  if (rank !== null) costs.push(Math.log10(rank * (text === lower ? 1 : 4)));
  if (length >= 3 && isRun(lower, 0)) costs.push(Math.log10(30 * length));
  if (length >= 3 && (isRun(lower, 1) || isRun(lower, -1))) costs.push(Math.log10(40 * length));
  if (length >= 3 && keyRows.some((row) => row.includes(lower))) {
    costs.push(Math.log10(60 * length));
  }
  if (soundsLikeWord(text)) costs.push(largeDictionary);
  if (/^(19|20)\d\d$/.test(text)) costs.push(Math.log10(120));
  // The same once more: "hunter2hunter2" is hardly better than "hunter2".
  const before = characters.slice(0, start).join('').toLowerCase();
  if (length >= 2 && before.includes(lower)) costs.push(Math.log10(4 * length));
  return Math.min(...costs);
}

/** log10 of 20 000: the words somebody picks who is asked for any word. */
const largeDictionary = 4.3;

/** Letters with vowels among them, as words of European languages have; at most a capital first. */
function soundsLikeWord(text: string): boolean {
  if (text.length > 10 || !/^\p{L}\p{Ll}{2,}$/u.test(text)) return false;
  const letters = text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
  const vowels = letters.match(/[aeiouy]/g)?.length ?? 0;
  const share = vowels / letters.length;
  return share >= 0.2 && share <= 0.75 && !/[^aeiouy]{5}/.test(letters);
}

/** One of the usual signs between words; free from the second time on. `null` for anything else. */
function separatorGuesses(
  characters: readonly string[],
  start: number,
  end: number,
): number | null {
  const sign = characters[start] ?? '';
  if (end - start !== 1 || start === 0 || !/^[ \-_.,]$/.test(sign)) return null;
  return characters.indexOf(sign) < start ? 0 : 0.5;
}

/** Place in the lists of common passwords and words, digits read as letters; `null` when absent. */
function rankOf(lower: string): number | null {
  if (lower.length < 3) return null;
  const plain = ranks.get(lower);
  if (plain !== undefined) return plain;
  for (const one of ['l', 'i']) {
    const letters = lower.replace(/[0134578@$!|+]/g, (sign) => lookAlikes[sign] ?? one);
    const rank = letters === lower ? undefined : ranks.get(letters);
    if (rank !== undefined) return rank * 4;
  }
  return null;
}

const lookAlikes: Readonly<Record<string, string>> = {
  '0': 'o',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '8': 'b',
  '@': 'a',
  $: 's',
  '+': 't',
};

const ranks: ReadonlyMap<string, number> = new Map(
  // Reversed, so that the better rank of a word that is in both lists stays.
  [
    ...commonPasswords.map((word, i) => [word, i + 1] as const),
    // A word costs what picking from a few thousand costs, however common it is.
    ...commonWords.map((word) => [word, 2048] as const),
  ].reverse(),
);

function isRun(text: string, step: number): boolean {
  for (let i = 1; i < text.length; i++) {
    if (text.charCodeAt(i) - text.charCodeAt(i - 1) !== step) return false;
  }
  return true;
}

const factorial = (n: number): number => (n <= 1 ? 1 : n * factorial(n - 1));
