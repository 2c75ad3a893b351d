/**
 * The composition root of a window: registers the worker, starts the vault, hosts the RTCPeerConnections,
 * keeps the worker alive while needed. It makes no decisions about data.
 */
import { Workbox } from 'workbox-window';
import type { SafeApp, ShellView } from '#bridge/page.ts';
import type { VaultView } from '#bridge/vault.ts';
import {
  callHeader,
  rpcPath,
  workerToPageShape,
  type NetworkView,
  type PageToWorker,
  type TransportPreference,
} from '#bridge/worker-messages.ts';
import {
  workerCalls,
  type CallInput,
  type CallOutput,
  type WorkerCallName,
} from '#bridge/worker-calls.ts';
import { startRtcHosting, type RtcHosting } from './rtc-hosting.ts';
import { startVault, type VaultClient } from './vault-client.ts';
import { activated, applyUpdate, controlled, watchUpdates } from './worker-start.ts';

/** The browser stops an idle worker after 30 s. */
const keepAliveMs = 20_000;
const statusWhileVisibleMs = 3_000;
/** Registration fetches one file; the app's other files follow. */
const registrationMs = 30_000;

/** Changed only by the functions of this file. */
interface PageState {
  readonly vaultView: Observable<VaultView>;
  readonly networkView: Observable<NetworkView | null>;
  readonly shell: Observable<ShellView>;
  registration: ServiceWorkerRegistration | undefined;
  vault: VaultClient | undefined;
  vaultRestarted: boolean;
  networkWatchers: number;
}

export function startSafeApp(): SafeApp {
  const missing = missingFeature();
  const page: PageState = {
    vaultView: observable<VaultView>({ kind: 'starting' }),
    networkView: observable<NetworkView | null>(null),
    shell: observable<ShellView>({
      ...{ offlineReady: false, online: navigator.onLine, updateReady: false },
      unsupported: missing,
    }),
    ...{ registration: undefined, vault: undefined, vaultRestarted: false, networkWatchers: 0 },
  };
  watchWindow(page);
  if (missing === null) {
    receiveFromWorker(
      page,
      startRtcHosting(() => workerOf(page)),
    );
    start(page).catch((error: unknown) => refuse(page, error));
  }

  return {
    onVault: page.vaultView.subscribe,
    onNetwork: page.networkView.subscribe,
    onShell: page.shell.subscribe,
    ask: (request) => {
      if (page.vault !== undefined) return page.vault.ask(request);
      const message = 'The app is still starting. Try again in a moment.';
      return Promise.reject(Object.assign(new Error(message), { kind: 'busy' }));
    },
    setTransport: async (preference: TransportPreference) => {
      await callWorker('transport', { preference });
      await fetchStatus(page);
    },
    watchNetwork: () => {
      page.networkWatchers += 1;
      void fetchStatus(page);
      return () => {
        page.networkWatchers -= 1;
      };
    },
    applyUpdate: () => applyUpdate(page.registration),
  };
}

async function start(page: PageState): Promise<void> {
  const workbox = new Workbox('/service-worker.js', { type: 'module' });
  watchUpdates(workbox, () => setShell(page, { updateReady: true }));
  page.registration = await within(workbox.register({ immediate: true }), registrationMs);
  if (page.registration === undefined) throw new Error('it was not registered');
  await controlled(await activated(page.registration));
  launchVault(page);
  post(page, { kind: 'keepAlive' });
  void fetchStatus(page);
  setInterval(() => fetchStatusIfWanted(page), statusWhileVisibleMs);
  setInterval(() => {
    // workbox-window reports no second update of a tab whose first one could not be stored.
    if (page.registration?.waiting) setShell(page, { updateReady: true });
    keepAliveIfInUse(page);
  }, keepAliveMs);
}

function launchVault(page: PageState): void {
  page.vault = startVault(page.vaultView.set, () => {
    // A vault started before the worker controlled this page cannot reach it: restart it once.
    if (page.vaultRestarted) return;
    page.vaultRestarted = true;
    page.vault?.stop();
    const active = workerOf(page);
    if (active === null) return;
    controlled(active).then(
      () => launchVault(page),
      (error: unknown) => refuse(page, error),
    );
  });
}

async function fetchStatus(page: PageState): Promise<void> {
  try {
    const view = await callWorker('status', { look: page.networkWatchers > 0 });
    if (view === undefined) return;
    page.networkView.set(view);
    if (view.offlineReady) setShell(page, { offlineReady: true });
  } catch {
    // The worker is being replaced; the next tick asks again.
  }
}

/** A locked Safe needs no node: a request would keep the worker alive for nothing. */
function fetchStatusIfWanted(page: PageState): void {
  const { offlineReady } = page.shell.get();
  const wanted = page.vaultView.get().kind === 'open' || page.networkWatchers > 0 || !offlineReady;
  if (wanted && isVisible()) void fetchStatus(page);
}

function keepAliveIfInUse(page: PageState): void {
  const view = page.vaultView.get();
  if (view.kind !== 'open') return;
  const isSending = view.transfers.some((transfer) => transfer.state === 'sending');
  if (isVisible() || isSending) post(page, { kind: 'keepAlive' });
}

function receiveFromWorker(page: PageState, rtc: RtcHosting): void {
  navigator.serviceWorker?.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    const message = workerToPageShape(data);
    switch (message?.kind) {
      case 'network':
        return page.networkView.set(message.view);
      case 'needRtcHost':
        return rtc.needed(message.instance);
      case 'alive':
        return rtc.alive(message.instance);
      case 'needFileKey':
        return page.vault?.notify(message);
    }
  });
}

function watchWindow(page: PageState): void {
  for (const event of ['online', 'offline']) {
    addEventListener(event, () => setShell(page, { online: navigator.onLine }));
  }
  for (const event of ['visibilitychange', 'pageshow']) {
    addEventListener(event, () => {
      const visible = isVisible();
      if (visible && page.vaultView.get().kind === 'open') post(page, { kind: 'keepAlive' });
      page.vault?.notify({ kind: 'visible', visible });
    });
  }
}

const isVisible = (): boolean => document.visibilityState === 'visible';

const workerOf = ({ registration }: PageState): ServiceWorker | null =>
  registration?.active ?? null;

const post = (page: PageState, message: PageToWorker): void => workerOf(page)?.postMessage(message);

const setShell = ({ shell }: PageState, changed: Partial<ShellView>): void =>
  shell.set({ ...shell.get(), ...changed });

const refuse = (page: PageState, error: unknown): void =>
  setShell(page, { unsupported: notStarted(error) });

/** @returns `undefined` when the worker did not answer, for example while it is being replaced */
async function callWorker<Name extends WorkerCallName>(
  name: Name,
  input: CallInput<Name>,
): Promise<CallOutput<Name> | undefined> {
  const call = workerCalls[name];
  const body = call.in.encode(input) as Uint8Array<ArrayBuffer>;
  const headers = { [callHeader]: '1' };
  const answer = await fetch(rpcPath + name, { method: 'POST', headers, body });
  return answer.ok ? call.out.decode(new Uint8Array(await answer.arrayBuffer())) : undefined;
}

/** Errors: rejects when the promise has not settled in this time. */
function within<T>(what: Promise<T>, ms: number): Promise<T> {
  const late = new Promise<never>((_, fail) =>
    setTimeout(() => fail(new Error(`no answer within ${ms / 1000} seconds`)), ms),
  );
  return Promise.race([what, late]);
}

/** The browser refused the service worker: otherwise the page would show "starting" for ever. */
export function notStarted(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `The app could not start its service worker (${why}). Allow this site to store data, make room on the disk, then reload the page.`;
}

function missingFeature(): string | null {
  if (!('serviceWorker' in navigator)) {
    return 'This browser window has no service worker (a private window, perhaps). Open Safe in an ordinary window.';
  }
  if (!('locks' in navigator) || typeof indexedDB === 'undefined') {
    return 'This browser is too old for Safe. Update it, or open Safe in another one.';
  }
  return null;
}

interface Observable<T> {
  readonly get: () => T;
  readonly set: (value: T) => void;
  readonly subscribe: (show: (value: T) => void) => () => void;
}

function observable<T>(initial: T): Observable<T> {
  let value = initial;
  const listeners = new Set<(value: T) => void>();
  return {
    get: () => value,
    set: (next) => {
      value = next;
      for (const listener of listeners) listener(next);
    },
    subscribe: (show) => {
      listeners.add(show);
      show(value);
      return () => void listeners.delete(show);
    },
  };
}
