/** Which passwords are accepted for a new Safe, and what a thief who also has the phrase would pay. */
import { MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS, toPassword } from './password-rules.ts';

/** ACCESS-K4. @returns log10 of the guesses needed. */
export type PasswordEstimator = (password: string) => Promise<number>;

export interface Strength {
  readonly acceptable: boolean;
  readonly sentence: string;
  readonly score: 0 | 1 | 2 | 3 | 4;
}

/** Argon2id 64 MiB t=3 on a rented graphics card: 6.7·10⁻⁸ dollars per guess. */
const guessesPerDollar = 15e6;
/** Lower estimates are refused. 10¹⁰ guesses are $330 on average. */
const weakBelow = 10;

export async function passwordStrength(
  typed: string,
  estimate: PasswordEstimator,
): Promise<Strength> {
  const problem = problemOf(typed);
  if (problem !== null) return { acceptable: false, sentence: problem, score: 0 };
  const log10 = await lowestEstimate(typed, estimate);
  const cost = money(log10);
  const thief = `A thief who also has your phrase would pay ${cost} to find this password.`;
  if (log10 < weakBelow) {
    const advice = 'Too weak: add another word or two that have nothing to do with each other.';
    return { acceptable: false, sentence: `${advice} ${thief}`, score: log10 < 6 ? 0 : 1 };
  }
  return { acceptable: true, sentence: thief, score: log10 < 12 ? 2 : log10 < 14 ? 3 : 4 };
}

/** A sentence for text that cannot be a password at all. */
function problemOf(typed: string): string | null {
  const sentences = {
    tooShort: `Use at least ${MIN_PASSWORD_CHARACTERS} characters.`,
    tooLong: `Use at most ${MAX_PASSWORD_BYTES} bytes; this password is longer.`,
    notText: 'This password contains characters no keyboard types. Type it by hand.',
  };
  const checked = toPassword(typed);
  if (!checked.ok) return sentences[checked.error];
  // As typed: NFKD makes eighteen characters of one Arabic ligature.
  const typedCharacters = [...typed.normalize('NFC')].length;
  return typedCharacters < MIN_PASSWORD_CHARACTERS ? sentences.tooShort : null;
}

/** As typed, and with the plain form of wide or decorated letters: an attacker tries both. */
async function lowestEstimate(typed: string, estimate: PasswordEstimator): Promise<number> {
  const asTyped = typed.normalize('NFC');
  const plain = typed.normalize('NFKC');
  const guesses = await estimate(asTyped);
  return plain === asTyped ? guesses : Math.min(guesses, await estimate(plain));
}

/** ACCESS-K4: half of the guesses on average, in plain figures. */
function money(log10: number): string {
  const dollars = 10 ** log10 / guessesPerDollar / 2;
  if (dollars < 1) return 'less than $1';
  if (dollars >= 1e9) return 'more than $1 billion';
  if (dollars >= 1e6) return `about $${round(dollars / 1e6)} million`;
  return `about $${round(dollars).replace(/\B(?=(\d{3})+$)/g, ' ')}`;
}

/** Two significant digits: more would claim a false precision. */
function round(value: number): string {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
  return String(Math.round(value / unit) * unit);
}
