/** How many guesses a password costs: zxcvbn with the words of four languages and of this site. */
import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import * as common from '@zxcvbn-ts/language-common';
import * as german from '@zxcvbn-ts/language-de';
import * as english from '@zxcvbn-ts/language-en';
import * as spanish from '@zxcvbn-ts/language-es-es';
import * as french from '@zxcvbn-ts/language-fr';
import { englishWords } from '#crypto/bip39.ts';

/** Characters and substitutions that are searched: each estimate takes less than half a second. */
const maxSearchedCharacters = 48;
const maxSubstitutions = 8;

/** Words that attackers of this site try first. */
const ownWords = (
  'safe mysafe opensafe safesafe moneysafe filesafe safenet safenetwork maidsafe autonomi network ' +
  'vault phrase elder section chunk token wallet account bitcoin ethereum crypto'
).split(' ');

/** @returns log10 of the guesses a password costs; making the estimator takes about a second */
export function createEstimator(): (password: string) => number {
  const zxcvbn = new ZxcvbnFactory({
    dictionary: {
      ...common.dictionary,
      ...german.dictionary,
      ...english.dictionary,
      ...spanish.dictionary,
      ...french.dictionary,
      ownWords,
      // People who have seen a recovery phrase reuse it.
      phraseWords: [...englishWords],
    },
    graphs: common.adjacencyGraphs,
    maxLength: maxSearchedCharacters,
    l33tMaxSubstitutions: maxSubstitutions,
  });
  return (password) => Math.min(zxcvbn.check(password).guessesLog10, passphraseGuesses(password));
}

/** log10 of 20 000: the size of the vocabulary people pick random words from. */
const largeDictionary = 4.3;

/**
 * The password as words between separators, each of them any word: zxcvbn overrates words whose separators
 * it reads as letters. There is no pack for Russian, Bulgarian or Greek: every word of them counts so.
 */
function passphraseGuesses(password: string): number {
  const unknown = /[\p{Script=Cyrillic}\p{Script=Greek}]/u;
  const parts = password.split(/[ \-_.,]+/).filter((part) => part !== '');
  if (parts.length < 2 && !unknown.test(password)) return Infinity;
  const costOf = (run: string, part: string): number =>
    run === part || unknown.test(run) ? Math.min(run.length, largeDictionary) : run.length;
  const cost = parts.map((part) => {
    const runs = part.match(/\p{L}+/gu) ?? [];
    const others = part.length - runs.join('').length;
    return runs.reduce((sum, run) => sum + costOf(run, part), others);
  });
  const orders = parts.map((_, index) => Math.log10(index + 1));
  return [...cost, ...orders, parts.length > 1 ? 0.5 : 0].reduce((sum, each) => sum + each, 0);
}
