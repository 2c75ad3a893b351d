/**
 * Collects docs/rules.md: the rules from the headings of docs/spec, their code and tests from every
 * place that cites them, and their callers from the imports of `src/`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { modules, programs } from './module-graph.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const ruleId = /(?<![\w-])(N\d{1,2}|[A-Z]+(?:-[A-Z]+)*-[A-Z]\d{1,2})(?:–[A-Z]?(\d{1,2}))?(?!\w)/g;

export interface Rule {
  readonly id: string;
  readonly title: string;
  /** The page in docs/spec. */
  readonly page: string;
  readonly heading: string;
  /** What is not built of it, as written there; empty if all is. */
  readonly missing: string;
  /** Tests whose names do not cite the rule. */
  readonly alsoShownBy: readonly string[];
}

/** Every rule that a text cites; `DKG-D1–D3` and `N13–N15` are three rules each. */
export function citedIn(text: string): readonly string[] {
  return [...text.matchAll(ruleId)].flatMap(([, first = '', last]) => {
    const [, family = '', from] = /^(.*?)(\d+)$/.exec(first) ?? [];
    const count = last === undefined ? 1 : Number(last) - Number(from) + 1;
    return Array.from({ length: Math.max(1, count) }, (_, i) => `${family}${Number(from) + i}`);
  });
}

/** All rules, in the order of the pages that docs/spec/README.md lists. */
export function definedRules(): readonly Rule[] {
  const listed = [...read('docs/spec/README.md').matchAll(/^- \[[^\]]*\]\((\w[\w-]*\.md)\)/gm)];
  return listed.flatMap(([, page = '']) => {
    const [, ...sections] = read(`docs/spec/${page}`).split(/^### (?=[A-Z][\w-]*: )/m);
    return sections.map((section) => {
      const [heading = '', ...body] = section.split('\n');
      const [id = '', title = ''] = heading.split(/: (.*)/);
      const text = body.join('\n').split(/^#/m)[0] ?? '';
      const part = (name: string): string =>
        (new RegExp(`\\*\\*${name}\\*\\* ([\\s\\S]*?)(?:\\n\\n|$)`).exec(text)?.[1] ?? '')
          .replaceAll('\n', ' ')
          .replaceAll('](../', '](')
          .trim();
      const quoted = (name: string): readonly string[] => part(name).match(/`[^`]+` “.+?”/g) ?? [];
      return {
        id,
        title,
        page,
        heading,
        missing: part('Missing.'),
        alsoShownBy: quoted('Also shown by'),
      };
    });
  });
}

interface Place {
  readonly path: string;
  /** The top-level declaration that cites the rule; undefined for the head of a file. */
  readonly name: string | undefined;
}

const namesOf = (statement: ts.Statement): readonly string[] => {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) =>
      ts.isIdentifier(name) ? [name.text] : [],
    );
  }
  const named = statement as { readonly name?: ts.Node };
  return named.name !== undefined && ts.isIdentifier(named.name) ? [named.name.text] : [];
};

/** Where `src/` cites each rule. */
function citations(): ReadonlyMap<string, readonly Place[]> {
  const found = new Map<string, Place[]>();
  const add = (text: string, place: Place): void => {
    for (const id of new Set(citedIn(text))) {
      const places = found.get(id) ?? [];
      if (!places.some(({ path, name }) => path === place.path && name === place.name)) {
        found.set(id, [...places, place]);
      }
    }
  };
  for (const path of modules.keys()) {
    const text = read(join('src', path));
    if (path.endsWith('.svelte')) {
      add(text, { path, name: undefined });
      continue;
    }
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    for (const [i, statement] of file.statements.entries()) {
      const [name] = namesOf(statement);
      if (i === 0) {
        // Every comment before the first statement but the last one is about the file.
        const start = statement.getStart();
        const head = name === undefined ? start : text.lastIndexOf('\n\n', start);
        add(text.slice(0, Math.max(0, head)), { path, name: undefined });
        add(text.slice(Math.max(0, head), statement.end), { path, name });
      } else add(statement.getFullText(), { path, name });
    }
  }
  return found;
}

interface Step {
  readonly path: string;
  readonly name: string;
  readonly by: Step | undefined;
}

/** Everything that a program reaches, each with what uses it on the shortest path. */
function reachedFrom(program: (path: string) => boolean): ReadonlyMap<string, Step> {
  const steps = new Map<string, Step>();
  const queue: Step[] = [];
  const loaded = new Set<string>();
  const use = (path: string, name: string, by: Step | undefined): void => {
    const module = modules.get(path);
    if (module === undefined || module.types.has(name) || steps.has(`${path} ${name}`)) return;
    const passedOn = module.passedOn.get(name);
    if (passedOn !== undefined) return follow(passedOn, by);
    if (!module.declared.has(name)) {
      for (const target of module.allPassedOn) use(target, name, by);
      return;
    }
    const step = { path, name, by };
    steps.set(`${path} ${name}`, step);
    queue.push(step);
  };
  const follow = (
    { target, name }: { target: string; name: string },
    by: Step | undefined,
  ): void => (name === '*' ? whole(target, by) : use(target, name, by));
  const load = (path: string, by: Step | undefined): void => {
    const module = modules.get(path);
    if (module === undefined || loaded.has(path)) return;
    loaded.add(path);
    const here = { path, name: '', by };
    for (const name of module.atLoad) {
      const imported = module.imported.get(name);
      if (imported !== undefined) follow(imported, here);
      else use(path, name, here);
    }
    for (const each of module.loaded) whole(each, here);
    for (const { target } of [...module.imported.values(), ...module.passedOn.values()]) {
      load(target, here);
    }
  };
  const whole = (path: string, by: Step | undefined): void => {
    load(path, by);
    const module = modules.get(path);
    for (const name of [...(module?.exported ?? []), ...(module?.passedOn.keys() ?? [])]) {
      use(path, name, by);
    }
    for (const target of module?.allPassedOn ?? []) whole(target, by);
  };
  for (const path of modules.keys()) if (program(path)) whole(path, undefined);
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    const module = modules.get(step.path);
    for (const name of module?.declared.get(step.name) ?? []) {
      const imported = module?.imported.get(name);
      if (imported !== undefined) follow(imported, step);
      else if (name !== step.name) use(step.path, name, step);
    }
  }
  return steps;
}

const programNames = ['node', 'service worker', 'vault', 'page'] as const;
const programOf = [/^node\//, /^service-worker\//, /^vault\//, /^routes\//];

interface Shown {
  readonly tests: readonly string[];
  readonly planted: readonly string[];
}

/** The tests and planted bugs whose names cite a rule. */
function testsByRule(): ReadonlyMap<string, Shown> {
  const found = new Map<string, { tests: Set<string>; planted: Set<string> }>();
  const files = readdirSync(join(root, 'tests'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('support/'))
    .map((path) => join('tests', path))
    .sort();
  for (const path of files) {
    const add = (text: string, planted: boolean): void => {
      for (const id of citedIn(text)) {
        const shown = found.get(id) ?? { tests: new Set(), planted: new Set() };
        found.set(id, shown);
        shown[planted ? 'planted' : 'tests'].add(`\`${path}\` “${text}”`);
      }
    };
    const visit = (node: ts.Node, planted: boolean): void => {
      let within = planted;
      if (ts.isCallExpression(node)) {
        const [name] = node.arguments;
        const text = name !== undefined && ts.isStringLiteralLike(name) ? name.text : undefined;
        if (text !== undefined && /^(test|describe|it)\b/.test(node.expression.getText())) {
          within ||= /^planted/i.test(text);
          add(text, within);
        }
      } else if (ts.isVariableDeclaration(node))
        within ||= /planted|mutants/i.test(node.name.getText());
      else if (ts.isPropertyAssignment(node)) {
        if (ts.isStringLiteral(node.name)) add(node.name.text, within);
        else if (node.name.getText() === 'name' && ts.isStringLiteralLike(node.initializer)) {
          add(node.initializer.text, within);
        }
      }
      ts.forEachChild(node, (child) => visit(child, within));
    };
    const file = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);
    visit(file, /mutants|planted/.test(path));
  }
  return new Map(
    [...found].map(([id, { tests, planted }]) => [
      id,
      { tests: [...tests], planted: [...planted] },
    ]),
  );
}

export interface IndexedRule extends Rule, Shown {
  /** `path (names)`, below `src/`. */
  readonly code: readonly string[];
  /** What uses that code from another folder, on the way from a program. */
  readonly callers: readonly string[];
  readonly programs: readonly string[];
}

export function indexedRules(): readonly IndexedRule[] {
  const cited = citations();
  const shown = testsByRule();
  const reached = programOf.map((folder) =>
    reachedFrom((path) => folder.test(path) && programs.some((each) => each.test(path))),
  );
  return definedRules().map((rule) => {
    const places = cited.get(rule.id) ?? [];
    const isType = ({ path, name }: Place): boolean =>
      name !== undefined && (modules.get(path)?.types.has(name) ?? false);
    const values = places.filter((each) => each.name !== undefined && !isType(each));
    const used = values.length > 0 ? values : places.filter((each) => !isType(each));
    const files = [...new Set(used.map(({ path }) => path))];
    const code = files.map((file) => {
      const names = used.flatMap(({ path, name }) =>
        path === file && name !== undefined ? [`\`${name}\``] : [],
      );
      return `\`${file}\`${names.length > 0 ? ` (${names.join(', ')})` : ''}`;
    });
    const callers = new Set<string>();
    const runsIn = new Set<string>();
    for (const [i, steps] of reached.entries()) {
      for (const { path, name } of used) {
        const names = name === undefined ? [...(modules.get(path)?.exported ?? [])] : [name];
        for (const step of names.flatMap((each) => steps.get(`${path} ${each}`) ?? [])) {
          runsIn.add(programNames[i] ?? '');
          let caller = step.by;
          while (caller && (dirname(caller.path) === dirname(path) || caller.name === '')) {
            caller = caller.by;
          }
          if (caller) callers.add(`\`${caller.name}\` in \`${caller.path}\``);
        }
      }
    }
    return {
      ...rule,
      code,
      callers: [...callers],
      programs: [...runsIn],
      tests: [...new Set([...(shown.get(rule.id)?.tests ?? []), ...rule.alsoShownBy])],
      planted: shown.get(rule.id)?.planted ?? [],
    };
  });
}

const liesFile = 'tests/sim/adversary/planted.ts';

const head = `<!-- Written by \`npm run rules\` from docs/spec, src and tests. Change those, not this file. -->

# Rules

For each rule of the [specification](spec/README.md): the code that cites it (paths in \`src\`), the function that
uses this code from another folder, the programs that reach it, tests, planted bugs that these tests find, and
**what is missing**. A rule without code is not built.

Simulator tests cover lost, delayed and duplicated messages, partitions, crashes between any two effects, and
two liars of seven. They use toy curves, and real curves for one seed of each scenario
(\`tests/sim/full-node/real-curves.test.ts\`, \`tests/long/real-curves.test.ts\`). Tests between real processes are
in [tests/network](../tests/network/network.test.ts). The scenario \`lies\`
([lies.test.ts](../tests/sim/adversary/lies.test.ts)) tests no single rule: two elders, an adult and unknown nodes
send well-formed messages of every kind at any time; [planted.ts](../tests/sim/adversary/planted.ts) plants bugs
that it must find.
`;

/** The text of docs/rules.md. */
export function rulesIndex(): string {
  const parts: string[] = [head];
  let page = '';
  for (const rule of indexedRules()) {
    if (rule.page !== page) {
      page = rule.page;
      const title = /^# (.*)$/m.exec(read(`docs/spec/${page}`))?.[1] ?? page;
      parts.push(`## ${title}\n`);
    }
    const anchor = rule.heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const list = (name: string, items: readonly string[]): readonly string[] => {
      if (items.length === 0) return [];
      if (items.length === 1) return [`- ${name}: ${items[0] ?? ''}`];
      return [`- ${name}:`, ...items.map((item) => `  - ${item}`)];
    };
    const programsText = rule.programs.length > 0 ? [rule.programs.join(', ')] : [];
    parts.push(
      [
        `### [${rule.id}](spec/${rule.page}#${anchor}): ${rule.title}\n`,
        ...list('code', [rule.code.join(', ')].filter(Boolean)),
        ...list('called by', rule.callers.length > 0 ? [rule.callers.join(', ')] : []),
        ...list('runs in', programsText),
        ...list('tests', rule.tests),
        ...list('planted bugs', rule.planted),
        ...list('missing', rule.missing === '' ? [] : [rule.missing]),
        '',
      ].join('\n'),
    );
  }
  const lies = [...read(liesFile).matchAll(/^ {4}name: '(.*)',$/gm)].map(
    ([, name = '']) => `- \`${liesFile}\` “${name}”`,
  );
  parts.push('## Planted bugs of no single rule\n', ...lies, '');
  return parts.join('\n');
}
