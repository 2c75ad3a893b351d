/** Loads modules of the product with one line changed, in a module graph of their own. */
import { fileURLToPath } from 'node:url';
import { createServer, createServerModuleRunner, type ViteDevServer } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface PlantedLine {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface PlantedModules {
  /** The module at `path` (from the root), with this line changed in what it imports; null for none. */
  readonly load: <M>(path: string, planted: PlantedLine | null) => Promise<M>;
  readonly close: () => Promise<void>;
}

/** @param stubs instead of these modules (a path from the root, or a virtual module), those files */
export async function openPlantedModules(
  stubs: Readonly<Record<string, string>> = {},
): Promise<PlantedModules> {
  let planted: PlantedLine | null = null;
  const server: ViteDevServer = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    plugins: [
      {
        name: 'stubs',
        enforce: 'pre',
        async resolveId(source, importer) {
          const resolved = await this.resolve(source, importer, { skipSelf: true });
          const stub = stubs[resolved?.id.slice(root.length) ?? source];
          return stub === undefined ? resolved : root + stub;
        },
      },
      {
        name: 'planted-line',
        enforce: 'pre',
        transform(code, id) {
          if (planted === null || id.slice(root.length) !== planted.file) return null;
          const { file, find, replace } = planted;
          if (code.split(find).length !== 2) throw new Error(`not once in ${file}: ${find}`);
          return { code: code.replace(find, () => replace), map: null };
        },
      },
    ],
  });
  const { ssr } = server.environments;
  const runner = createServerModuleRunner(ssr, { hmr: false });
  return {
    load: async (path, next) => {
      // Every module runs anew; only the changed files are transformed anew.
      for (const line of [planted, next]) {
        const changed = line === null ? [] : ssr.moduleGraph.getModulesByFile(root + line.file);
        for (const each of changed ?? []) ssr.moduleGraph.invalidateModule(each);
      }
      planted = next;
      runner.evaluatedModules.clear();
      return runner.import(`/${path}`);
    },
    close: async () => {
      await runner.close();
      await server.close();
    },
  };
}
