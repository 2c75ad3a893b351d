/**
 * Devices with their browsers: the product's IndexedDB code over an in-memory IndexedDB, tabs,
 * workers.
 */
import { IDBFactory } from 'fake-indexeddb';
import 'fake-indexeddb/auto';
import type { FromVault, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { filesPath, rpcPath, workerHeader, type WorkerToPage } from '#bridge/worker-messages.ts';
import { err, ok, type Result } from '#core/result.ts';
import { STRETCH_STANDARD, type Stretch } from '#crypto/stretch-parameters.ts';
import {
  decodeClientRequest,
  decodeIncomingRequest,
  encodeClientReply,
} from '#roles/wire/client.ts';
import { stretchUnchecked } from '#runtime/jobs/argon2.ts';
import type { VaultStore } from '#storage/browser/vault-store.ts';
import type * as filesModule from '../../../src/service-worker/http/file-downloads.ts';
import type * as hostModule from '../../../src/service-worker/node-lifecycle.ts';
import type * as rpcModule from '../../../src/service-worker/http/rpc-calls.ts';
import type { WalletFactory } from '../../../src/vault/ports.ts';
import type { createVault, Vault } from '../../../src/vault/vault.ts';
import { clock, working } from '../clock.ts';
import {
  atSites,
  createLocks,
  currentProcess,
  never,
  Process,
  site,
  type Watcher,
} from '../process.ts';
import { networkFile, type Network } from './network.ts';

interface Graph {
  readonly load: (path: string) => Promise<Record<string, unknown>>;
  /**
   * Drops the modules of a process that has ended, so that the next process of that name loads new
   * ones.
   */
  readonly forget: (instance: string) => void;
}
const graph = (globalThis as unknown as { readonly __inject: Graph }).__inject;

/** Duration of a call over the network: other processes can act meanwhile. */
const latencyMs = 10;

export class Device {
  readonly name: string;
  readonly network: Network;
  readonly watcher: Watcher;
  readonly withLock = createLocks();
  idb = new IDBFactory();
  isOnline = true;
  readonly tabs: BrowserTab[] = [];
  worker: Worker | null = null;
  readonly #instances = new Map<string, number>();

  constructor(name: string, network: Network, watcher: Watcher) {
    this.name = name;
    this.network = network;
    this.watcher = watcher;
  }

  /**
   * The next name for a process of this device; short runs use few names, so modules are reused.
   */
  instance(role: string): string {
    const count = (this.#instances.get(role) ?? 0) + 1;
    this.#instances.set(role, count);
    return `${this.name}-${role}-${count}`;
  }

  async openTab(): Promise<BrowserTab> {
    const tab = new BrowserTab(this, new Process('tab', this, this.watcher));
    this.tabs.push(tab);
    await tab.start();
    return tab;
  }

  async wakeWorker(): Promise<Worker> {
    if (this.worker === null || this.worker.process.isDead) this.worker = new Worker(this);
    await this.worker.starting;
    return this.worker;
  }

  /** Ends the browser with all its processes at the same time. */
  kill(): void {
    for (const tab of this.tabs) tab.process.kill();
    this.worker?.process.kill();
  }
}

class Worker {
  readonly process: Process;
  readonly starting: Promise<void>;
  #answer: (request: Request) => Promise<Response> = never;

  constructor(device: Device) {
    this.process = new Process('worker', device, device.watcher);
    const instance = device.instance('worker');
    this.starting = this.process.run(() =>
      working(async () => {
        graph.forget(instance);
        const [rpc, files, host] = (await Promise.all(
          ['http/rpc-calls', 'http/file-downloads', 'node-lifecycle'].map((name) =>
            graph.load(`/src/service-worker/${name}.ts?instance=${instance}`),
          ),
        )) as unknown as [typeof rpcModule, typeof filesModule, typeof hostModule];
        this.#answer = (request) =>
          new URL(request.url).pathname.startsWith(filesPath)
            ? files.answerFile(request, host.lightNode)
            : rpc.answerRpc(request);
      }),
    );
  }

  /** The worker's response to a page's fetch; never resolves after the worker ends. */
  async answer(request: Request): Promise<Response> {
    return this.cutOff(() => this.#answer(request));
  }

  /**
   * Runs `act` in the worker for a waiting page: the process that created a stream must pull it.
   */
  async cutOff<T>(act: () => Promise<T>): Promise<T> {
    const cut = this.process.died.then(() => {
      throw new TypeError('Failed to fetch');
    });
    return Promise.race([this.process.run(act), cut]);
  }
}

/** A worker's URL that is being read. */
export interface FileReading {
  readonly response: Response;
  /** The next bytes, with the number of Locks confirmed when they arrived; null at the end. */
  readonly next: () => Promise<{ readonly bytes: Uint8Array; readonly locked: number } | null>;
  readonly cancel: () => void;
}

export class BrowserTab {
  readonly device: Device;
  readonly process: Process;
  readonly posted: FromVault[] = [];
  view: VaultView = { kind: 'starting' };
  readonly shown = new Set<(view: VaultView) => void>();
  /**
   * How often Lock or Forget was pressed here; `confirmed` is the number of the last confirmed
   * press.
   */
  pressed = 0;
  locked = 0;
  #vault: Vault | null = null;

  constructor(device: Device, process: Process) {
    this.device = device;
    this.process = process;
  }

  async start(): Promise<void> {
    const { device, process } = this;
    const instance = device.instance('tab');
    await process.run(() =>
      working(async () => {
        graph.forget(instance);
        const [vault, wallet, stores] = await Promise.all([
          graph.load(`/src/vault/vault.ts?instance=${instance}`),
          graph.load(`/src/vault/wallet/wallet.ts?instance=${instance}`),
          graph.load(`/src/storage/browser/vault-store.ts?instance=${instance}`),
        ]);
        const create = vault['createVault'] as typeof createVault;
        const createStore = stores['createBrowserVaultStore'] as () => VaultStore;
        this.#vault = create({
          fetch: (path, init) => fetchFrom(device, path, init),
          store: atSites('store', createStore()),
          randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
          now: clock.now,
          wait: (ms, signal) => site('wait', () => waitFor(ms, signal), [ms], false),
          withLock: device.withLock,
          announce: (owner) => this.#announce(owner),
          visible: () => true,
          estimateGuesses: async (password) => password.length / 2,
          stretch: ((password, salt) =>
            site('stretch', () =>
              stretchUnchecked(password, salt, { memoryKiB: 64, passes: 1 }),
            )) as Stretch,
          stretchParameters: STRETCH_STANDARD,
          post: (message) => this.#post(message),
          wallets: wallet['walletFactory'] as WalletFactory,
        });
      }),
    );
  }

  /** As BroadcastChannel: every other tab receives it a little later. */
  #announce(owner: string): void {
    if (this.process.isDead) return;
    for (const tab of this.device.tabs) {
      if (tab === this || tab.process.isDead) continue;
      tab.process.run(() => {
        setTimeout(() => void tab.#vault?.storeChanged(owner).catch(() => undefined), 1);
      });
    }
  }

  #post(message: FromVault): void {
    if (this.process.isDead) return;
    this.posted.push(message);
    if (message.kind !== 'view') return;
    this.view = message.view;
    for (const look of [...this.shown]) look(message.view);
  }

  /** Never resolves after the tab is closed. */
  ask<Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ): Promise<VaultReplies[Kind]> {
    const vault = this.#vault;
    if (vault === null || this.process.isDead) return never();
    const answer = this.process.run(() => vault.ask<Kind>(request));
    if (request.kind !== 'lock' && request.kind !== 'forget') return answer;
    this.pressed += 1;
    const { pressed } = this;
    return answer.then((value) => {
      this.locked = Math.max(this.locked, pressed);
      return value;
    });
  }

  /** As in the page: passes the message to the vault; the worker waits for no answer. */
  onMessage(message: WorkerToPage): void {
    if (message.kind !== 'needFileKey' || this.process.isDead) return;
    const give = async (): Promise<void> => this.#vault?.resendFileKey(message.token);
    this.process.run(() => {
      setTimeout(() => void site('page.needFileKey', give, [], false).catch(() => undefined), 1);
    });
  }

  /** Reads a URL of the worker, as a page or a download of it; ends with the tab. */
  async read(address: string, range: string | null): Promise<FileReading> {
    const request = new Request(new URL(address, 'http://safe.test'), {
      headers: range === null ? {} : { range },
    });
    const open = async () => {
      await clock.wait(latencyMs);
      const worker = await this.device.wakeWorker();
      const response = await worker.answer(request);
      if (!response.headers.has(workerHeader)) throw new Error('only the worker may answer');
      return { worker, response };
    };
    return this.process.run(async () => {
      const { worker, response } = await site('download.open', open, [], false);
      const reader = response.ok ? response.body?.getReader() : undefined;
      const cancel = (): void => {
        if (!worker.process.isDead) {
          worker.process.run(() => void reader?.cancel().catch(() => undefined));
        }
      };
      this.process.atEnd.push(cancel);
      const read = async () => {
        const piece = await worker.cutOff(async () => reader?.read());
        const { locked } = this;
        return piece?.value === undefined ? null : { bytes: piece.value, locked };
      };
      const next = () => this.process.run(() => site('download.read', read, [], false));
      return { response, next, cancel };
    });
  }

  close(): void {
    this.process.kill();
  }
}

async function fetchFrom(device: Device, path: string, init: RequestInit = {}): Promise<Response> {
  const url = new URL(path, 'http://safe.test');
  if (path === '/network.json') {
    return site('fetch.network', async () => networkJson(device), [], false);
  }
  const call = url.pathname.slice(rpcPath.length);
  return site(
    `rpc.${call}`,
    async () => {
      await clock.wait(latencyMs);
      const worker = await device.wakeWorker();
      return worker.answer(new Request(url, init));
    },
    [],
    false,
  );
}

function networkJson(device: Device): Response {
  if (!device.isOnline) throw new TypeError('Failed to fetch');
  return new Response(JSON.stringify(networkFile));
}

/** The worker's request to an elder, or without a name to a bootstrap node. */
export async function askElder(
  elder: Uint8Array | null,
  request: Uint8Array,
): Promise<Result<Uint8Array, { readonly kind: 'timeout' }>> {
  const device = currentProcess()?.device as Device | undefined;
  if (device === undefined) return never();
  const answer = async (): Promise<Result<Uint8Array, { readonly kind: 'timeout' }>> => {
    await clock.wait(latencyMs);
    if (!device.isOnline) return err({ kind: 'timeout' });
    const reply = device.network.answer(elder, request);
    await clock.wait(latencyMs);
    return ok(encodeClientReply(reply));
  };
  return site(`elder.${kindOf(request)}`, answer, [request], false);
}

function kindOf(bytes: Uint8Array): string {
  const asked = decodeIncomingRequest(bytes);
  if (!asked.ok) return 'malformed';
  if (asked.value.kind !== 'routed') return asked.value.kind;
  const inner = decodeClientRequest(asked.value.request);
  return inner.ok ? inner.value.kind : 'malformed';
}

const waitFor = (ms: number, signal: AbortSignal): Promise<void> => {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => {
    signal.addEventListener('abort', () => done(), { once: true });
    void clock.wait(ms).then(done);
  });
};

/** Installs the globals of a browser process; each process gets those of its own device. */
export function installBrowser(): void {
  const realFetch = globalThis.fetch;
  Object.defineProperty(globalThis, 'indexedDB', {
    configurable: true,
    get: () => (currentProcess()?.device as Device | undefined)?.idb,
  });
  Object.assign(globalThis, {
    clients: {
      matchAll: async () => {
        const device = currentProcess()?.device as Device | undefined;
        const tabs = device?.tabs.filter((tab) => !tab.process.isDead) ?? [];
        return tabs.map((tab) => ({
          postMessage: (message: WorkerToPage) => tab.onMessage(message),
        }));
      },
    },
    caches: { open: async () => ({ keys: async () => [] }) },
    fetch: async (path: string | Request | URL, init?: RequestInit) => {
      const device = currentProcess()?.device as Device | undefined;
      if (device === undefined) return realFetch(path, init);
      return site('fetch.network', async () => networkJson(device), [], false);
    },
  });
}
