/** The imports, exports and declarations of every file of `src/`, as a bundler sees them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const src = resolve(import.meta.dirname, '../../src');

/** Files that something outside `src/` starts. What they refer to is reached. */
export const programs: readonly RegExp[] = [
  /^node\/programs\/(npm-start|safe)\.ts$/,
  /^service-worker\/index\.ts$/,
  /^vault\/(index|guesses\/guess-worker)\.ts$/,
  /^routes\//,
];

export interface Reference {
  readonly target: string;
  /** The exported name; `*` for the whole module. */
  readonly name: string;
}

export interface Module {
  /** Top-level declarations, with the names that each uses. */
  readonly declared: ReadonlyMap<string, ReadonlySet<string>>;
  /** Those that are interfaces or types. */
  readonly types: ReadonlySet<string>;
  readonly exported: ReadonlySet<string>;
  /** Names that are used as soon as the module is loaded. */
  readonly atLoad: ReadonlySet<string>;
  readonly imported: ReadonlyMap<string, Reference>;
  readonly passedOn: ReadonlyMap<string, Reference>;
  readonly allPassedOn: readonly string[];
  /** Modules that are loaded whole: `import()`, worker threads. */
  readonly loaded: readonly string[];
}

export const paths: readonly string[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.(ts|svelte)$/.test(path) && !path.endsWith('.d.ts'))
  .sort();

/** The file in `src/` that a specifier names, or `undefined` for packages. */
function fileOf(from: string, specifier: string): string | undefined {
  const bare = specifier.replace(/\?.*$/, '');
  const path = bare.startsWith('#')
    ? bare.slice(1)
    : bare.startsWith('.')
      ? relative(src, resolve(src, dirname(from), bare))
      : undefined;
  return path !== undefined && existsSync(join(src, path)) ? path : undefined;
}

/** The names that a piece of code refers to: no property names, no names of its own members. */
function namesIn(node: ts.Node): Set<string> {
  const found = new Set<string>();
  const visit = (each: ts.Node): void => {
    if (ts.isIdentifier(each)) {
      const { parent } = each;
      const isProperty =
        (ts.isPropertyAccessExpression(parent) && parent.name === each) ||
        (ts.isQualifiedName(parent) && parent.right === each) ||
        ((ts.isPropertyAssignment(parent) ||
          ts.isPropertySignature(parent) ||
          ts.isMethodSignature(parent) ||
          ts.isMethodDeclaration(parent) ||
          ts.isPropertyDeclaration(parent)) &&
          parent.name === each) ||
        (ts.isBindingElement(parent) && parent.propertyName === each);
      if (!isProperty) found.add(each.text);
    }
    ts.forEachChild(each, visit);
  };
  visit(node);
  return found;
}

function namesBoundBy(name: ts.BindingName): readonly string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((each) =>
    ts.isOmittedExpression(each) ? [] : namesBoundBy(each.name),
  );
}

const isExported = (node: ts.Statement): boolean =>
  ts.canHaveModifiers(node) &&
  (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);

function parse(path: string): Module {
  const text = readFileSync(join(src, path), 'utf8');
  const scripts = [...text.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map((match) => match[1]);
  const isComponent = path.endsWith('.svelte');
  const code = isComponent ? scripts.join('\n') : text;
  const file = ts.createSourceFile(path, code, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);

  const declared = new Map<string, Set<string>>();
  const types = new Set<string>();
  const exported = new Set<string>();
  const atLoad = new Set<string>();
  const imported = new Map<string, Reference>();
  const passedOn = new Map<string, Reference>();
  const allPassedOn: string[] = [];
  const loaded: string[] = [];

  // A component's markup uses what it likes of its script.
  if (isComponent) for (const [name] of text.matchAll(/[A-Za-z_]\w*/g)) atLoad.add(name);

  for (const statement of file.statements) {
    if (ts.isImportDeclaration(statement)) {
      const target = fileOf(path, (statement.moduleSpecifier as ts.StringLiteral).text);
      const clause = statement.importClause;
      if (target === undefined) continue;
      if (clause === undefined) loaded.push(target);
      if (clause?.name) imported.set(clause.name.text, { target, name: 'default' });
      const bindings = clause?.namedBindings;
      if (bindings === undefined) continue;
      if (ts.isNamespaceImport(bindings)) imported.set(bindings.name.text, { target, name: '*' });
      else {
        for (const each of bindings.elements) {
          imported.set(each.name.text, { target, name: (each.propertyName ?? each.name).text });
        }
      }
    } else if (ts.isExportDeclaration(statement)) {
      const { moduleSpecifier, exportClause } = statement;
      if (moduleSpecifier === undefined) {
        if (exportClause && ts.isNamedExports(exportClause)) {
          for (const each of exportClause.elements) {
            const own = (each.propertyName ?? each.name).text;
            const reference = imported.get(own);
            if (reference !== undefined) passedOn.set(each.name.text, reference);
            else {
              exported.add(each.name.text);
              declared.set(each.name.text, new Set([own]));
            }
          }
        }
        continue;
      }
      const target = fileOf(path, (moduleSpecifier as ts.StringLiteral).text);
      if (target === undefined) continue;
      if (exportClause === undefined) allPassedOn.push(target);
      else if (ts.isNamedExports(exportClause)) {
        for (const each of exportClause.elements) {
          passedOn.set(each.name.text, { target, name: (each.propertyName ?? each.name).text });
        }
      }
    } else if (ts.isVariableStatement(statement)) {
      for (const declaration of statement.declarationList.declarations) {
        const uses = namesIn(declaration);
        for (const name of namesBoundBy(declaration.name)) {
          declared.set(name, uses);
          if (isExported(statement)) exported.add(name);
        }
        // A constant is computed at load; what it calls is used only if the constant is.
        if (isComponent) for (const name of uses) atLoad.add(name);
      }
    } else if (
      ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement)
    ) {
      const name = statement.name?.text ?? 'default';
      if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement))
        types.add(name);
      declared.set(name, new Set([...(declared.get(name) ?? []), ...namesIn(statement)]));
      if (isExported(statement)) exported.add(name);
    } else for (const name of namesIn(statement)) atLoad.add(name);
  }
  for (const [, whole, thread] of code.matchAll(
    /\bimport\(\s*['"]([^'"]+)['"]|new URL\(\s*['"]([^'"]+)['"],\s*import\.meta\.url/g,
  )) {
    const target = fileOf(path, whole ?? thread ?? '');
    if (target !== undefined) loaded.push(target);
  }
  return { declared, types, exported, atLoad, imported, passedOn, allPassedOn, loaded };
}

/** Every file of `src/`, by its path there. */
export const modules = new Map(paths.map((path) => [path, parse(path)]));
