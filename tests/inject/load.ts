/**
 * Loads the loop with the product's own modules in a separate module graph: the threshold scheme is
 * the toy one, the worker's libp2p host sends its bytes to elders in memory, and each browser
 * process has its own module instances, because their state ends with it. A planted bug replaces
 * one line of the product's source.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer, createServerModuleRunner, type Plugin, type ViteDevServer } from 'vite';
import type * as loopModule from './loop.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** One bug planted in the product to test that the loop finds it. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

type Loop = typeof loopModule;

export interface Loaded {
  readonly loop: Loop;
  readonly close: () => Promise<void>;
}

/** Replacements for modules that need a browser or compute pairings. */
const swaps: Readonly<Record<string, string>> = {
  'src/crypto/threshold-suite.ts': 'tests/inject/replaced/toy-threshold.ts',
  'src/network/light-host.ts': 'tests/inject/replaced/light-host.ts',
  'src/crypto/ed25519.ts': 'tests/inject/replaced/native-identity.ts',
};

/** Failing versions of platform modules, each only in the module that uses it. */
const onDisk: Readonly<Record<string, string>> = {
  'src/storage/node/chunk-files.ts': "'node:fs/promises'",
  'src/storage/node/database.ts': "'node:sqlite'",
  'src/node/chunk-storage/holdings.ts': "'node:fs/promises'",
};

/** Gives a file of a few kilobytes several pieces; chunks of other data keep their size. */
const smallPieces: readonly Mutant[] = [
  {
    name: 'a piece is small',
    file: 'src/data/chunk.ts',
    find: 'export const PIECE_BYTES = 1024 * 1024;',
    replace: 'export const PIECE_BYTES = 1024;',
  },
  {
    name: 'other chunks keep their size',
    file: 'src/data/chunk.ts',
    find: 'export const MAX_CHUNK_BYTES = PIECE_BYTES + GCM_TAG_BYTES;',
    replace: 'export const MAX_CHUNK_BYTES = 1024 * 1024 + GCM_TAG_BYTES;',
  },
];

/** Modules whose state ends with the process that loaded them. */
const ownedByProcess = ['src/vault/', 'src/service-worker/', 'src/storage/browser/'];
/** Modules whose exported functions are awaited across a process boundary. */
const ports = [
  'src/storage/browser/payments.ts',
  'src/storage/browser/pins.ts',
  'src/storage/browser/worker-store.ts',
];

/** One for all loops of a process: most of its modules are the same for every planted bug. */
interface Source {
  readonly server: ViteDevServer;
  /** Changes the bugs in the modules that are loaded from now on. */
  readonly plant: (mutants: readonly Mutant[]) => void;
}
let source: Promise<Source> | undefined;

async function openSource(): Promise<Source> {
  let planted: readonly Mutant[] = smallPieces;
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    plugins: [processes(), failingDisk(), plant(() => planted)],
  });
  return {
    server,
    plant: (mutants) => {
      const { moduleGraph } = server.environments.ssr;
      const now = [...smallPieces, ...mutants];
      for (const { file } of [...planted, ...now]) {
        const modules = moduleGraph.getModulesByFile(join(root, file)) ?? [];
        for (const module of modules) moduleGraph.invalidateModule(module);
      }
      planted = now;
    },
  };
}

/** One at a time: the bugs are those of the last call. */
export async function loadLoop(mutants: readonly Mutant[] = []): Promise<Loaded> {
  source ??= openSource();
  const { server, plant: plantBugs } = await source;
  plantBugs(mutants);
  const runner = createServerModuleRunner(server.environments.ssr, { hmr: false });
  const forget = (instance: string): void => {
    for (const [id, module] of runner.evaluatedModules.idToModuleMap) {
      if (id.endsWith(`instance=${instance}`)) runner.evaluatedModules.invalidateModule(module);
    }
  };
  Object.assign(globalThis, {
    __inject: { load: async (path: string) => runner.import(path), forget },
  });
  const loop: Loop = await runner.import('/tests/inject/loop.ts');
  return { loop, close: () => runner.close() };
}

function processes(): Plugin {
  return {
    name: 'browser-processes',
    enforce: 'pre',
    resolveId(source, importer) {
      if (source === '$service-worker') return '\0service-worker-shell';
      const [path = '', query = ''] = source.split('?');
      const from = importer?.split('?');
      const instance =
        /instance=[^&]+/.exec(from?.[1] ?? '')?.[0] ?? /instance=[^&]+/.exec(query)?.[0];
      const file = fileOf(path, from?.[0]);
      if (file === undefined) return null;
      const name = file.slice(root.length);
      const swap = swaps[name];
      if (swap !== undefined && !from?.[0]?.endsWith(swap)) return join(root, swap);
      if (
        instance === undefined ||
        !name.endsWith('.ts') ||
        !ownedByProcess.some((folder) => name.startsWith(folder))
      ) {
        return null;
      }
      const isPort = ports.includes(name) && !(from?.[1] ?? '').includes('port');
      return `${file}?${isPort ? 'port&' : ''}${instance}`;
    },
    load(id) {
      if (id === '\0service-worker-shell') {
        return `export const build = [], files = [], version = 'inject';`;
      }
      const [file = '', query = ''] = id.split('?');
      if (!query.startsWith('port&')) return null;
      const names = [...readFileSync(file, 'utf8').matchAll(/^export async function (\w+)/gm)];
      const port = file.slice(file.lastIndexOf('/') + 1).replace('.ts', '');
      return [
        `import * as real from ${JSON.stringify(`${file}?${query.replace('port&', '')}`)};`,
        `import { atSites, site } from '/tests/inject/process.ts';`,
        ...(port === 'worker-store'
          ? [`export const workerStore = atSites('worker-store', real.workerStore);`]
          : []),
        ...names.map(
          ([, name = '']) =>
            `export const ${name} = (...given) => site('${port}.${name}', () => real.${name}(...given), given);`,
        ),
      ].join('\n');
    },
  };
}

/** Vite never resolves built-in modules, so change the import itself. */
function failingDisk(): Plugin {
  return {
    name: 'failing-disk',
    enforce: 'pre',
    transform(code, id) {
      const platform = onDisk[id.slice(root.length)];
      if (platform === undefined) return null;
      return { code: code.replace(platform, "'/tests/inject/replaced/disk.ts'"), map: null };
    },
  };
}

function fileOf(path: string, importer: string | undefined): string | undefined {
  if (path.startsWith('#')) return join(root, 'src', path.slice(1));
  if (path.startsWith('/src/')) return join(root, path);
  if (path.startsWith('.') && importer !== undefined) return resolve(dirname(importer), path);
  return path.startsWith(root) ? path : undefined;
}

function plant(mutants: () => readonly Mutant[]): Plugin {
  return {
    name: 'planted-bugs',
    enforce: 'pre',
    transform(code, id) {
      const file = id.split('?')[0]?.slice(root.length);
      let planted = code;
      for (const mutant of mutants().filter((each) => each.file === file)) {
        const { name, find, replace } = mutant;
        if (planted.split(find).length !== 2) {
          throw new Error(`${name}: the line to change is not in ${mutant.file} exactly once`);
        }
        planted = planted.replace(find, () => replace);
      }
      return planted === code ? null : { code: planted, map: null };
    },
  };
}
