/** What comments and test names cite: files, rules and decisions. */
import { basename, dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { citedIn } from './rules-index.ts';

/** The comments of a source file, and its strings that begin with a rule id: test names, refusals. */
export function citingTexts(path: string, text: string): readonly string[] {
  if (path.endsWith('.svelte')) {
    return [...text.matchAll(/\/\*[\s\S]*?\*\/|(?<![:'"])\/\/.*|<!--[\s\S]*?-->/g)].map(
      ([comment]) => comment,
    );
  }
  const found: string[] = [];
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const seen = new Set<number>();
  const visit = (node: ts.Node): void => {
    const ranges = [
      ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.getEnd()) ?? []),
    ];
    for (const { pos, end } of ranges) {
      if (!seen.has(pos)) found.push(text.slice(pos, end));
      seen.add(pos);
    }
    if (ts.isStringLiteralLike(node) && /^[A-Z][A-Z-]*\d+\b/.test(node.text)) found.push(node.text);
    // Tokens too: a brace may follow a comment.
    for (const child of node.getChildren(file)) visit(child);
  };
  visit(file);
  return found;
}

const fileName =
  /(?<![\w@/.<{*+-])(?:\.{0,2}\/)?(?:[\w.-]+\/)*[\w-][\w.-]*\.(?:ts|js|svelte|md|html|css)\b(?!\()/g;

/** Names that look like files of the tree; pages that a browser asks for, and a placeholder. */
const notFiles = /^(?:Node\.js|index\.html|bench\/NAME\.ts)$/;

/** Files that a text names and that are neither near `path`, nor one file of the tree. */
export function deadFiles(path: string, text: string, files: readonly string[]): readonly string[] {
  const known = new Set(files);
  return [...text.matchAll(fileName)]
    .map(([name]) => name)
    .filter((name) => !notFiles.test(name))
    .filter((name) => {
      if (known.has(normalize(join(dirname(path), name))) || known.has(name)) return false;
      if (known.has(join('src', name)) || known.has(join('docs', name))) return false;
      const ends = files.filter((file) =>
        name.includes('/') ? file.endsWith(`/${name}`) : basename(file) === name,
      );
      return ends.length !== 1;
    });
}

/** Ids that look like rules and mean something else: curves, keys in an example. */
const otherIds = /^(?:G1|G2|K1|D1|D2)$/;

/** Rule ids in a text that docs/spec does not define, and short ones that could mean several. */
export function deadRules(text: string, defined: ReadonlySet<string>): readonly string[] {
  const short = [...text.matchAll(/(?<![\w#%.–-])[A-MO-Z]\d{1,2}(?![\w.])/g)]
    .map(([id]) => id)
    .filter((id) => !otherIds.test(id));
  const looksCited = (id: string): boolean => /^N\d|^[A-Z-]{3,}-[A-Z]\d/.test(id);
  return [...short, ...citedIn(text).filter((id) => looksCited(id) && !defined.has(id))];
}

/** The numbers of decisions that a text cites: "decision 12", "decisions 3 and 4". */
export const citedDecisions = (text: string): readonly number[] =>
  [...text.matchAll(/\bdecisions? (\d+)(?: and (\d+))?/g)].flatMap(([, ...numbers]) =>
    numbers.filter((each) => each !== undefined).map(Number),
  );
