/** Devices with their browsers: real IndexedDB code over an in-memory IndexedDB, tabs and workers. */
import { IDBFactory } from 'fake-indexeddb';
import 'fake-indexeddb/auto';
import type { FromVault, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { filesPath, rpcPath, workerHeader, type WorkerToPage } from '#bridge/worker.ts';
import { err, ok, type Result } from '#core/result.ts';
import { STRETCH_STANDARD, type Stretch } from '#crypto/stretch.ts';
import { decodeClientRequest, decodeDoorRequest, encodeClientReply } from '#roles/wire/client.ts';
import { stretchUnchecked } from '#runtime/jobs/argon2.ts';
import type { VaultStore } from '#storage/browser/vault-store.ts';
import type * as filesModule from '../../src/service-worker/files.ts';
import type * as hostModule from '../../src/service-worker/host.ts';
import type * as rpcModule from '../../src/service-worker/rpc.ts';
import type { WalletFactory } from '../../src/vault/ports.ts';
import type { createVault, Vault } from '../../src/vault/vault.ts';
import { clock, working } from './clock.ts';
import {
  atSites,
  createLocks,
  currentProcess,
  never,
  Process,
  site,
  type Watcher,
} from './process.ts';
import { networkFile, type Network } from './section.ts';

interface Graph {
  readonly load: (path: string) => Promise<Record<string, unknown>>;
  /** Drops the modules of a process that has ended, so that the next one under its name is new. */
  readonly forget: (life: string) => void;
}
const graph = (globalThis as unknown as { readonly __inject: Graph }).__inject;

/** On the wire a call takes this long: others may do something meanwhile. */
const latencyMs = 10;

export class Device {
  readonly name: string;
  readonly network: Network;
  readonly watcher: Watcher;
  readonly withLock = createLocks();
  idb = new IDBFactory();
  isOnline = true;
  readonly tabs: Tab[] = [];
  worker: Worker | null = null;
  readonly #lives = new Map<string, number>();

  constructor(name: string, network: Network, watcher: Watcher) {
    this.name = name;
    this.network = network;
    this.watcher = watcher;
  }

  /** The next name for a process of this device; short runs use few, so modules are found again. */
  life(role: string): string {
    const count = (this.#lives.get(role) ?? 0) + 1;
    this.#lives.set(role, count);
    return `${this.name}-${role}-${count}`;
  }

  async openTab(): Promise<Tab> {
    const tab = new Tab(this, new Process('tab', this, this.watcher));
    this.tabs.push(tab);
    await tab.start();
    return tab;
  }

  async wakeWorker(): Promise<Worker> {
    if (this.worker === null || this.worker.process.isDead) this.worker = new Worker(this);
    await this.worker.starting;
    return this.worker;
  }

  /** The browser ends: everything of it, at once. */
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
    const life = device.life('worker');
    this.starting = this.process.run(() =>
      working(async () => {
        graph.forget(life);
        const [rpc, files, host] = (await Promise.all(
          ['rpc', 'files', 'host'].map((name) =>
            graph.load(`/src/service-worker/${name}.ts?life=${life}`),
          ),
        )) as unknown as [typeof rpcModule, typeof filesModule, typeof hostModule];
        this.#answer = (request) =>
          new URL(request.url).pathname.startsWith(filesPath)
            ? files.answerFile(request, host.lightNode)
            : rpc.answerRpc(request);
      }),
    );
  }

  /** As a fetch of a page sees it: cut off when the worker dies. */
  async answer(request: Request): Promise<Response> {
    return this.cutOff(() => this.#answer(request));
  }

  /** What the page waits for, done in the worker: a stream is pulled in the process that made it. */
  async cutOff<T>(act: () => Promise<T>): Promise<T> {
    const cut = this.process.died.then(() => {
      throw new TypeError('Failed to fetch');
    });
    return Promise.race([this.process.run(act), cut]);
  }
}

/** An address of the worker while it is read. */
export interface Reading {
  readonly response: Response;
  /** The next bytes and how many Locks had been confirmed when they came; null at the end. */
  readonly next: () => Promise<{ readonly bytes: Uint8Array; readonly locked: number } | null>;
  readonly cancel: () => void;
}

export class Tab {
  readonly device: Device;
  readonly process: Process;
  readonly posted: FromVault[] = [];
  view: VaultView = { kind: 'starting' };
  readonly shown = new Set<(view: VaultView) => void>();
  /** How often Lock or Forget was pressed here, and the number of the last one that was confirmed. */
  pressed = 0;
  locked = 0;
  #vault: Vault | null = null;

  constructor(device: Device, process: Process) {
    this.device = device;
    this.process = process;
  }

  async start(): Promise<void> {
    const { device, process } = this;
    const life = device.life('tab');
    await process.run(() =>
      working(async () => {
        graph.forget(life);
        const [vault, wallet, stores] = await Promise.all([
          graph.load(`/src/vault/vault.ts?life=${life}`),
          graph.load(`/src/vault/wallet/wallet.ts?life=${life}`),
          graph.load(`/src/storage/browser/vault-store.ts?life=${life}`),
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

  /** As a BroadcastChannel: every other tab hears of it, a little later. */
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

  /** Never answered once the tab is closed. */
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

  /** As the page does: the vault is handed the message, and the worker waits for no answer to it. */
  hear(message: WorkerToPage): void {
    if (message.kind !== 'needFileKey' || this.process.isDead) return;
    const give = async (): Promise<void> => this.#vault?.giveFileKey(message.token);
    this.process.run(() => {
      setTimeout(() => void site('page.needFileKey', give, [], false).catch(() => undefined), 1);
    });
  }

  /** As a page or a download of it reads an address of the worker; ends with the tab. */
  async read(address: string, range: string | null): Promise<Reading> {
    const request = new Request(new URL(address, 'http://safe.test'), {
      headers: range === null ? {} : { range },
    });
    const open = async () => {
      await clock.wait(latencyMs);
      const worker = await this.device.wakeWorker();
      const response = await worker.answer(request);
      if (!response.headers.has(workerHeader)) throw new Error('nobody but the worker answers');
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

/** The worker's way to an elder, or without a name to a bootstrap node. */
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
  const asked = decodeDoorRequest(bytes);
  if (!asked.ok) return 'malformed';
  if (asked.value.kind !== 'under') return asked.value.kind;
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

/** The globals of a browser process, by whoever runs. */
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
        return tabs.map((tab) => ({ postMessage: (message: WorkerToPage) => tab.hear(message) }));
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
