/** Client of this tab's vault: requests matched by number, notices passed on. */
import {
  readReply,
  type FromVault,
  type ToVault,
  type VaultError,
  type VaultReplies,
  type VaultRequest,
  type VaultRequestKind,
  type VaultView,
} from '#bridge/vault.ts';

// Named here because the list of files stored for offline use has only workers that a page refers to.
import guessWorker from '../vault/guesses/guess-worker.ts?worker&url';

export interface VaultClient {
  readonly ask: <Kind extends VaultRequestKind>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  readonly notify: (notice: Exclude<ToVault, { kind: 'ask' }>) => void;
  readonly stop: () => void;
}

export function startVault(
  onView: (view: VaultView) => void,
  onUncontrolled: () => void,
): VaultClient {
  const vault = new Worker(new URL('../vault/index.ts', import.meta.url), { type: 'module' });
  const post = (message: ToVault): void => vault.postMessage(message);
  const waiting = new Map<
    number,
    { readonly onReply: (value: unknown) => void; readonly reject: (error: VaultError) => void }
  >();
  let nextId = 1;
  const fail = (message: string): void => {
    for (const { reject } of waiting.values()) reject({ kind: 'internal', message });
    waiting.clear();
  };

  post({ kind: 'guessWorker', url: guessWorker });
  vault.onmessage = ({ data }: MessageEvent<FromVault>) => {
    switch (data.kind) {
      case 'view':
        return onView(data.view);
      case 'uncontrolled':
        return onUncontrolled();
      case 'reply':
        waiting.get(data.id)?.onReply(data.value);
        return void waiting.delete(data.id);
      case 'error':
        waiting.get(data.id)?.reject(data.error);
        return void waiting.delete(data.id);
    }
  };
  vault.onerror = () => fail('The part of the app that holds your keys stopped. Reload the page.');

  return {
    ask: <Kind extends VaultRequestKind>(request: Extract<VaultRequest, { kind: Kind }>) => {
      const id = nextId++;
      return new Promise<VaultReplies[Kind]>((resolve, reject) => {
        const onReply = (value: unknown): void => {
          const reply = readReply<Kind>(request.kind, value);
          if (reply === undefined) reject(malformed);
          else resolve(reply);
        };
        waiting.set(id, { onReply, reject });
        post({ kind: 'ask', id, request });
      });
    },
    notify: post,
    stop: () => {
      vault.terminate();
      fail('Your Safe was locked.');
    },
  };
}

const malformed: VaultError = {
  kind: 'internal',
  message: 'Something went wrong inside the app. Reload the page and try again.',
};
