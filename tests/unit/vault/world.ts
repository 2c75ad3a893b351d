/** A network, browsers and tabs in memory: the vault's real code over fakes of its ports. */
import type { FromVault, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { networkHeader, rpcPath, workerHeader } from '#bridge/worker-messages.ts';
import {
  answerCall,
  callFailure,
  isWorkerCall,
  type CallFailure,
  type FileKey,
  type WorkerCallHandlers,
} from '#bridge/worker-calls.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { STRETCH_STANDARD } from '#crypto/stretch-parameters.ts';
import {
  decodePointer,
  decodeVerifiedPointer,
  pointerAddress,
  pointerVerdict,
} from '#data/pointer-record.ts';
import { decodeDataMap } from '#data/data-map.ts';
import { networkIdOf } from '#protocol/section/network-id.ts';
import { stretchUnchecked } from '#runtime/jobs/argon2.ts';
import { readRange } from '#runtime/jobs/encrypt-pieces.ts';
import {
  unwrapWith,
  wrapWith,
  type PlanRecord,
  type SafeRecord,
  type VaultStore,
} from '#storage/browser/vault-store.ts';
import { onTestFinished } from 'vitest';
import type { VaultPorts, WalletFactory } from '../../../src/vault/ports.ts';
import { createVault, type Vault } from '../../../src/vault/vault.ts';

/** The speed-up of the vault's waits. */
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
      protocol: 2,
      bootstrap: [],
      supply: '1000',
      faucet: null,
    },
    chunks: new Map(),
    pointers: new Map(),
  };
}

/** Survives the closing of a tab. */
export interface Browser {
  readonly store: VaultStore;
  readonly plans: Map<string, PlanRecord>;
  readonly withLock: VaultPorts['withLock'];
  /** Calls that reached the worker, as `name`. */
  readonly calls: string[];
  /** The completed waits of its tabs' vaults, in milliseconds. */
  readonly waits: number[];
  readonly keys: Map<string, FileKey>;
  /** The vaults of its tabs, which notify each other of changed records. */
  readonly tabs: Set<Vault>;
  network: FakeNetwork | null;
  online: boolean;
  controlled: boolean;
  /** Called before each password is stretched. */
  beforeStretch: () => void | Promise<void>;
  /** Called before each call of the worker; may throw a `Response` to answer instead. */
  intercept: (call: string) => void | Promise<void>;
  /** Called after each call that the network accepted; may throw a `Response` to answer instead. */
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
    beforeStretch: () => undefined,
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
  /** Resolves with the first matching view; fails after forty seconds. */
  readonly until: <View extends VaultView>(
    fits: (view: VaultView) => view is View,
  ) => Promise<View>;
  readonly stretched: () => number;
}

/** Fires when the test that opened a tab ends: a vault left open would go on beside the next tests. */
function closedWithTest(): AbortSignal {
  const closing = new AbortController();
  onTestFinished(() => closing.abort());
  return closing.signal;
}

/** As a call of a closed tab ends. */
const never = <T>(): Promise<T> => new Promise(() => undefined);

/** @param ports instead of the fakes of this file */
export function openTab(
  browser: Browser,
  wallets: WalletFactory | null = null,
  ports: Partial<VaultPorts> = {},
): Tab {
  const posted: FromVault[] = [];
  let latest: VaultView = { kind: 'starting' };
  let stretched = 0;
  const watchers = new Set<() => void>();
  const ended = closedWithTest();
  const vault = createVault({
    fetch: (path, init) => (ended.aborted ? never() : answerFetch(browser, path, init)),
    store: browser.store,
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    now: () => Date.now(),
    wait: async (ms, signal) => {
      await wait(ms / speed, AbortSignal.any([signal, ended]));
      if (ended.aborted) return never();
      if (!signal.aborted) browser.waits.push(ms);
    },
    withLock: browser.withLock,
    visible: () => true,
    announce: (owner) => {
      for (const other of browser.tabs) {
        if (other !== vault) void other.storeChanged(owner).catch(() => undefined);
      }
    },
    estimateGuesses: async (password) => password.length / 2,
    stretch: async (password, salt) => {
      stretched += 1;
      await browser.beforeStretch();
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
    ...ports,
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

/** The plain bytes [from, to) as streamed by the worker for an address it returned. */
export async function readAs(
  browser: Browser,
  url: string,
  from = 0,
  to = Infinity,
): Promise<Uint8Array> {
  const key = browser.keys.get(url.split('/')[3] ?? '');
  if (key === undefined) throw new Error('the worker has no such key');
  const map = decodeDataMap(key.dataMap);
  if (!map.ok) throw new Error('malformed data map');
  const { secret } = key;
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

/** The worker's response when it did not carry out a call. */
export const failed = (
  status: number,
  kind: CallFailure['kind'],
  message = 'The worker refused.',
  afterMs: number | null = null,
): Response => {
  const body = callFailure.encode({ kind, message, afterMs }) as Uint8Array<ArrayBuffer>;
  return new Response(body, { status, headers });
};

/** What the page's origin and its worker answer. */
export async function answerFetch(
  browser: Browser,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  const { network } = browser;
  if (path === '/network.json') {
    if (!browser.online || network === null) throw new TypeError('offline');
    return new Response(JSON.stringify(network.file));
  }
  if (!browser.controlled) return new Response('Not found', { status: 404 });
  const call = new URL(path, 'http://safe.test').pathname.slice(rpcPath.length);
  if (!isWorkerCall(call)) throw new Error(`unknown call ${call}`);
  browser.calls.push(call);
  const meant = new Headers(init.headers).get(networkHeader);
  if (meant !== null && network !== null && meant !== network.file['networkId']) {
    return failed(409, 'otherNetwork', 'Another network is served here.');
  }
  try {
    await browser.intercept(call);
    const needsNetwork = !call.startsWith('file/');
    if (needsNetwork && !browser.online) throw offline();
    if (needsNetwork) init.signal?.throwIfAborted();
    const body = new Uint8Array(await new Response(init.body ?? null).arrayBuffer());
    const signal = init.signal ?? new AbortController().signal;
    const answered = await answerCall(handlersOf(browser), call, body, signal);
    if (answered === null) throw new Error(`a malformed call ${call}`);
    if (needsNetwork) await browser.settle(call);
    return new Response(answered as Uint8Array<ArrayBuffer>, { headers });
  } catch (response) {
    if (response instanceof Response) return response;
    throw response;
  }
}

const offline = (): Response => failed(503, 'offline', 'No elder answers. Safe keeps trying.');

/** The worker's end of the calls that a vault without a wallet makes. */
function handlersOf(browser: Browser): WorkerCallHandlers {
  const network = (): FakeNetwork => {
    if (browser.network === null) throw offline();
    return browser.network;
  };
  const notHere = (): never => {
    throw new Error('a call that only a wallet or a page makes');
  };
  return {
    ...{ status: notHere, transport: notHere, prove: notHere, outputs: notHere },
    ...{ pay: notHere, 'pay/done': notHere, 'section/proof': notHere },
    'file/key': (key) => {
      browser.keys.set(key.token, key);
      return { url: `/safe/files/${key.token}/${encodeURIComponent(key.name)}` };
    },
    'file/forget': ({ tokens }) => {
      for (const token of tokens) browser.keys.delete(token);
      return null;
    },
    'chunk/put': (bytes) => {
      network().chunks.set(toHex(sha256(bytes)), bytes);
      return null;
    },
    'chunk/get': ({ name }) => {
      const chunk = network().chunks.get(toHex(name));
      if (chunk === undefined) throw failed(404, 'notFound', 'No such chunk.');
      return chunk;
    },
    'pointer/get': ({ address }) => {
      const record = network().pointers.get(toHex(address));
      if (record === undefined) throw failed(404, 'notFound', 'No such Safe.');
      return record;
    },
    'pointer/put': (record) => {
      storePointer(network(), record);
      return null;
    },
  };
}

function storePointer({ networkId, pointers }: FakeNetwork, record: Uint8Array): void {
  const offered = decodePointer(record);
  if (!offered.ok) throw new Error('a malformed record');
  const address = pointerAddress(networkId, offered.value.owner);
  if (!decodeVerifiedPointer(networkId, address, record).ok) throw new Error('a bad record');
  const kept = pointers.get(toHex(address));
  const before = kept === undefined ? undefined : decodePointer(kept);
  const verdict = before?.ok === true ? pointerVerdict(before.value, offered.value) : 'newer';
  if (verdict === 'older' || verdict === 'taken') {
    throw failed(409, 'versionTaken', 'Another device was faster.');
  }
  pointers.set(toHex(address), record);
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

/** Bytes without repetition, the same in every run. */
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
