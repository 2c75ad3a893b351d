/**
 * Checks what the vault's worker connects to the browser: the page's messages, the other tabs, the worker
 * that estimates passwords, locks and IndexedDB. The globals are stubs, the network is in memory.
 */
import 'fake-indexeddb/auto';
import { isVaultError } from '#bridge/page.ts';
import type { FromVault, ToVault } from '#bridge/vault.ts';
import { answerFetch, createBrowser, createNetwork, goodPassword } from '../world.ts';
import {
  brokenConnections,
  pause,
  within,
  type Connections,
} from '../../../support/connections.ts';

interface World {
  /** What the page gets. */
  readonly posted: FromVault[];
  readonly send: (message: unknown) => void;
  /** Asks as the page does; rejects with the vault's error. */
  readonly ask: (request: Extract<ToVault, { kind: 'ask' }>['request']) => Promise<unknown>;
  /** What reached the stubs: one line each. */
  readonly seen: string[];
  readonly tabs: { onmessage: ((event: unknown) => void) | null };
}

/** @returns the connections that are missing or wrong. */
export async function wiringFaults(): Promise<readonly string[]> {
  const world = stubBrowser();
  await import('../../../../src/vault/index.ts');
  const broken = await brokenConnections(connections, world);
  await world.ask({ kind: 'lock' });
  return broken;
}

const connections: Connections<World> = {
  'the vault’s view → the page': ({ posted }) =>
    within(() => posted.some((each) => each.kind === 'view' && each.view.kind !== 'starting')),
  'a change in another tab → a new view': async ({ tabs, posted }) => {
    const before = posted.length;
    tabs.onmessage?.({ data: 'another owner' });
    return within(() => posted.length > before);
  },
  'a failed request → its error': ({ ask }) =>
    ask({ kind: 'unlockHere', password: '' }).then(() => false, isVaultError),
  'an unreadable request → an error': async ({ send, posted }) => {
    send({ kind: 'nonsense', id: 7_000 });
    return within(() => posted.some((each) => each.kind === 'error' && each.id === 7_000));
  },
  'the page’s address of the worker → the password estimate': async ({ send, ask, seen }) => {
    send({ kind: 'guessWorker', url: '/guess.js' });
    await ask({ kind: 'passwordStrength', password: goodPassword }).catch(() => undefined);
    return seen.includes(`worker /guess.js asked ${goodPassword}`);
  },
  'an opened Safe → browser storage, under its lock, and the other tabs': async (world) => {
    const { words } = (await world.ask({ kind: 'newPhrase' })) as { words: readonly string[] };
    const create = { kind: 'createSafe', words: words.join(' '), password: goodPassword } as const;
    await world.ask(create).catch(() => undefined);
    const { seen } = world;
    return within(() => /lock safe-\w+/.test(seen.join()) && /announced \w{64}/.test(seen.join()));
  },
  'the wallet → the page': ({ posted }) =>
    within(() =>
      posted.some(
        (each) =>
          each.kind === 'view' && each.view.kind === 'open' && each.view.money.address !== '',
      ),
    ),
  'a page that is shown → a refresh': async ({ send, seen }) => {
    const before = seen.length;
    send({ kind: 'visible', visible: true });
    return within(() => seen.slice(before).includes('fetch /network.json'));
  },
};

function stubBrowser(): World {
  const browser = createBrowser(createNetwork('home'));
  const seen: string[] = [];
  const posted: FromVault[] = [];
  const tabs: World['tabs'] & { postMessage: (owner: string) => void } = {
    onmessage: null,
    postMessage: (owner) => void seen.push(`announced ${owner}`),
  };
  const page = {
    onmessage: null as ((event: unknown) => void) | null,
    postMessage: (message: FromVault) => void posted.push(message),
  };
  class GuessWorker {
    readonly url: string;
    onmessage: ((event: unknown) => void) | null = null;
    constructor(url: string) {
      this.url = url;
    }
    postMessage(password: string): void {
      seen.push(`worker ${this.url} asked ${password}`);
      queueMicrotask(() => this.onmessage?.({ data: 20 }));
    }
    terminate(): void {}
  }
  const globals = {
    self: page,
    Worker: GuessWorker,
    BroadcastChannel: class {
      constructor() {
        return tabs;
      }
    },
    navigator: {
      locks: {
        request: (name: string, body: () => Promise<unknown>) => {
          seen.push(`lock ${name}`);
          return browser.withLock(name, body);
        },
      },
    },
    fetch: (path: string, init?: RequestInit) => {
      seen.push(`fetch ${path}`);
      return answerFetch(browser, path, init);
    },
  };
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  let id = 0;
  const send = (message: unknown): void => page.onmessage?.({ data: message });
  return {
    ...{ posted, seen, tabs, send },
    ask: async (request) => {
      id += 1;
      const asked = id;
      send({ kind: 'ask', id: asked, request });
      const answered = (): FromVault | undefined =>
        posted.find((each) => 'id' in each && each.id === asked);
      while (answered() === undefined) await pause(5);
      const answer = answered();
      if (answer?.kind !== 'reply') throw answer?.kind === 'error' ? answer.error : undefined;
      return answer.value;
    },
  };
}
