/** The dedicated worker that holds the open Safe: connects the vault to a real browser. */
import type { FromVault, ToVault, VaultError } from '#bridge/vault.ts';
import type { WorkerToPage } from '#bridge/worker.ts';
import { STRETCH_STANDARD } from '#crypto/stretch.ts';
import { stretchPassword } from '#runtime/jobs/argon2.ts';
import { createBrowserVaultStore } from '#storage/browser/vault-store.ts';
import { createVault } from './vault.ts';
import { walletFactory } from './wallet/wallet.ts';

declare const self: DedicatedWorkerGlobalScope;

const post = (message: FromVault): void => self.postMessage(message);

let visible = true;
/** Between the vaults of this browser's tabs: the owner key of a Safe whose record has changed. */
const tabs = new BroadcastChannel('safe-store');

const vault = createVault({
  fetch: (path, init) => fetch(path, init),
  store: createBrowserVaultStore(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  now: () => Date.now(),
  wait,
  visible: () => visible,
  withLock: async (name, body) => navigator.locks.request(name, body),
  announce: (owner) => tabs.postMessage(owner),
  stretch: stretchPassword,
  stretchParameters: STRETCH_STANDARD,
  post,
  wallets: walletFactory,
});

tabs.onmessage = ({ data }: MessageEvent<unknown>) => {
  if (typeof data === 'string') vault.storeChanged(data).catch(() => undefined);
};

type Heard = ToVault | WorkerToPage | { readonly kind: 'visible'; readonly visible: boolean };

self.onmessage = ({ data }: MessageEvent<Heard>) => {
  if ('request' in data) void answer(data);
  else if (data.kind === 'visible') {
    visible = data.visible;
    // What happened meanwhile is looked for now, not at the end of the long pause.
    if (visible) vault.ask({ kind: 'refresh' }).catch(() => undefined);
  } else if (data.kind === 'needFileKey') vault.giveFileKey(data.token).catch(() => undefined);
};

async function answer({ id, request }: ToVault): Promise<void> {
  try {
    post({ kind: 'reply', id, value: await vault.ask(request) });
  } catch (error) {
    post({ kind: 'error', id, error: error as VaultError });
  }
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => {
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish);
    function finish(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      done();
    }
  });
}
