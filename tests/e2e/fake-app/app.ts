/**
 * A Safe without keys or a network, behind the interface of the real one: for viewing every screen and for
 * accessibility tests. `vite build --mode fake` replaces `page/app.ts` by it; no other build contains this
 * file. A test chooses a scene and may change the app's state: `window.safeScene` before the start,
 * `window.safeFake` after it.
 */
import type { SafeApp, ShellView } from '../../../src/bridge/page.ts';
import type { VaultError, VaultRequest, VaultView } from '../../../src/bridge/vault.ts';
import type { NetworkView } from '../../../src/bridge/worker-messages.ts';
import {
  networks,
  openSafe,
  phrase,
  scenes,
  shells,
  type Scene,
  type SceneName,
} from './scenes.ts';

declare global {
  interface Window {
    safeScene?: SceneName;
    safeFake?: FakeControls;
  }
}

interface FakeControls {
  readonly show: (part: {
    vault?: VaultView;
    network?: NetworkView | null;
    shell?: ShellView;
  }) => void;
  /** Requests so far, to check what the screens send. */
  readonly asked: VaultRequest[];
  /** The next request of this kind fails with this error. */
  readonly failNext: (kind: VaultRequest['kind'], error: VaultError) => void;
  /** The delay of each answer. */
  delayMs: number;
}

interface Published<Value> {
  value: Value;
  readonly listeners: Set<(value: Value) => void>;
}

export function startSafeApp(): SafeApp {
  const scene: Scene = scenes[window.safeScene ?? 'none'];
  const vault: Published<VaultView> = { value: scene.vault, listeners: new Set() };
  const network: Published<NetworkView | null> = {
    value: scene.network ?? networks.good,
    listeners: new Set(),
  };
  const shell: Published<ShellView> = { value: scene.shell ?? shells.ready, listeners: new Set() };
  const failures = new Map<string, VaultError>();
  const asked: VaultRequest[] = [];

  const publish = <Value>(published: Published<Value>, value: Value): void => {
    published.value = value;
    for (const listener of published.listeners) listener(value);
  };
  const listen =
    <Value>(published: Published<Value>) =>
    (listener: (value: Value) => void): (() => void) => {
      published.listeners.add(listener);
      listener(published.value);
      return () => published.listeners.delete(listener);
    };
  const controls: FakeControls = {
    show: (part) => {
      if (part.vault) publish(vault, part.vault);
      if (part.network !== undefined) publish(network, part.network);
      if (part.shell) publish(shell, part.shell);
    },
    asked,
    failNext: (kind, error) => failures.set(kind, error),
    delayMs: 0,
  };
  window.safeFake = controls;

  const answer = (request: VaultRequest): unknown => {
    switch (request.kind) {
      case 'newPhrase':
        return { words: phrase };
      case 'checkPhrase': {
        const words = request.words.split(' ');
        if (words.length !== phrase.length)
          return { problem: { kind: 'wrongCount', count: words.length } };
        const wrong = words.findIndex((word, index) => word !== phrase[index]);
        const right = phrase[wrong];
        if (right === undefined) return { problem: null };
        return { problem: { kind: 'wrongWord', position: wrong + 1, suggestion: right } };
      }
      case 'passwordStrength':
        return request.password.length < 12
          ? {
              acceptable: false,
              score: 1,
              sentence: 'This is too easy to guess. Add two or three more words.',
            }
          : {
              acceptable: true,
              score: 4,
              sentence:
                'A thief who also has your phrase would pay about $37,000,000 to find this.',
            };
      case 'createSafe':
      case 'unlockHere':
      case 'unlockWithPhrase':
        publish(vault, openSafe);
        return null;
      case 'lock':
        publish(vault, { kind: 'locked', fingerprint: openSafe.fingerprint });
        return null;
      case 'forget':
        publish(vault, { kind: 'none' });
        return null;
      case 'upload':
      case 'resumeUpload':
        return { transferId: 'transfer' };
      case 'openFile':
        return { url: '/safe/files/nothing' };
      case 'removeFile':
      case 'restoreFile': {
        const view = vault.value;
        if (view.kind !== 'open') return null;
        const from = request.kind === 'removeFile' ? view.files : view.removedFiles;
        const moved = from.filter((file) => file.id === request.fileId);
        const rest = from.filter((file) => file.id !== request.fileId);
        publish(
          vault,
          request.kind === 'removeFile'
            ? { ...view, files: rest, removedFiles: [...view.removedFiles, ...moved] }
            : { ...view, files: [...view.files, ...moved], removedFiles: rest },
        );
        return null;
      }
      case 'send':
        return { paymentId: 'payment' };
      case 'redeem':
        return { amount: '2.5' };
      case 'receiptText':
        return { text: 'safe-receipt-1-qpzry9x8gf2tvdw0s3jn54khce6mua7l' };
      case 'cancelUpload':
      case 'askFaucet':
      case 'refresh':
        return null;
    }
  };

  return {
    onVault: listen(vault),
    onNetwork: listen(network),
    onShell: listen(shell),
    ask: async (request) => {
      asked.push(request as VaultRequest);
      if (controls.delayMs > 0)
        await new Promise((resolve) => setTimeout(resolve, controls.delayMs));
      const failure = failures.get(request.kind);
      if (failure) {
        failures.delete(request.kind);
        throw failure;
      }
      return answer(request as VaultRequest) as never;
    },
    setTransport: async (preference) => {
      if (network.value) publish(network, { ...network.value, preference });
    },
    watchNetwork: () => () => undefined,
    applyUpdate: () => publish(shell, shells.ready),
  };
}
