/**
 * What a window must do (composition root): register the worker, start the vault, host the
 * RTCPeerConnections, keep the worker alive while it matters. It decides nothing about data.
 */
import type { SafeApp, ShellView } from '#bridge/page.ts';
import type { VaultView } from '#bridge/vault.ts';
import {
  callHeader,
  rpcPath,
  type NetworkView,
  type PageToWorker,
  type RoadPreference,
  type WorkerToPage,
} from '#bridge/worker.ts';
import { startRtcHosting } from './rtc-hosting.ts';
import { startVault, type VaultClient } from './vault-client.ts';
import { activated, applyUpdate, controlled, watchUpdates } from './worker-start.ts';

/** The browser kills an idle worker after 30 s. */
const keepAliveMs = 20_000;
const statusWhileVisibleMs = 3_000;
/** A registration fetches one file; the app's other files come after. */
const registrationMs = 30_000;

export function startSafeApp(): SafeApp {
  const vaultView = observable<VaultView>({ kind: 'starting' });
  const networkView = observable<NetworkView | null>(null);
  const shell = observable<ShellView>({
    offlineReady: false,
    online: navigator.onLine,
    updateReady: false,
    unsupported: null,
  });
  const missing = missingFeature();
  if (missing !== null) shell.set({ ...shell.get(), unsupported: missing });

  let registration: ServiceWorkerRegistration | undefined;
  const worker = (): ServiceWorker | null => registration?.active ?? null;
  const post = (message: PageToWorker): void => worker()?.postMessage(message);
  const rtc = startRtcHosting(worker);
  let vault: VaultClient | undefined;
  let restarted = false;
  let watchers = 0;

  const refuse = (error: unknown): void =>
    shell.set({ ...shell.get(), unsupported: notStarted(error) });
  const beginVault = (): void => {
    vault = startVault(vaultView.set, () => {
      // A vault started before the worker took this page over cannot reach it: once more, after.
      if (restarted) return;
      restarted = true;
      vault?.stop();
      const active = worker();
      if (active !== null) controlled(active).then(beginVault, refuse);
    });
  };

  const status = async (): Promise<void> => {
    try {
      const look = watchers > 0 ? '?look' : '';
      const answer = await callWorker(`status${look}`);
      if (!answer.ok) return;
      const view = (await answer.json()) as NetworkView;
      networkView.set(view);
      if (view.offlineReady) shell.set({ ...shell.get(), offlineReady: true });
    } catch {
      // The worker is being replaced; the next tick asks again.
    }
  };

  const begin = async (): Promise<void> => {
    if (missing !== null) return;
    registration = await within(
      navigator.serviceWorker.register('/service-worker.js', { type: 'module' }),
      registrationMs,
    );
    watchUpdates(registration, () => shell.set({ ...shell.get(), updateReady: true }));
    await controlled(await activated(registration));
    beginVault();
    post({ kind: 'keepAlive' });
    void status();
    setInterval(() => {
      // A locked Safe needs no node: asking would keep the worker alive for nothing.
      const { kind } = vaultView.get();
      const wanted = kind === 'open' || watchers > 0 || !shell.get().offlineReady;
      if (wanted && document.visibilityState === 'visible') void status();
    }, statusWhileVisibleMs);
    setInterval(() => {
      const view = vaultView.get();
      const open = view.kind === 'open';
      const busy = open && view.transfers.some((transfer) => transfer.state === 'sending');
      if ((open && document.visibilityState === 'visible') || busy) post({ kind: 'keepAlive' });
    }, keepAliveMs);
  };

  navigator.serviceWorker?.addEventListener('message', ({ data }: MessageEvent<WorkerToPage>) => {
    switch (data.kind) {
      case 'network':
        return networkView.set(data.view);
      case 'needRtcHost':
        return rtc.needed(data.instance);
      case 'alive':
        return rtc.alive(data.instance);
      case 'needFileKey':
        return vault?.post(data);
    }
  });
  for (const event of ['online', 'offline']) {
    addEventListener(event, () => shell.set({ ...shell.get(), online: navigator.onLine }));
  }
  for (const event of ['visibilitychange', 'pageshow']) {
    addEventListener(event, () => {
      const visible = document.visibilityState === 'visible';
      if (visible && vaultView.get().kind === 'open') post({ kind: 'keepAlive' });
      vault?.post({ kind: 'visible', visible });
    });
  }
  begin().catch(refuse);

  return {
    onVault: vaultView.subscribe,
    onNetwork: networkView.subscribe,
    onShell: shell.subscribe,
    ask: (request) => {
      if (vault !== undefined) return vault.ask(request);
      const message = 'The app is still starting. Try again in a moment.';
      return Promise.reject(Object.assign(new Error(message), { kind: 'busy' }));
    },
    setRoad: async (preference: RoadPreference) => {
      await callWorker('road', JSON.stringify({ preference }));
      await status();
    },
    watchNetwork: () => {
      watchers += 1;
      void status();
      return () => {
        watchers -= 1;
      };
    },
    applyUpdate: () => applyUpdate(registration),
  };
}

const callWorker = (call: string, body: string | null = null): Promise<Response> =>
  fetch(rpcPath + call, { method: 'POST', headers: { [callHeader]: '1' }, body });

/** Errors: rejects when nothing has happened in this time. */
function within<T>(what: Promise<T>, ms: number): Promise<T> {
  const late = new Promise<never>((_, fail) =>
    setTimeout(() => fail(new Error(`no answer within ${ms / 1000} seconds`)), ms),
  );
  return Promise.race([what, late]);
}

/** The browser refused the service worker: a page that only says "starting" would say it for ever. */
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
