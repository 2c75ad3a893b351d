import { describe, expect, test } from 'vitest';
import {
  firstDifferentCharacter,
  problemFix,
  problemPositions,
  problemSentence,
  wordsOf,
} from '../../../src/ui/safe/phrase-sentences.ts';

const typed = 'legal winner royal year'.split(' ');

test('a phrase may be pasted with numbers, commas, capitals, new lines and wide spaces', () => {
  expect(wordsOf(' 1. Legal,\n2) winner\u3000thank\u200b  13.orbit. ')).toEqual([
    'legal',
    'winner',
    'thank',
    'orbit',
  ]);
  expect(wordsOf('')).toEqual([]);
});

describe('D.9: what is wrong is said in words', () => {
  test('E-01: an unknown word is named, with the word meant', () => {
    expect(
      problemSentence(
        { kind: 'unknownWord', position: 3, word: 'recieve', suggestion: 'receive' },
        typed,
      ),
    ).toBe("“recieve” isn't in the English list. Did you mean “receive”?");
    expect(
      problemSentence({ kind: 'unknownWord', position: 3, word: 'qqq', suggestion: null }, typed),
    ).toContain('word 3');
  });
  test('E-02: a wrong word is named with what was typed and what was meant', () => {
    expect(problemSentence({ kind: 'wrongWord', position: 3, suggestion: 'loyal' }, typed)).toBe(
      'Word 3 looks wrong. Did you write “royal” instead of “loyal”?',
    );
  });
  test('E-03: several candidates are listed', () => {
    expect(problemSentence({ kind: 'oneOfThese', positions: [3, 7, 11] }, typed)).toContain(
      'words 3, 7 or 11',
    );
  });
  test('E-04: swapped neighbours are both named', () => {
    expect(problemSentence({ kind: 'swapped', position: 4 }, typed)).toBe(
      'Words 4 and 5 may be swapped.',
    );
  });
  test('E-06: a missing word has a place when the place is known', () => {
    expect(problemSentence({ kind: 'missing', after: 5 }, typed)).toContain('after word 5');
    expect(problemSentence({ kind: 'missing', after: 0 }, typed)).toContain('the first');
    expect(problemSentence({ kind: 'missing', after: null }, typed)).toContain(
      'One word is missing',
    );
  });
  test('a wrong count says both counts', () => {
    expect(problemSentence({ kind: 'wrongCount', count: 1 }, typed)).toBe(
      'A phrase has 12 words and a check word. Here is 1 word.',
    );
  });
});

describe('fixes', () => {
  test('one tap puts the right word in its place and leaves the rest', () => {
    expect(problemFix({ kind: 'wrongWord', position: 3, suggestion: 'loyal' }, typed)?.text).toBe(
      'legal winner loyal year',
    );
  });
  test('one tap swaps two neighbours', () => {
    expect(problemFix({ kind: 'swapped', position: 2 }, typed)?.text).toBe(
      'legal royal winner year',
    );
  });
  test('nothing is offered when nothing is certain', () => {
    expect(problemFix({ kind: 'oneOfThese', positions: [1, 2] }, typed)).toBeNull();
    expect(
      problemFix({ kind: 'unknownWord', position: 1, word: 'x', suggestion: null }, typed),
    ).toBeNull();
    expect(problemFix({ kind: 'swapped', position: 4 }, typed)).toBeNull();
  });
  test('the marked words are the ones the sentence names', () => {
    expect(problemPositions({ kind: 'swapped', position: 4 })).toEqual([4, 5]);
    expect(problemPositions({ kind: 'checkFails' })).toEqual([]);
    expect(problemPositions(null)).toEqual([]);
  });
});

test('two entries differ at a character a person can count to, emoji and all', () => {
  expect(firstDifferentCharacter('sommer', 'somner')).toBe(4);
  expect(firstDifferentCharacter('🦊🦊a', '🦊🦊b')).toBe(3);
  expect(firstDifferentCharacter('abc', 'abcd')).toBe(4);
  expect(firstDifferentCharacter('abc', 'abc')).toBeNull();
});
