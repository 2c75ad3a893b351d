/**
 * Goal: every exported name has one home, and a program that uses it.
 * Method: every file of `src/` is parsed; from the programs (the node's command, the service worker,
 * the vault, the pages) the names are followed over imports, as a bundler would.
 */
import { expect, test } from 'vitest';
import { modules, paths, programs } from './support/module-graph.ts';

/** Exports that no program reaches, each with its reason. */
const unreached: Readonly<Record<string, string>> = {};

/** Names that several files export, each with its reason. */
const shared: Readonly<Record<string, string>> = {
  ssr: 'SvelteKit reads it from each page that sets it',
  prerender: 'SvelteKit reads it from each page that sets it',
};

/** Every `file name` that the programs reach. */
function reach(): ReadonlySet<string> {
  const reached = new Set<string>();
  const loadedFiles = new Set<string>();
  const load = (path: string, whole: boolean): void => {
    const module = modules.get(path);
    if (module === undefined) return;
    if (!loadedFiles.has(path)) {
      loadedFiles.add(path);
      for (const name of module.atLoad) use(path, name);
      for (const each of module.loaded) load(each, true);
      for (const { target } of [...module.imported.values(), ...module.passedOn.values()]) {
        load(target, false);
      }
    }
    if (!whole) return;
    for (const name of [...module.exported, ...module.passedOn.keys()]) use(path, name);
    for (const target of module.allPassedOn) load(target, true);
  };
  const use = (path: string, name: string): void => {
    const module = modules.get(path);
    if (module === undefined || reached.has(`${path} ${name}`)) return;
    reached.add(`${path} ${name}`);
    for (const each of module.declared.get(name) ?? []) use(path, each);
    for (const reference of [module.imported.get(name), module.passedOn.get(name)]) {
      if (reference === undefined) continue;
      if (reference.name === '*') load(reference.target, true);
      else use(reference.target, reference.name);
      load(reference.target, false);
    }
    for (const target of module.allPassedOn) use(target, name);
  };
  for (const path of paths) if (programs.some((program) => program.test(path))) load(path, true);
  return reached;
}

test('every program is there', () => {
  for (const program of programs) expect(paths.some((path) => program.test(path))).toBe(true);
});

test('every exported name is reached from a program, or its reason is listed', () => {
  const reached = reach();
  const dead = [...modules].flatMap(([path, { exported, declared }]) =>
    [...exported]
      .filter((name) => declared.has(name) && !reached.has(`${path} ${name}`))
      .map((name) => `${path} ${name}`),
  );
  expect(dead.filter((each) => !(each in unreached))).toEqual([]);
  expect(Object.keys(unreached).filter((each) => !dead.includes(each))).toEqual([]);
});

test('an exported name has one home', () => {
  const homes = new Map<string, string[]>();
  for (const [path, { exported, declared }] of modules) {
    if (path.endsWith('.svelte')) continue;
    for (const name of exported) {
      if (declared.has(name)) homes.set(name, [...(homes.get(name) ?? []), path]);
    }
  }
  const twins = [...homes]
    .filter(([name, files]) => files.length > 1 && !(name in shared))
    .map(([name, files]) => `${name}: ${files.join(', ')}`);
  expect(twins).toEqual([]);
});
