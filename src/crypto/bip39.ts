/** BIP39 word lists and the 12-word form, over @scure/bip39; English for now. */
import { entropyToMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { assert } from '#core/assert.ts';
import { sha256 } from './hash.ts';

/** 2048 words in BIP39 order. */
export const englishWords: readonly string[] = wordlist;

export const PHRASE_ENTROPY_BYTES = 16;

/** @param entropy 16 random bytes @returns 12 words; the last one contains 4 check bits (BIP39). */
export function entropyToWords(entropy: Uint8Array): readonly string[] {
  assert(entropy.length === PHRASE_ENTROPY_BYTES, 'a phrase has 16 bytes of entropy');
  return entropyToMnemonic(entropy, wordlist).split(' ');
}

/**
 * The 16 bytes of 12 word numbers, `null` when the 4 check bits do not match. It takes numbers,
 * because the search for a mistyped word tries tens of thousands of phrases.
 */
export function numbersToEntropy(numbers: readonly number[]): Uint8Array | null {
  assert(numbers.length === 12, 'twelve words');
  let bits = 0n;
  for (const number of numbers) bits = (bits << 11n) | BigInt(number);
  const check = Number(bits & 15n);
  bits >>= 4n;
  const entropy = new Uint8Array(PHRASE_ENTROPY_BYTES);
  for (let i = PHRASE_ENTROPY_BYTES - 1; i >= 0; i--) {
    entropy[i] = Number(bits & 255n);
    bits >>= 8n;
  }
  return (sha256(entropy)[0] ?? 0) >> 4 === check ? entropy : null;
}
