/**
 * The phrase: 12 English BIP39 words that carry 16 random bytes, and a check word of 11 bits.
 *
 * m          = HKDF(ikm = entropy ‖ u8(length), salt = 'safe/v1/phrase', info = 'safe/v1/member', 32)
 * check word = the first 11 bits of HKDF(m, '', 'safe/v1/checkword', 2)
 *
 * The check word brings undetected typing errors from 6 % down to 3·10⁻⁵ and locates the
 * wrong word (`phrase-problem.ts`).
 */
import { concat, utf8 } from '#core/codec/bytes.ts';
import { Secret } from '#core/secret.ts';
import { englishWords, entropyToWords, numbersToEntropy } from '#crypto/bip39.ts';
import { hkdf } from '#crypto/hash.ts';

/** 12 words and the check word. */
export const PHRASE_WORDS = 13;

const numberByWord: ReadonlyMap<string, number> = new Map(
  englishWords.map((word, number) => [word, number]),
);
/** The English list is unique in the first four letters, and sheets often show only those. */
const numberByStem: ReadonlyMap<string, number> = new Map(
  englishWords
    .filter((word) => word.length > 4)
    .map((word) => [word.slice(0, 4), wordNumber(word)]),
);

/** @param entropy 16 random bytes @returns the 13 words to write down. */
export function newPhrase(entropy: Uint8Array): readonly string[] {
  return [...entropyToWords(entropy), wordAt(checkNumber(entropy))];
}

/** The member key m of a phrase: the root of everything the phrase opens. */
export function phraseMemberKey(entropy: Uint8Array): Secret {
  const ikm = concat(entropy, Uint8Array.of(entropy.length));
  return new Secret(hkdf(ikm, utf8('safe/v1/phrase'), 'safe/v1/member', 32));
}

/** The number of the check word of these 16 bytes. */
export function checkNumber(entropy: Uint8Array): number {
  const member = phraseMemberKey(entropy);
  const bytes = hkdf(member.reveal(), new Uint8Array(), 'safe/v1/checkword', 2);
  member.wipe();
  return (((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)) >> 5;
}

/**
 * ACCESS-K3: the words a person meant, without artefacts of typing, pasting or dictation: case, accents, commas,
 * numbering, bullets, no-break and zero-width spaces.
 */
export function splitPhrase(typed: string): readonly string[] {
  return typed
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}|[\u200b-\u200f\u2060\ufeff]/gu, '')
    .split(/[^\p{L}\p{N}]+/u)
    .map((word) => word.replace(/^\p{N}+/u, ''))
    .filter((word) => word !== '');
}

/** @returns the word's number; also for its first four or more letters; `null` when unknown. */
export function findWordNumber(word: string): number | null {
  const exact = numberByWord.get(word);
  if (exact !== undefined) return exact;
  const long = numberByStem.get(word.slice(0, 4));
  return word.length >= 4 && long !== undefined && wordAt(long).startsWith(word) ? long : null;
}

/** @returns the 16 bytes of 13 word numbers, `null` when check bits or check word do not match. */
export function numbersToCheckedEntropy(numbers: readonly number[]): Uint8Array | null {
  const entropy = numbersToEntropy(numbers.slice(0, PHRASE_WORDS - 1));
  if (entropy === null) return null;
  return checkNumber(entropy) === numbers[PHRASE_WORDS - 1] ? entropy : null;
}

export const wordAt = (number: number): string => englishWords[number] ?? '';

function wordNumber(word: string): number {
  return numberByWord.get(word) ?? 0;
}
