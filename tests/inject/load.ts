/**
 * Loads the loop with the product's own modules in a graph of its own: the threshold scheme is the
 * toy one, the worker's libp2p host hands its bytes to elders in memory, and each browser process
 * has modules of its own (their state is what dies with it). A planted bug is one line of the
 * product's source that reads differently.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer, createServerModuleRunner, type Plugin, type ViteDevServer } from 'vite';
import type * as loopModule from './loop.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** One mistake in the product, planted to see that the loop finds it. */
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

/** In place of modules that need a browser or cost pairings. */
const swaps: Readonly<Record<string, string>> = {
  'src/crypto/threshold-suite.ts': 'tests/inject/toy-threshold.ts',
  'src/network/light-host.ts': 'tests/inject/light-host.ts',
  'src/crypto/ed25519.ts': 'tests/inject/native-identity.ts',
};

/** Modules of the platform that fail on purpose, in the one module that uses them. */
const onDisk: Readonly<Record<string, string>> = {
  'src/storage/node/chunks.ts': "'node:fs/promises'",
  'src/storage/node/database.ts': "'node:sqlite'",
  'src/node/holdings.ts': "'node:fs/promises'",
};

/**
 * A file of a few kilobytes has several pieces; chunks of other things are as large as ever.
 */
const smallPieces: Mutant = {
  name: 'a piece is small',
  file: 'src/data/chunk.ts',
  find: `export const PIECE_BYTES = 1024 * 1024;
/** The tag AES-256-GCM adds to a sealed piece. */
export const SEAL_TAG_BYTES = 16;
export const MAX_CHUNK_BYTES = PIECE_BYTES + SEAL_TAG_BYTES;`,
  replace: `export const PIECE_BYTES = 1024;
export const SEAL_TAG_BYTES = 16;
export const MAX_CHUNK_BYTES = 1024 * 1024 + SEAL_TAG_BYTES;`,
};

/** Modules whose state dies with the process that loaded them. */
const ownedByProcess = ['src/vault/', 'src/service-worker/', 'src/storage/browser/'];
/** Modules whose exported functions are awaited across the border of a process. */
const ports = [
  'src/storage/browser/payments.ts',
  'src/storage/browser/pins.ts',
  'src/service-worker/memory.ts',
];

export async function loadLoop(mutants: readonly Mutant[] = []): Promise<Loaded> {
  const server: ViteDevServer = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    plugins: [processes(), failingDisk(), plant([smallPieces, ...mutants])],
  });
  const runner = createServerModuleRunner(server.environments.ssr, { hmr: false });
  const forget = (life: string): void => {
    for (const [id, module] of runner.evaluatedModules.idToModuleMap) {
      if (id.endsWith(`life=${life}`)) runner.evaluatedModules.invalidateModule(module);
    }
  };
  Object.assign(globalThis, {
    __inject: { load: async (path: string) => runner.import(path), forget },
  });
  const loop: Loop = await runner.import('/tests/inject/loop.ts');
  return {
    loop,
    close: async () => {
      await runner.close();
      await server.close();
    },
  };
}

function processes(): Plugin {
  return {
    name: 'browser-processes',
    enforce: 'pre',
    resolveId(source, importer) {
      if (source === '$service-worker') return '\0service-worker-shell';
      const [path = '', query = ''] = source.split('?');
      const from = importer?.split('?');
      const life = /life=[^&]+/.exec(from?.[1] ?? '')?.[0] ?? /life=[^&]+/.exec(query)?.[0];
      const file = fileOf(path, from?.[0]);
      if (file === undefined) return null;
      const name = file.slice(root.length);
      const swap = swaps[name];
      if (swap !== undefined && !from?.[0]?.endsWith(swap)) return join(root, swap);
      if (
        life === undefined ||
        !name.endsWith('.ts') ||
        !ownedByProcess.some((folder) => name.startsWith(folder))
      ) {
        return null;
      }
      const isPort = ports.includes(name) && !(from?.[1] ?? '').includes('port');
      return `${file}?${isPort ? 'port&' : ''}${life}`;
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
        ...(port === 'memory' ? [`export const memory = atSites('memory', real.memory);`] : []),
        ...names.map(
          ([, name = '']) =>
            `export const ${name} = (...given) => site('${port}.${name}', () => real.${name}(...given), given);`,
        ),
      ].join('\n');
    },
  };
}

/** Built-in modules are never resolved, so the import itself is changed. */
function failingDisk(): Plugin {
  return {
    name: 'failing-disk',
    enforce: 'pre',
    transform(code, id) {
      const platform = onDisk[id.slice(root.length)];
      if (platform === undefined) return null;
      return { code: code.replace(platform, "'/tests/inject/disk.ts'"), map: null };
    },
  };
}

function fileOf(path: string, importer: string | undefined): string | undefined {
  if (path.startsWith('#')) return join(root, 'src', path.slice(1));
  if (path.startsWith('/src/')) return join(root, path);
  if (path.startsWith('.') && importer !== undefined) return resolve(dirname(importer), path);
  return path.startsWith(root) ? path : undefined;
}

function plant(mutants: readonly Mutant[]): Plugin {
  return {
    name: 'planted-bugs',
    enforce: 'pre',
    transform(code, id) {
      const file = id.split('?')[0]?.slice(root.length);
      let planted = code;
      for (const mutant of mutants.filter((each) => each.file === file)) {
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
