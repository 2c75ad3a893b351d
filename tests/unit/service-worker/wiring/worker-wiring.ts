/**
 * Checks what the service worker connects: events of the browser and calls of the page with the light node
 * and the payments. The browser's globals and the light node are stubs.
 */
import { IDBFactory } from 'fake-indexeddb';
import 'fake-indexeddb/auto';
import { callHeader } from '#bridge/worker-messages.ts';
import { workerCalls, type CallInput, type WorkerCallName } from '#bridge/worker-calls.ts';
import { toHex } from '#core/codec/bytes.ts';
import { networkIdOf } from '#protocol/section/index.ts';
import { listPayments, putIntent } from '#storage/browser/payments.ts';
import {
  brokenConnections,
  pause,
  within,
  type Connections,
} from '../../../support/connections.ts';
import { seen, started } from './stub-light-node.ts';

interface World {
  readonly fire: (kind: string, fields?: object) => Response | Promise<Response> | undefined;
  readonly call: <Name extends WorkerCallName>(
    name: Name,
    input: CallInput<Name>,
  ) => Promise<Response>;
  /** What the page gets. */
  readonly posted: { readonly kind: string }[];
  served: unknown;
}

/** @returns the connections that are missing or wrong. */
export async function wiringFaults(): Promise<readonly string[]> {
  const world = stubBrowser();
  await putIntent('damaged', Uint8Array.of(1));
  await import('../../../../src/service-worker/index.ts');
  const broken = await brokenConnections(connections, world);
  // The last broadcast belongs to this run.
  await pause(300);
  return broken;
}

/** As in a browser, a path is enough. */
class PathRequest extends Request {
  constructor(at: string | URL | Request, init?: RequestInit) {
    super(typeof at === 'string' ? new URL(at, 'https://safe.test') : at, init);
  }
}

const connections: Connections<World> = {
  'install → the app’s files': ({ fire }) => {
    fire('install');
    return within(() => seen.includes('stored'));
  },
  'activate → the pages are claimed': ({ fire }) => {
    fire('activate');
    return within(() => seen.includes('claimed'));
  },
  'a call → the light node of the network served here': async ({ call }) => {
    await call('status', { look: true });
    return within(() => started[0]?.file.name === 'first' && seen.includes('checked for updates'));
  },
  'the start → stored payments': () => within(async () => (await listPayments()).length === 0),
  'a change in the light node → the pages': ({ posted }) => {
    started[0]?.onChange();
    return within(() => posted.some(({ kind }) => kind === 'network'));
  },
  'the chosen transport → the light node': async ({ call }) => {
    await call('transport', { preference: 'websocket' });
    return started[0]?.preference() === 'websocket' && seen.includes('reconnected');
  },
  'chunk calls → the elders': async ({ call }) => {
    await call('chunk/put', Uint8Array.of(1));
    await call('chunk/get', { name: new Uint8Array(32) });
    return seen.includes('elder asked putChunk') && seen.includes('elder asked getChunk');
  },
  'a page that hosts connections → the light node': ({ fire }) => {
    const before = seen.length;
    const { port1 } = new MessageChannel();
    fire('message', { data: { kind: 'rtcHost', used: 0 }, ports: [port1] });
    port1.close();
    return within(() => seen.slice(before).includes('reconnected'));
  },
  'keepAlive → its page': ({ fire, posted }) => {
    fire('message', { data: { kind: 'keepAlive' } });
    return within(() => posted.some(({ kind }) => kind === 'alive'));
  },
  'an update → the new version': ({ fire }) => {
    fire('message', { data: { kind: 'applyUpdate' } });
    return within(() => seen.includes('skipped waiting'));
  },
  'another network served here → its light node': async (world) => {
    world.served = fileOf('second');
    await world.fire('fetch', { request: new Request('https://safe.test/network.json') });
    return within(() => seen.includes('stopped first') && started.at(-1)?.file.name === 'second');
  },
};

function fileOf(name: string): unknown {
  const key = new Uint8Array(96).fill(name.length);
  return {
    ...{ format: 1, protocol: 2, name, bootstrap: [], supply: '0', faucet: null },
    networkId: toHex(networkIdOf(key, name)),
    genesisKey: toHex(key),
  };
}

function stubBrowser(): World {
  const listeners = new Map<string, (event: object) => void>();
  const posted: World['posted'] = [];
  const page = { id: 'tab', postMessage: (message: { kind: string }) => void posted.push(message) };
  const cache = {
    addAll: async () => void seen.push('stored'),
    ...{ put: async () => undefined, match: async () => undefined },
    ...{ keys: async () => [], delete: async () => true },
  };
  const world: World = {
    posted,
    served: fileOf('first'),
    fire: (kind, fields = {}) => {
      let answer: Promise<Response> | undefined;
      listeners.get(kind)?.({
        ...{ ports: [], source: page, waitUntil: () => undefined, ...fields },
        respondWith: (given: Promise<Response>) => (answer = given),
      });
      return answer;
    },
    call: async (name, input) => {
      const body = workerCalls[name].in.encode(input as never) as Uint8Array<ArrayBuffer>;
      const init = { method: 'POST', headers: { [callHeader]: '1' }, body };
      const request = new Request(`https://safe.test/safe/rpc/${name}`, init);
      return (await world.fire('fetch', { request })) ?? Response.error();
    },
  };
  const globals = {
    indexedDB: new IDBFactory(),
    Request: PathRequest,
    addEventListener: (kind: string, listener: (event: object) => void) =>
      listeners.set(kind, listener),
    skipWaiting: async () => void seen.push('skipped waiting'),
    clients: {
      claim: async () => void seen.push('claimed'),
      matchAll: async () => [page],
    },
    caches: { open: async () => cache, keys: async () => [] },
    location: { origin: 'https://safe.test', hostname: 'safe.test' },
    fetch: async () => Response.json(world.served),
  };
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return world;
}
