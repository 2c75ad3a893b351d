/**
 * Goal: the documents agree with the code.
 * Method: every path, link, name, number and test that a document mentions is looked up.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { citedDecisions, citingTexts, deadFiles, deadRules } from './support/citations.ts';
import { indexedRules, rulesIndex, type IndexedRule } from './support/rules-index.ts';

const root = resolve(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

function filesUnder(folder: string, ending: RegExp): readonly string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => ending.test(path) && statSync(join(root, path)).isFile())
    .sort();
}

const sources = [...filesUnder('src', /\.(ts|svelte)$/)];
const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...filesUnder('docs', /\.md$/),
  ...filesUnder('src', /README\.md$/),
  ...filesUnder('tests', /README\.md$/),
  'bench/README.md',
];

/** Rows of all tables whose head begins with these cells, cells trimmed. */
function rowsOf(document: string, ...head: readonly string[]): readonly (readonly string[])[] {
  const rows: (readonly string[])[] = [];
  let wanted = false;
  for (const line of read(document).split('\n')) {
    if (!line.startsWith('|')) {
      wanted = false;
      continue;
    }
    const cells = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (head.every((word, i) => cells[i] === word)) wanted = true;
    else if (wanted && !/^[-: ]+$/.test(cells[0] ?? '')) rows.push(cells);
  }
  return rows;
}

const codeIn = (cell: string | undefined): readonly string[] =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');

describe('paths', () => {
  test.each(documents)('%s: every link leads to a file', (document) => {
    const broken = [...read(document).matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)]
      .map((match) => match[1] ?? '')
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => !existsSync(join(root, dirname(document), link)));
    expect(broken).toEqual([]);
  });

  test.each(documents)('%s: every path named exists', (document) => {
    const named = read(document).matchAll(
      /(?<![\w/.#-])(?:src|tests|docs|bin|bench|static|\.ci)\/[\w./[\]-]*/g,
    );
    const missing = [...named]
      .map((match) => match[0].replace(/[.\]]+$/, ''))
      .filter((path) => !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });

  test('every decision and every specification is in the index', () => {
    const index = read('docs/README.md');
    const wanted = documents.filter(
      (path) => /^docs\/(decisions|spec)\//.test(path) || /^src\/.*\/README\.md$/.test(path),
    );
    expect(wanted.filter((path) => !index.includes(relative('docs', path)))).toEqual([]);
  });

  test('a README of a folder links up, and a page above links back', () => {
    const folders = documents.filter((path) => /^(src|tests|bench)\/.*README\.md$/.test(path));
    const above = documents.filter((path) =>
      /^docs\/(spec\/.*|architecture|simulation|threats|README)\b/.test(path),
    );
    const alone = folders.filter((path) => {
      const up = [...read(path).matchAll(/\]\(([^)#]+\.md)/g)]
        .map(([, link = '']) => join(dirname(path), link))
        .some((target) => target.startsWith('docs/'));
      const back = above.some((page) => read(page).includes(`](${relative(dirname(page), path)}`));
      return !up || !back;
    });
    expect(alone).toEqual([]);
  });

  test('a picture is small enough to clone', () => {
    const pictures = filesUnder('docs', /\.png$/);
    expect(pictures.length).toBeGreaterThan(0);
    expect(pictures.filter((path) => statSync(join(root, path)).size > 150_000)).toEqual([]);
  });

  test('no file names a path of one machine', () => {
    const places = ['work', 'root', 'home', 'tmp'].map((folder) => `/${folder}/`);
    const folders = ['src', 'tests', 'docs', 'bin', 'bench', 'deploy', '.ci'];
    const files = [
      ...readdirSync(root).filter((path) => /\.(md|json|js|ts)$|^\.(npmrc|gitignore)$/.test(path)),
      ...folders.flatMap((folder) => filesUnder(folder, /\.(ts|js|svelte|md|json|html|css)$|run$/)),
    ];
    const found = files.filter((path) => {
      const text = read(path);
      // A test may name a place that exists nowhere, to show what is made of it.
      return !path.startsWith('tests/unit/') && places.some((place) => text.includes(place));
    });
    expect(found).toEqual([]);
  });
});

/** Every `const name = number` at the top of a file, by file and name. */
const constants = new Map<string, Map<string, string>>(
  sources.map((path) => [
    path,
    new Map(
      [
        ...read(path).matchAll(
          /^ {0,2}(?:export )?const (\w+)(?:: number)? =\s*([\w\s+*()-]+?)(?: as const)?;/gm,
        ),
      ].map((match) => [match[1] ?? '', match[2] ?? '']),
    ),
  ]),
);

/** The value of an arithmetic expression over constants of this or any other file. */
function valueOf(path: string, expression: string): number | undefined {
  let known = true;
  const numbers = expression.replace(/[A-Za-z]\w*/g, (name) => {
    const own = constants.get(path)?.get(name);
    const elsewhere = [...constants].find(([, names]) => names.has(name));
    const [place, text] =
      own === undefined ? [elsewhere?.[0], elsewhere?.[1].get(name)] : [path, own];
    const value = place === undefined || text === undefined ? undefined : valueOf(place, text);
    known &&= value !== undefined;
    return String(value);
  });
  if (!known || !/^[\d_\s+*()-]+$/.test(numbers)) return undefined;
  // Digits, signs and brackets only: nothing of the code runs here.
  return Number(new Function(`return ${numbers};`)());
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  ms: 1,
  s: 1_000,
  min: 60_000,
};

/** "1 MiB + 16 B" → 1048592, "1.5 s" → 1500. */
function written(text: string): number {
  return text
    .split('+')
    .map((term) => {
      const match = /^\s*([\d.]+)\s*([A-Za-z]*)\s*$/.exec(term);
      return Number(match?.[1]) * (units[match?.[2] ?? '?'] ?? NaN);
    })
    .reduce((sum, each) => sum + each, 0);
}

describe('limits.md', () => {
  const rows = rowsOf('docs/limits.md', 'name', 'value', 'in').map(([name, value, place]) => ({
    name: codeIn(name)[0] ?? '',
    value: value ?? '',
    place: codeIn(place)[0] ?? '',
  }));

  test.each(rows)('$name in $place is $value', ({ name, value, place }) => {
    const expression = constants.get(place)?.get(name);
    expect(expression, `${place} has a constant ${name}`).toBeDefined();
    expect(valueOf(place, expression ?? '')).toBe(written(value));
  });

  test('every bound of the code has a row', () => {
    const listed = new Set(rows.map(({ name, place }) => `${name} ${place}`));
    const missing = [...constants].flatMap(([place, names]) =>
      [...names.keys()]
        .filter((name) => /^(max[A-Z]|MAX_|MIN_|min[A-Z])/.test(name))
        .filter((name) => valueOf(place, names.get(name) ?? '') !== undefined)
        .map((name) => `${name} ${place}`),
    );
    expect(missing.length).toBeGreaterThan(50);
    expect(missing.filter((bound) => !listed.has(bound))).toEqual([]);
  });
});

describe('names', () => {
  const code = sources.map(read).join('\n');
  const rows = rowsOf('docs/glossary.md', 'term', 'meaning', 'in code');

  test.each(rows.map(([term, , names]) => ({ term, names: codeIn(names) })))(
    'glossary: $term',
    ({ names }) => {
      expect(names.length).toBeGreaterThan(0);
      const missing = names.filter((name) => !new RegExp(`(?<!\\w)${name}(?!\\w)`).test(code));
      expect(missing).toEqual([]);
    },
  );

  test('style.md: every example of a name is in the code', () => {
    const examples = rowsOf('docs/style.md', 'thing', 'form', 'examples');
    const names = examples.flatMap(([, , each]) => codeIn(each));
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => !new RegExp(`(?<!\\w)${name}(?!\\w)`).test(code))).toEqual([]);
  });
});

describe('limits.md, entry points', () => {
  const rows = rowsOf('docs/limits.md', 'entry point', 'processor', 'memory, disk, dials').map(
    ([entry, , , shown]) => ({ entry, shown: /`(tests\/[^`]+)` “(.+)”/.exec(shown ?? '') }),
  );

  /** What is written between these in a source file. */
  const all = (path: string, pattern: RegExp): readonly string[] =>
    [...read(path).matchAll(pattern)].map((match) => match[1] ?? '');
  const quoted = /'([a-z-]+)'/g;
  const host = 'src/network/node-host.ts';
  const programs = sources.filter((path) => path.startsWith('src/node/'));
  const entryPoints = {
    protocols: [
      ...(
        /type ProtocolKind = ([^;]+);/.exec(read('src/network/protocols.ts'))?.[1] ?? ''
      ).matchAll(quoted),
    ].map((match) => match[1] ?? ''),
    tags: [
      ...all('src/network/protocols.ts', /Tag = '([a-z]+)';/g),
      ...all('src/node/genesis/founder.ts', /tag = `(genesis-)/g),
    ],
    services: all(host, /(?:^ {6}|\{ )([a-z]+): (?:identify|ping|circuitRelayServer)\(/gm),
    transports: all(host, /\/udp\/\$\{\w+\}\/(webrtc-direct)`/g),
    posts: programs.flatMap((path) => all(path, /posts\['(\/[^']+)'\]/g)),
    gets: [
      ...programs.flatMap((path) => all(path, /path === '(\/[a-z]+(?:\.json)?)'/g)),
      ...programs.flatMap((path) => all(path, /jsons: \{ '(\/[^']+)'/g)),
    ].filter((path) => path !== '/safe'),
  };

  test.each(Object.entries(entryPoints))('every one of the %s has a row', (_kind, names) => {
    expect(names).not.toEqual([]);
    const entries = rows.flatMap(({ entry }) => codeIn(entry));
    const missing = names.filter((name) => !entries.some((entry) => entry.startsWith(name)));
    expect(missing).toEqual([]);
  });

  test.each(rows)('$entry is shown by a test', ({ shown }) => {
    expect(read(shown?.[1] ?? '').replaceAll("\\'", "'")).toContain(shown?.[2]);
  });
});

describe('threats.md', () => {
  const shown = [...read('docs/threats.md').matchAll(/`(tests\/[^`]+)` “(.+?)”(?=, `| *\|)/g)].map(
    (match) => ({ path: match[1] ?? '', name: match[2] ?? '' }),
  );

  test('most threats are shown by a test', () => {
    expect(shown.length).toBeGreaterThan(40);
  });

  test.each(shown)('$path has “$name”', ({ path, name }) => {
    // As a string of the code: a quote inside it may be escaped there.
    expect(read(path).replaceAll("\\'", "'")).toContain(name);
  });
});

describe('docs/spec and rules.md', () => {
  const rules = indexedRules();
  const ids = rules.map(({ id }) => id);
  const isBuilt = ({ id, missing }: IndexedRule): boolean =>
    !id.startsWith('TRACE-') && !missing.startsWith('not built');

  test('rules.md is what `npm run rules` writes', () => {
    expect(read('docs/rules.md'), 'run `npm run rules`').toBe(rulesIndex());
  });

  test('every rule is defined once', () => {
    const network = Array.from({ length: 45 }, (_, n) => `N${n + 1}`);
    expect(network.filter((id) => !ids.includes(id))).toEqual([]);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    expect(ids.length).toBeGreaterThan(150);
    const pages = documents.filter((path) => path.startsWith('docs/spec/'));
    const headings = pages.flatMap((path) => [...read(path).matchAll(/^### ([A-Z][\w-]*\d): /gm)]);
    expect(headings.length, 'every page is listed in docs/spec/README.md').toBe(ids.length);
  });

  test.each(rules)('$id has a reason, a caller in a program, and a test', (rule) => {
    const page = read(`docs/spec/${rule.page}`);
    const text = page.split(`### ${rule.heading}\n`)[1]?.split(/^##/m)[0] ?? '';
    if (!rule.id.startsWith('TRACE-')) expect(text).toContain('**Without it.**');
    if (!isBuilt(rule)) return;
    expect(rule.code, 'the code that cites it').not.toEqual([]);
    expect(rule.callers, 'what reaches that code from a program').not.toEqual([]);
    if (!rule.missing.includes('there is no lease')) expect(rule.tests).not.toEqual([]);
  });

  test('every name in code font is a name of the code', () => {
    const code = sources.map(read).join('\n');
    const pages = documents.filter((path) => path.startsWith('docs/spec/'));
    const names = pages.flatMap((path) => codeIn(read(path)).filter((name) => /^\w+$/.test(name)));
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });

  const shown = rules.flatMap(({ alsoShownBy }) => alsoShownBy);

  test('tests named by the specification are there under these names', () => {
    expect(shown.length).toBeGreaterThan(60);
    const missing = shown.filter((each) => {
      const [, path = '', name = ''] = /`([^`]+)` “(.+)”/.exec(each) ?? [];
      return !existsSync(join(root, path)) || !read(path).replaceAll("\\'", "'").includes(name);
    });
    expect(missing).toEqual([]);
  });
});

describe('citations', () => {
  const defined = new Set(indexedRules().map(({ id }) => id));
  const decisions = new Set(
    documents.flatMap((path) => /^docs\/decisions\/(\d+)-/.exec(path)?.[1] ?? []).map(Number),
  );
  const code = ['src', 'tests', 'bin', 'bench'].flatMap((folder) =>
    filesUnder(folder, /\.(ts|js|svelte)$/),
  );
  const files = [
    ...readdirSync(root).filter((name) => statSync(join(root, name)).isFile()),
    ...['src', 'tests', 'bin', 'bench', 'docs', 'static'].flatMap((folder) =>
      filesUnder(folder, /./),
    ),
  ];
  const texts = code
    .filter((path) => path !== 'tests/docs.test.ts')
    .flatMap((path) => citingTexts(path, read(path)).map((text) => ({ path, text })));

  test('every file that a comment names exists', () => {
    const dead = texts.flatMap(({ path, text }) =>
      deadFiles(path, text, files).map((name) => `${path}: ${name}`),
    );
    expect(dead).toEqual([]);
  });

  test('every rule that a comment, a test or a document names is defined', () => {
    const pages = documents
      .filter((path) => path !== 'CHANGELOG.md')
      .map((path) => ({ path, text: read(path) }));
    const dead = [...texts, ...pages].flatMap(({ path, text }) =>
      deadRules(text, defined).map((id) => `${path}: ${id}`),
    );
    expect(dead).toEqual([]);
  });

  test('every decision that a comment or a document names exists', () => {
    const pages = documents.map((path) => ({ path, text: read(path) }));
    const dead = [...texts, ...pages].flatMap(({ path, text }) =>
      citedDecisions(text)
        .filter((number) => !decisions.has(number))
        .map((number) => `${path}: decision ${number}`),
    );
    expect(dead).toEqual([]);
  });
});

describe('dependencies.md', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'];
  const direct = new Set(kinds.flatMap((kind) => Object.keys(manifest[kind] ?? {})));

  test('every direct dependency has a reason', () => {
    const text = read('docs/dependencies.md');
    expect([...direct].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  test('no reason is given for a package that is gone', () => {
    const named = rowsOf('docs/dependencies.md', 'package', 'why').flatMap(([names]) =>
      codeIn(names),
    );
    expect(named.filter((name) => !direct.has(name))).toEqual([]);
  });

  test('no package runs code while it is installed', () => {
    const lock = JSON.parse(read('package-lock.json')) as {
      readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
    };
    const names = Object.entries(lock.packages).filter(
      ([, each]) => each.hasInstallScript === true,
    );
    expect(names.map(([name]) => name)).toEqual([]);
    expect(read('bin/lib/install.js')).toContain('--ignore-scripts');
  });
});

test('architecture.md: every arrow is one that architecture.test.ts allows', () => {
  const chart = /```mermaid\n(flowchart[\s\S]*?)```/.exec(read('docs/architecture.md'))?.[1] ?? '';
  const table = read('tests/architecture.test.ts');
  const pure = /pureFolders = \[([^\]]*)\]/.exec(table)?.[1] ?? '';
  const arrows = chart.split('\n').flatMap((line) => {
    const ends = line.trim().split(' --> ');
    return ends.slice(1).map((to, i) => [ends[i] ?? '', to] as const);
  });
  expect(arrows.length).toBeGreaterThan(20);
  const wrong = arrows.filter(([from, to]) => {
    const list = new RegExp(`^ +'?${from}'?: \\[([^\\]]*)\\]`, 'm').exec(table)?.[1] ?? '';
    return !list.replace('...pureFolders', pure).includes(`'${to}'`);
  });
  expect(wrong).toEqual([]);
});

test('README.md: the map has every folder of src and no other', () => {
  const named = rowsOf('README.md', '`src/`').flatMap(([names]) => codeIn(names));
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.name}/`);
  expect([...named].sort()).toEqual([...folders].sort());
});

test('README.md: the commands it names are in package.json', () => {
  const { scripts } = JSON.parse(read('package.json')) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const text = [read('README.md'), read('CONTRIBUTING.md'), read('docs/simulation.md')].join('\n');
  const named = [...text.matchAll(/\bnpm (?:run ([\w:]+)|(start|test)\b)/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});
