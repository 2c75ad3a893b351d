/**
 * Goal: the project is written in plain English, with the field's own terms.
 * Method: comments, documents, names of tests, texts of the programs and exported names are searched
 * for the retired words of `tests/vocabulary.ts`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exceptions, retired, type Retired } from './vocabulary.ts';

const root = resolve(import.meta.dirname, '..');

interface Passage {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

function filesUnder(folder: string, ending: RegExp): readonly string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => ending.test(path) && !path.includes('node_modules'))
    .filter((path) => statSync(join(root, path)).isFile())
    .sort();
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
/** The lists of words themselves are no use of them. */
const code = ['src', 'tests', 'bench', 'bin']
  .flatMap((folder) => filesUnder(folder, /\.(ts|js|svelte)$/))
  .filter((path) => !path.startsWith('tests/vocabulary'));

/** Measurements are records, and keep their words. */
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...['docs', 'src', 'tests', 'bench'].flatMap((folder) => filesUnder(folder, /\.md$/)),
].filter((path) => !/^docs\/measurements\//.test(path));

/** Code spans, blocks, link targets, and labels that are part of signed bytes. */
const withoutCode = (text: string): string =>
  text
    .replace(/```[\s\S]*?```/g, (block) => block.replace(/[^\n]/g, ' '))
    .replace(/`[^`\n]*`/g, (span) => ' '.repeat(span.length))
    .replace(/\]\([^)]*\)/g, (link) => ' '.repeat(link.length))
    .replace(/\{@link \w+\}/g, (link) => ' '.repeat(link.length))
    .replace(/safe\/v1\/[\w/-]+/g, (label) => ' '.repeat(label.length));

function matchesIn(path: string, pattern: RegExp, clean = withoutCode): readonly Passage[] {
  const text = read(path);
  return [...text.matchAll(pattern)].map((match) => ({
    path,
    line: text.slice(0, match.index).split('\n').length,
    text: clean(match[1] ?? match[0]),
  }));
}

const asIs = (text: string): string => text;
const comment = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*$|<!--[\s\S]*?-->/gm;
const testName =
  /\b(?:test|describe|it)(?:\.\w+)*(?:\((?:[^()]|\([^()]*\))*\))?\(\s*(?:'((?:[^'\\]|\\.)+)'|"[^"]+"|`[^`]+`)/g;
const sentence = /'((?:[^'\\\n]|\\.)*\s(?:[^'\\\n]|\\.)*)'/g;
const exportedName =
  /^export (?:async )?(?:const|function|class|interface|type|abstract class) (\w+)/gm;

const wordsOf = (name: string): string =>
  name.replace(/([a-z\d])([A-Z])/g, '$1 $2').replace(/[-_.]/g, ' ');

const passages: Readonly<Record<string, readonly Passage[]>> = {
  C: code.flatMap((path) => matchesIn(path, comment)),
  D: documents.flatMap((path) => matchesIn(path, /^.*$/gm, asIs)).map(blankCode()),
  T: code.filter((path) => path.endsWith('.test.ts')).flatMap((path) => matchesIn(path, testName)),
  U: code
    .filter((path) => /^src\/(vault|service-worker|node)\//.test(path))
    .flatMap((path) => matchesIn(path, sentence)),
  I: [
    ...code.flatMap((path) => matchesIn(path, exportedName, wordsOf)),
    ...code.map((path) => ({ path, line: 1, text: wordsOf(basename(path)) })),
  ],
};

/** Documents are searched line by line; a code block spans lines. */
function blankCode(): (passage: Passage) => Passage {
  let isCode = false;
  let path = '';
  return (passage) => {
    if (passage.path !== path) isCode = false;
    ({ path } = passage);
    if (passage.text.trimStart().startsWith('```')) {
      isCode = !isCode;
      return { ...passage, text: '' };
    }
    return { ...passage, text: isCode ? '' : withoutCode(passage.text) };
  };
}

interface Found extends Passage {
  readonly scope: string;
  readonly word: string;
  readonly rule: Retired;
}

const usedExceptions = new Set<number>();
const isExcepted = (path: string, word: string): boolean => {
  const at = exceptions.findIndex(
    ({ word: pattern, where }) => pattern.test(word) && where.test(path),
  );
  if (at >= 0) usedExceptions.add(at);
  return at >= 0;
};

const found: readonly Found[] = retired.flatMap((rule) =>
  [...rule.scope].flatMap((scope) =>
    (passages[scope] ?? []).flatMap((passage) => {
      const all = new RegExp(rule.pattern.source, `${rule.pattern.flags.replace('g', '')}g`);
      return [...passage.text.matchAll(all)]
        .map(([word]) => word)
        .filter((word) => !isExcepted(passage.path, word))
        .map((word) => ({ ...passage, scope, word, rule }));
    }),
  ),
);

const show = ({ path, line, word, rule, scope }: Found): string =>
  `${path}:${line} [${scope}] "${word}" → ${rule.use}`;

describe('retired words', () => {
  test('are not used', () => {
    expect(found.map(show)).toEqual([]);
  });

  test('every exception is used', () => {
    expect(exceptions.filter((_, i) => !usedExceptions.has(i))).toEqual([]);
  });
});
