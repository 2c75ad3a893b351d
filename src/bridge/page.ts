/**
 * What `src/page` offers to `src/ui`: one object per window. The UI knows this interface only, so
 * it can be shown and tested without a vault or a worker.
 */
import type { VaultError, VaultReplies, VaultRequest, VaultView } from './vault.ts';
import type { NetworkView, RoadPreference } from './worker.ts';

export interface SafeApp {
  /** Calls back at once with the present value, then on every change; returns "stop". */
  readonly onVault: (show: (view: VaultView) => void) => () => void;
  readonly onNetwork: (show: (view: NetworkView | null) => void) => () => void;
  readonly onShell: (show: (shell: ShellView) => void) => () => void;
  /** Rejects with a {@link VaultError} only. */
  readonly ask: <Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  readonly setRoad: (preference: RoadPreference) => Promise<void>;
  /** Somebody looks at the network: its changes are asked for every few seconds, until "stop". */
  readonly watchNetwork: () => () => void;
  readonly applyUpdate: () => void;
}

/** The state of the app itself. */
export interface ShellView {
  /** True once the first visit has stored everything the app needs without a network. */
  readonly offlineReady: boolean;
  readonly online: boolean;
  readonly updateReady: boolean;
  /** Set when this browser cannot run Safe: a sentence with what to do. */
  readonly unsupported: string | null;
}

export const isVaultError = (value: unknown): value is VaultError =>
  typeof value === 'object' && value !== null && 'kind' in value && 'message' in value;
