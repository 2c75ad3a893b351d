/** A network in its own process, a real browser, and access to the app's service worker. */
import { join, resolve } from 'node:path';
import type { Worker } from 'playwright-core';
import { build } from 'vite';
import { startNetwork, type TestNetwork } from '../../tests/e2e/support/network.ts';
import {
  createSafeInPage,
  networkStatus,
  openProfile,
  waitForPublished,
  readyForOffline,
  type Person,
} from '../../tests/e2e/support/person.ts';
import { until } from '../../tests/e2e/support/until.ts';
import { printLine } from './report.ts';
import type { WorkerSide } from './worker-side.ts';

declare const safeBench: WorkerSide;

export interface BrowserBench {
  readonly network: TestNetwork;
  readonly person: Person;
  /** Relay address of the network's bootstrap node. */
  readonly relay: string;
  readonly networkId: string;
  /** Hex names. */
  readonly elders: readonly string[];
  /** Peer id of the raw node. */
  readonly rawPeer: string;
  /** Runs one function of `worker-side.ts` in the app's service worker. */
  readonly inWorker: <Name extends keyof WorkerSide>(
    name: Name,
    ...args: Parameters<WorkerSide[Name]>
  ) => Promise<Awaited<ReturnType<WorkerSide[Name]>>>;
  readonly close: () => Promise<void>;
}

export async function openBrowserBench(): Promise<BrowserBench> {
  printLine('Starting a network …');
  const network = await startNetwork({ program: join(import.meta.dirname, 'raw-node.ts') });
  try {
    return await openBrowser(network);
  } catch (error) {
    await network.stop();
    network.remove();
    throw error;
  }
}

async function openBrowser(network: TestNetwork): Promise<BrowserBench> {
  const person = await openProfile(network.url);
  await readyForOffline(person.page);
  await createSafeInPage(person.page);
  await waitForPublished(person.page);
  const status = await networkStatus(person.page);
  const file = (await (await fetch(`${network.url}/network.json`)).json()) as {
    readonly networkId: string;
    readonly bootstrap: readonly string[];
  };
  const rawPeer = await until(
    async () => /raw node (\S+)/.exec(network.log())?.[1] ?? '',
    (found) => found !== '',
    30_000,
  );
  const script = await bundleWorkerSide();
  let prepared: Worker | undefined;

  return {
    network,
    person,
    relay: file.bootstrap[0] ?? '',
    networkId: file.networkId,
    elders: status.section?.elders.map(({ name }) => name) ?? [],
    rawPeer,
    inWorker: async (name, ...args) => {
      const [worker] = person.context.serviceWorkers();
      if (worker === undefined) throw new Error('the app has no service worker');
      if (prepared !== worker) await worker.evaluate(script);
      prepared = worker;
      return worker.evaluate(
        async ([method, given]) => {
          const side = safeBench as unknown as Record<string, (...all: unknown[]) => unknown>;
          return side[method as string]?.(...(given as unknown[]));
        },
        [name, args] as const,
      ) as never;
    },
    close: async () => {
      await person.close();
      await network.stop();
      network.remove();
    },
  };
}

/** One self-contained expression: a promise of the loaded module. */
async function bundleWorkerSide(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'error',
    root: resolve(import.meta.dirname, '../..'),
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: { entry: join(import.meta.dirname, 'worker-side.ts'), formats: ['es'], fileName: 'x' },
    },
  });
  const [first] = [built].flat();
  if (first === undefined || !('output' in first)) throw new Error('nothing was bundled');
  // A module's text without its exports, run as the body of a function that may await.
  const code = first.output[0].code.replace(/^export\s*\{[^}]*\};?\s*$/gm, '');
  return `(async () => {${code}\n})()`;
}
