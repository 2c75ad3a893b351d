/** Talks to this tab's vault: requests matched by number, notices passed on. */
import type {
  FromVault,
  ToVault,
  VaultError,
  VaultReplies,
  VaultRequest,
  VaultView,
} from '#bridge/vault.ts';

export interface VaultClient {
  readonly ask: <Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  readonly post: (message: unknown) => void;
  readonly stop: () => void;
}

export function startVault(
  onView: (view: VaultView) => void,
  onUncontrolled: () => void,
): VaultClient {
  const vault = new Worker(new URL('../vault/index.ts', import.meta.url), { type: 'module' });
  const waiting = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: VaultError) => void }
  >();
  let nextId = 1;
  const fail = (message: string): void => {
    for (const { reject } of waiting.values()) reject({ kind: 'internal', message });
    waiting.clear();
  };

  vault.onmessage = ({ data }: MessageEvent<FromVault>) => {
    switch (data.kind) {
      case 'view':
        return onView(data.view);
      case 'uncontrolled':
        return onUncontrolled();
      case 'reply':
        waiting.get(data.id)?.resolve(data.value);
        return void waiting.delete(data.id);
      case 'error':
        waiting.get(data.id)?.reject(data.error);
        return void waiting.delete(data.id);
    }
  };
  vault.onerror = () => fail('The part of the app that holds your keys stopped. Reload the page.');

  return {
    ask: (request) => {
      const id = nextId++;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        vault.postMessage({ id, request } satisfies ToVault);
      });
    },
    post: (message) => vault.postMessage(message),
    stop: () => {
      vault.terminate();
      fail('Your Safe was locked.');
    },
  };
}
