/**
 * A Safe without keys or a network, behind the same door as the real one: for looking at every
 * screen and for accessibility tests. `vite build --mode fake` puts it in place of `page/app.ts`;
 * no other build knows this file. A test chooses a scene and may change what the app says:
 * `window.safeScene` before the start, `window.safeFake` after it.
 */
import type { SafeApp, ShellView } from '../../../src/bridge/page.ts';
import type { VaultError, VaultRequest, VaultView } from '../../../src/bridge/vault.ts';
import type { NetworkView } from '../../../src/bridge/worker.ts';
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
  readonly say: (part: {
    vault?: VaultView;
    network?: NetworkView | null;
    shell?: ShellView;
  }) => void;
  /** Requests so far, to check what the screens ask. */
  readonly asked: VaultRequest[];
  /** The next request of this kind fails with this error. */
  readonly failNext: (kind: VaultRequest['kind'], error: VaultError) => void;
  /** How long each answer takes. */
  delayMs: number;
}

interface Told<Value> {
  value: Value;
  readonly listeners: Set<(value: Value) => void>;
}

export function startSafeApp(): SafeApp {
  const scene: Scene = scenes[window.safeScene ?? 'none'];
  const vault: Told<VaultView> = { value: scene.vault, listeners: new Set() };
  const network: Told<NetworkView | null> = {
    value: scene.network ?? networks.good,
    listeners: new Set(),
  };
  const shell: Told<ShellView> = { value: scene.shell ?? shells.ready, listeners: new Set() };
  const failures = new Map<string, VaultError>();
  const asked: VaultRequest[] = [];

  const tell = <Value>(told: Told<Value>, value: Value): void => {
    told.value = value;
    for (const listener of told.listeners) listener(value);
  };
  const listen =
    <Value>(told: Told<Value>) =>
    (listener: (value: Value) => void): (() => void) => {
      told.listeners.add(listener);
      listener(told.value);
      return () => told.listeners.delete(listener);
    };
  const controls: FakeControls = {
    say: (part) => {
      if (part.vault) tell(vault, part.vault);
      if (part.network !== undefined) tell(network, part.network);
      if (part.shell) tell(shell, part.shell);
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
        tell(vault, openSafe);
        return null;
      case 'lock':
        tell(vault, { kind: 'locked', fingerprint: openSafe.fingerprint });
        return null;
      case 'forget':
        tell(vault, { kind: 'none' });
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
        tell(
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
    setRoad: async (preference) => {
      if (network.value) tell(network, { ...network.value, preference });
    },
    watchNetwork: () => () => undefined,
    applyUpdate: () => tell(shell, shells.ready),
  };
}
