/** The dedicated worker that holds the open Safe: connects the vault to a real browser. */
import { toVaultShape, type FromVault, type ToVault, type VaultError } from '#bridge/vault.ts';
import { STRETCH_STANDARD } from '#crypto/stretch-parameters.ts';
import { stretchPassword } from '#runtime/jobs/argon2.ts';
import { createBrowserVaultStore } from '#storage/browser/vault-store.ts';
import { createGuessClient } from './guesses/guess-client.ts';
import { createVault } from './vault.ts';
import { walletFactory } from './wallet/wallet.ts';

declare const self: DedicatedWorkerGlobalScope;

const post = (message: FromVault): void => self.postMessage(message);

let visible = true;
let guessWorker = '';
/** Connects the vaults of this browser's tabs: the owner key of a Safe whose record has changed. */
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
  estimateGuesses: createGuessClient(() =>
    guessWorker === '' ? null : new Worker(guessWorker, { type: 'module' }),
  ),
  stretch: stretchPassword,
  stretchParameters: STRETCH_STANDARD,
  post,
  wallets: walletFactory,
});

tabs.onmessage = ({ data }: MessageEvent<unknown>) => {
  if (typeof data === 'string') vault.storeChanged(data).catch(() => undefined);
};

self.onmessage = ({ data }: MessageEvent<unknown>) => {
  const message = toVaultShape(data);
  switch (message?.kind) {
    case 'ask':
      return void answer(message);
    case 'guessWorker':
      guessWorker = message.url;
      return;
    case 'visible':
      visible = message.visible;
      // Look for changes now, not at the end of the long pause.
      if (visible) vault.ask({ kind: 'refresh' }).catch(() => undefined);
      return;
    case 'needFileKey':
      return void vault.resendFileKey(message.token).catch(() => undefined);
    case undefined:
      return refuse(data);
  }
};

/** The page does not wait for ever: it gets an error for whatever it asked. */
function refuse(data: unknown): void {
  const { id } = Object(data) as { readonly id?: unknown };
  const message = 'The app could not read this request. Reload the page and try again.';
  if (typeof id === 'number') post({ kind: 'error', id, error: { kind: 'internal', message } });
}

async function answer({ id, request }: Extract<ToVault, { kind: 'ask' }>): Promise<void> {
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
