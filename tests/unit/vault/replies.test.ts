/** Goal: every sentence about a mistyped phrase reaches the person: the page accepts each kind of problem. */
import { expect, test } from 'vitest';
import { readReply, type PhraseProblem } from '#bridge/vault.ts';
import { PHRASE_WORDS } from '#safe/credentials/phrase.ts';

type Variants = {
  readonly [Kind in PhraseProblem['kind']]: readonly Extract<PhraseProblem, { kind: Kind }>[];
};
/** Positions of words, from 1. */
const positions = Array.from({ length: PHRASE_WORDS }, (_, at) => at + 1);
const problems: Variants = {
  unknownWord: [null, 'abandon'].flatMap((suggestion) =>
    positions.map((position) => ({ kind: 'unknownWord', position, word: 'abandn', suggestion })),
  ),
  wrongWord: positions.map((position) => ({ kind: 'wrongWord', position, suggestion: 'zoo' })),
  oneOfThese: [{ kind: 'oneOfThese', positions }],
  swapped: positions.map((position) => ({ kind: 'swapped', position })),
  missing: [null, 0, ...positions].map((after) => ({ kind: 'missing', after })),
  wrongCount: [0, 1, 1000].map((count) => ({ kind: 'wrongCount', count })),
  checkFails: [{ kind: 'checkFails' }],
};

test('the page accepts every problem of a phrase, at every position', () => {
  for (const problem of Object.values(problems).flat()) {
    expect(readReply('checkPhrase', { problem })).toEqual({ problem });
  }
});
