import { describe, expect, test } from 'vitest';
import {
  firstDifferentCharacter,
  problemFix,
  problemPositions,
  problemSentence,
  typedWords,
} from '../../../src/ui/safe/phrase/phrase-sentences.ts';

const typed = 'legal winner royal year'.split(' ');

test('a phrase may be pasted with numbers, commas, capitals, new lines and wide spaces', () => {
  expect(typedWords(' 1. Legal,\n2) winner\u3000thank\u200b  13.orbit. ')).toEqual([
    'legal',
    'winner',
    'thank',
    'orbit',
  ]);
  expect(typedWords('')).toEqual([]);
});

describe('ACCESS-E1–E6: each phrase problem has a sentence', () => {
  test('ACCESS-E1: an unknown word is named, with its correction', () => {
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
  test('ACCESS-E2: a wrong word is named with the typed and the intended one', () => {
    expect(problemSentence({ kind: 'wrongWord', position: 3, suggestion: 'loyal' }, typed)).toBe(
      'Word 3 looks wrong. Did you write “royal” instead of “loyal”?',
    );
  });
  test('ACCESS-E3: several candidates are listed', () => {
    expect(problemSentence({ kind: 'oneOfThese', positions: [3, 7, 11] }, typed)).toContain(
      'words 3, 7 or 11',
    );
  });
  test('ACCESS-E4: swapped neighbours are both named', () => {
    expect(problemSentence({ kind: 'swapped', position: 4 }, typed)).toBe(
      'Words 4 and 5 may be swapped.',
    );
  });
  test('ACCESS-E6: a missing word has a position if it is known', () => {
    expect(problemSentence({ kind: 'missing', after: 5 }, typed)).toContain('after word 5');
    expect(problemSentence({ kind: 'missing', after: 0 }, typed)).toContain('the first');
    expect(problemSentence({ kind: 'missing', after: null }, typed)).toContain(
      'One word is missing',
    );
  });
  test('a wrong count names both counts', () => {
    expect(problemSentence({ kind: 'wrongCount', count: 1 }, typed)).toBe(
      'A phrase has 12 words and a check word. Here is 1 word.',
    );
  });
});

describe('fixes', () => {
  test('one tap replaces the wrong word and keeps the rest', () => {
    expect(problemFix({ kind: 'wrongWord', position: 3, suggestion: 'loyal' }, typed)?.text).toBe(
      'legal winner loyal year',
    );
  });
  test('one tap swaps two neighbours', () => {
    expect(problemFix({ kind: 'swapped', position: 2 }, typed)?.text).toBe(
      'legal royal winner year',
    );
  });
  test('without certainty nothing is suggested', () => {
    expect(problemFix({ kind: 'oneOfThese', positions: [1, 2] }, typed)).toBeNull();
    expect(
      problemFix({ kind: 'unknownWord', position: 1, word: 'x', suggestion: null }, typed),
    ).toBeNull();
    expect(problemFix({ kind: 'swapped', position: 4 }, typed)).toBeNull();
  });
  test('the marked words are those in the sentence', () => {
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
