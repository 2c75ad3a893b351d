/** The sentences for a wrong phrase: messages ACCESS-E1–E6. */
import type { PhraseProblem } from '#bridge/vault.ts';
import { orList } from '../../shared/format.ts';

/** A person's text as words: any white space, commas and numbering are fine. */
export const typedWords = (text: string): readonly string[] =>
  text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u200b-\u200d\u2060\ufeff]/g, '')
    .split(/[\s,;•·]+/)
    .map((word) => word.replace(/^\d+[.)]?/, '').replace(/[.:]+$/, ''))
    .filter((word) => word !== '');

/** A correction a person may take with one tap; `text` is the whole corrected phrase. */
export interface PhraseFix {
  readonly kind: 'useWord' | 'swap';
  readonly word: string;
  readonly text: string;
}

export function problemSentence(problem: PhraseProblem, typed: readonly string[]): string {
  switch (problem.kind) {
    case 'unknownWord':
      return problem.suggestion === null
        ? `“${problem.word}” (word ${problem.position}) isn't in the English list. Check how it is written on your paper.`
        : `“${problem.word}” isn't in the English list. Did you mean “${problem.suggestion}”?`;
    case 'wrongWord':
      return `Word ${problem.position} looks wrong. Did you write “${typed[problem.position - 1] ?? ''}” instead of “${problem.suggestion}”?`;
    case 'oneOfThese':
      return `Check words ${orList(problem.positions)}: one of them is probably misread.`;
    case 'swapped':
      return `Words ${problem.position} and ${problem.position + 1} may be swapped.`;
    case 'missing':
      if (problem.after === null)
        return 'One word is missing. Compare with your paper, word by word.';
      return problem.after === 0
        ? 'One word is missing, probably the first.'
        : `One word is missing, probably after word ${problem.after}.`;
    case 'wrongCount':
      return `A phrase has 12 words and a check word. Here ${problem.count === 1 ? 'is 1 word' : `are ${problem.count} words`}.`;
    case 'checkFails':
      return "These words don't belong together. Check the order, and that all of them are from the same sheet.";
  }
}

/** Positions (from 1) the problem points at, for marking them. */
export function problemPositions(problem: PhraseProblem | null): readonly number[] {
  if (problem === null) return [];
  if (problem.kind === 'unknownWord' || problem.kind === 'wrongWord') return [problem.position];
  if (problem.kind === 'oneOfThese') return problem.positions;
  if (problem.kind === 'swapped') return [problem.position, problem.position + 1];
  return [];
}

export function problemFix(problem: PhraseProblem, typed: readonly string[]): PhraseFix | null {
  if (
    (problem.kind === 'unknownWord' || problem.kind === 'wrongWord') &&
    problem.suggestion !== null
  ) {
    const word = problem.suggestion;
    const words = typed.map((old, index) => (index === problem.position - 1 ? word : old));
    return { kind: 'useWord', word, text: words.join(' ') };
  }
  if (problem.kind === 'swapped') {
    const words = [...typed];
    const [left, right] = [words[problem.position - 1], words[problem.position]];
    if (left === undefined || right === undefined) return null;
    words.splice(problem.position - 1, 2, right, left);
    return { kind: 'swap', word: '', text: words.join(' ') };
  }
  return null;
}

/** First position (from 1) where two lists of words differ, or null. */
export function firstDifference(left: readonly string[], right: readonly string[]): number | null {
  const length = Math.max(left.length, right.length);
  for (let index = 0; index < length; index++) if (left[index] !== right[index]) return index + 1;
  return null;
}

/** First character (from 1) where two entries differ, counted as a person counts; null when equal. */
export const firstDifferentCharacter = (left: string, right: string): number | null =>
  firstDifference([...left], [...right]);
