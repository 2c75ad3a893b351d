/** A network, browsers and tabs in memory: the vault's real code over fakes of its ports. */
import type { FromVault, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { networkHeader, rpcPath, workerHeader } from '#bridge/worker.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { STRETCH_STANDARD } from '#crypto/stretch.ts';
import { chunkName } from '#data/chunk.ts';
import { decodePointer, openPointer, pointerAddress, pointerVerdict } from '#data/pointer.ts';
import { decodeDataMap } from '#data/data-map.ts';
import { networkIdOf } from '#protocol/section/network-id.ts';
import { stretchUnchecked } from '#runtime/jobs/argon2.ts';
import { readRange } from '#runtime/jobs/read-file.ts';
import {
  unwrapWith,
  wrapWith,
  type PlanRecord,
  type SafeRecord,
  type VaultStore,
} from '#storage/browser/vault-store.ts';
import type { VaultPorts, WalletFactory } from '../../../src/vault/ports.ts';
import type { FileKey } from '../../../src/vault/rpc.ts';
import { createVault, type Vault } from '../../../src/vault/vault.ts';

/** Waits in the vault run this much faster than in life. */
const speed = 50;

export interface FakeNetwork {
  readonly name: string;
  readonly networkId: Uint8Array;
  readonly file: Readonly<Record<string, unknown>>;
  readonly chunks: Map<string, Uint8Array>;
  readonly pointers: Map<string, Uint8Array>;
}

export function createNetwork(name: string): FakeNetwork {
  const genesisKey = new Uint8Array(96).fill(name.length);
  const networkId = networkIdOf(genesisKey, name);
  return {
    name,
    networkId,
    file: {
      format: 1,
      name,
      networkId: toHex(networkId),
      genesisKey: toHex(genesisKey),
      protocol: 1,
      bootstrap: [],
      supply: '1000',
      faucet: null,
    },
    chunks: new Map(),
    pointers: new Map(),
  };
}

/** What survives the closing of a tab. */
export interface Browser {
  readonly store: VaultStore;
  readonly plans: Map<string, PlanRecord>;
  readonly withLock: VaultPorts['withLock'];
  /** Calls that reached the worker, as `name`. */
  readonly calls: string[];
  /** What the vaults of its tabs have waited for to its end, in milliseconds. */
  readonly waits: number[];
  readonly keys: Map<string, FileKey>;
  /** The vaults of its tabs, which tell each other when a record has changed. */
  readonly tabs: Set<Vault>;
  network: FakeNetwork | null;
  online: boolean;
  controlled: boolean;
  /** Called before each call of the worker; may throw a `Response` to answer in its place. */
  intercept: (call: string) => void | Promise<void>;
  /** Called after each call that the network took; may throw a `Response` to answer in its place. */
  settle: (call: string) => void | Promise<void>;
}

export function createBrowser(network: FakeNetwork | null): Browser {
  const plans = new Map<string, PlanRecord>();
  return {
    store: createMemoryStore(plans),
    plans,
    withLock: createLocks(),
    calls: [],
    waits: [],
    keys: new Map(),
    tabs: new Set(),
    network,
    online: network !== null,
    controlled: true,
    intercept: () => undefined,
    settle: () => undefined,
  };
}

export interface Tab {
  readonly ask: <Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  readonly vault: Vault;
  readonly posted: FromVault[];
  readonly view: () => VaultView;
  /** Resolves with the first view that fits; fails after forty seconds. */
  readonly until: <View extends VaultView>(
    fits: (view: VaultView) => view is View,
  ) => Promise<View>;
  readonly stretched: () => number;
}

export function openTab(browser: Browser, wallets: WalletFactory | null = null): Tab {
  const posted: FromVault[] = [];
  let latest: VaultView = { kind: 'starting' };
  let stretched = 0;
  const watchers = new Set<() => void>();
  const vault = createVault({
    fetch: (path, init) => answer(browser, path, init),
    store: browser.store,
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    now: () => Date.now(),
    wait: async (ms, signal) => {
      await wait(ms / speed, signal);
      if (!signal.aborted) browser.waits.push(ms);
    },
    withLock: browser.withLock,
    visible: () => true,
    announce: (owner) => {
      for (const other of browser.tabs) {
        if (other !== vault) void other.storeChanged(owner).catch(() => undefined);
      }
    },
    stretch: (password, salt) => {
      stretched += 1;
      return stretchUnchecked(password, salt, { memoryKiB: 64, passes: 1 });
    },
    stretchParameters: STRETCH_STANDARD,
    post: (message) => {
      posted.push(message);
      if (message.kind !== 'view') return;
      latest = message.view;
      for (const watcher of watchers) watcher();
    },
    wallets,
  });
  browser.tabs.add(vault);
  return {
    ask: vault.ask,
    vault,
    posted,
    view: () => latest,
    stretched: () => stretched,
    until: (fits) =>
      new Promise((done, fail) => {
        const timer = setTimeout(
          () => fail(new Error(`still ${JSON.stringify(latest).slice(0, 400)}`)),
          40_000,
        );
        const look = (): void => {
          if (!fits(latest)) return;
          clearTimeout(timer);
          watchers.delete(look);
          done(latest);
        };
        watchers.add(look);
        look();
      }),
  };
}

type OpenView = Extract<VaultView, { kind: 'open' }>;
export const isOpen = (view: VaultView): view is OpenView => view.kind === 'open';
export const openWith =
  (fits: (view: OpenView) => boolean) =>
  (view: VaultView): view is OpenView =>
    view.kind === 'open' && fits(view);

/** The plain bytes [from, to) as the worker would stream them for an address it handed out. */
export async function readAs(
  browser: Browser,
  url: string,
  from = 0,
  to = Infinity,
): Promise<Uint8Array> {
  const key = browser.keys.get(url.split('/')[3] ?? '');
  if (key === undefined) throw new Error('the worker has no such key');
  const map = decodeDataMap(Uint8Array.from(Buffer.from(key.dataMap, 'base64')));
  if (!map.ok) throw new Error('malformed data map');
  const secret = Uint8Array.from(Buffer.from(key.secret, 'base64'));
  const parts: Uint8Array[] = [];
  const chunks = browser.network?.chunks;
  const getChunk = async (name: Uint8Array): Promise<Uint8Array> => {
    const chunk = chunks?.get(toHex(name));
    if (chunk === undefined) throw new Error('chunk not found');
    return chunk;
  };
  for await (const part of readRange({ map: map.value, secret }, from, to, getChunk)) {
    parts.push(part);
  }
  return Uint8Array.from(Buffer.concat(parts));
}

const headers = { [workerHeader]: 'test' };
const json = (value: unknown, status = 200): Response =>
  new Response(JSON.stringify(value), { status, headers });

async function answer(browser: Browser, path: string, init: RequestInit = {}): Promise<Response> {
  const { network } = browser;
  if (path === '/network.json') {
    if (!browser.online || network === null) throw new TypeError('offline');
    return new Response(JSON.stringify(network.file));
  }
  if (!browser.controlled) return new Response('Not found', { status: 404 });
  const url = new URL(path, 'http://safe.test');
  const call = url.pathname.slice(rpcPath.length);
  browser.calls.push(call);
  const meant = new Headers(init.headers).get(networkHeader);
  if (meant !== null && network !== null && meant !== network.file['networkId']) {
    return json({ kind: 'otherNetwork', message: 'Another network is served here.' }, 409);
  }
  try {
    await browser.intercept(call);
  } catch (response) {
    if (response instanceof Response) return response;
    throw response;
  }
  if (call === 'file/key') {
    const key = JSON.parse(String(init.body)) as FileKey;
    browser.keys.set(key.token, key);
    return json({ url: `/safe/files/${key.token}/${encodeURIComponent(key.name)}` });
  }
  if (call === 'file/forget') {
    const { tokens } = JSON.parse(String(init.body)) as { tokens: readonly string[] };
    for (const token of tokens) browser.keys.delete(token);
    return json({});
  }
  if (!browser.online || network === null) {
    return json({ kind: 'offline', message: 'No elder answers. It goes on by itself.' }, 503);
  }
  init.signal?.throwIfAborted();
  const response = await onNetwork(network, call, url, init);
  try {
    await browser.settle(call);
  } catch (other) {
    if (other instanceof Response) return other;
    throw other;
  }
  return response;
}

async function onNetwork(
  network: FakeNetwork,
  call: string,
  url: URL,
  init: RequestInit,
): Promise<Response> {
  const body = new Uint8Array(await new Response(init.body ?? null).arrayBuffer());
  switch (call) {
    case 'chunk/put': {
      const name = toHex(chunkName(body));
      if (name !== url.searchParams.get('name')) throw new Error('a chunk under a false name');
      network.chunks.set(name, body);
      return json({ receipts: 4 });
    }
    case 'chunk/get': {
      const chunk = network.chunks.get(url.searchParams.get('name') ?? '');
      if (chunk === undefined) return json({ kind: 'notFound', message: 'No such chunk.' }, 404);
      return new Response(chunk.slice(), { headers });
    }
    case 'pointer/get': {
      const record = network.pointers.get(url.searchParams.get('address') ?? '');
      if (record === undefined) return json({ kind: 'notFound', message: 'No such Safe.' }, 404);
      return new Response(record.slice(), { headers });
    }
    case 'pointer/put': {
      const offered = decodePointer(body);
      if (!offered.ok) throw new Error('a malformed record');
      const address = pointerAddress(network.networkId, offered.value.owner);
      if (!openPointer(network.networkId, address, body).ok) throw new Error('a bad record');
      const kept = network.pointers.get(toHex(address));
      const before = kept === undefined ? undefined : decodePointer(kept);
      if (before?.ok === true) {
        const verdict = pointerVerdict(before.value, offered.value);
        if (verdict === 'older' || verdict === 'taken') {
          return json({ kind: 'versionTaken', message: 'Another device was faster.' }, 409);
        }
      }
      network.pointers.set(toHex(address), body);
      return json({ receipts: 4 });
    }
  }
  throw new Error(`unknown call ${call}`);
}

export function createMemoryStore(plans: Map<string, PlanRecord> = new Map()): VaultStore {
  const safes = new Map<string, SafeRecord>();
  const pieces = new Map<string, Map<number, Uint8Array>>();
  const key = crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ]);
  return {
    listSafes: async () => [...safes.values()],
    getSafe: async (id) => safes.get(id),
    putSafe: async (record) => void safes.set(record.id, structuredClone(record)),
    deleteSafe: async (id) => void safes.delete(id),
    wrap: async (bytes, context) => wrapWith(await key, bytes, context),
    unwrap: async (wrapped, context) => unwrapWith(await key, wrapped, context),
    listPlans: async (owner) => [...plans.values()].filter((plan) => plan.owner === owner),
    getPlan: async (id) => plans.get(id),
    putPlan: async (plan) => void plans.set(plan.id, structuredClone(plan)),
    deletePlan: async (id) => {
      plans.delete(id);
      pieces.delete(id);
    },
    markPiece: async (planId, index, name) => {
      if (!plans.has(planId)) return;
      pieces.set(planId, new Map(pieces.get(planId)).set(index, name));
    },
    listPieces: async (planId) => pieces.get(planId) ?? new Map(),
  };
}

/** Web Locks of one browser: holders of a name wait for each other. */
function createLocks(): VaultPorts['withLock'] {
  const tails = new Map<string, Promise<unknown>>();
  return (name, body) => {
    const turn = (tails.get(name) ?? Promise.resolve()).then(body);
    tails.set(
      name,
      turn.catch(() => undefined),
    );
    return turn;
  };
}

export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((done) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      done();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish);
  });
}

/** Bytes that differ everywhere and are the same in every run. */
export function patterned(size: number, salt = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = salt >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export const goodPassword = 'correct horse battery staple';
export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
export const bytesOfText = utf8;
