/**
 * Shared by all screens: the latest views of the vault, the network and the app's shell, and one function
 * for requests. It depends on the {@link SafeApp} interface only.
 */
import { createContext } from 'svelte';
import { isVaultError, type SafeApp, type ShellView } from '#bridge/page.ts';
import type { VaultError, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import type { NetworkView, TransportPreference } from '#bridge/worker-messages.ts';
import { sharedTexts } from './texts.ts';
import { toasts } from './toasts.svelte.ts';
import { trustOwnWorkers } from './trusted-urls.ts';

export type OpenSafeView = Extract<VaultView, { kind: 'open' }>;

export class App {
  vault = $state.raw<VaultView>({ kind: 'starting' });
  network = $state.raw<NetworkView | null>(null);
  shell = $state.raw<ShellView>({
    offlineReady: false,
    online: true,
    updateReady: false,
    unsupported: null,
  });

  readonly #started: Promise<SafeApp>;
  #stops: (() => void)[] = [];

  constructor(started: Promise<SafeApp>) {
    this.#started = started;
    started.then(
      (app) => {
        this.#stops = [
          app.onVault((view) => this.#show(view)),
          app.onNetwork((view) => (this.network = view)),
          app.onShell((view) => (this.shell = view)),
        ];
      },
      () => (this.shell = { ...this.shell, unsupported: sharedTexts.cannotStart }),
    );
  }

  #show(view: VaultView): void {
    if (this.vault.kind === 'open' && view.kind !== 'open') toasts.clear();
    this.vault = view;
  }

  /** Rejects with a {@link VaultError} only: any other failure becomes a sentence too. */
  async ask<Request extends VaultRequest>(
    request: Request,
  ): Promise<VaultReplies[Request['kind']]> {
    const app = await this.#started;
    try {
      return (await (app.ask as (asked: VaultRequest) => Promise<unknown>)(
        request,
      )) as VaultReplies[Request['kind']];
    } catch (error) {
      throw asVaultError(error);
    }
  }

  async setTransport(preference: TransportPreference): Promise<void> {
    try {
      await (await this.#started).setTransport(preference);
    } catch (error) {
      throw asVaultError(error);
    }
  }

  /** Polls the network for changes until the returned function is called. */
  watchNetwork(): () => void {
    let stop: (() => void) | undefined;
    let over = false;
    this.#started.then(
      (app) => {
        if (!over) stop = app.watchNetwork();
      },
      () => undefined,
    );
    return () => {
      over = true;
      stop?.();
    };
  }

  applyUpdate(): void {
    void this.#started.then((app) => app.applyUpdate());
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}

export function asVaultError(error: unknown): VaultError {
  return isVaultError(error) ? error : { kind: 'internal', message: sharedTexts.internal };
}

export const [useApp, provideApp] = createContext<App>();

/** Starts the app of this window; call it once, from the root layout, in a browser. */
export function startApp(): App {
  trustOwnWorkers();
  return new App(import('#page/app.ts').then((page) => page.startSafeApp()));
}
