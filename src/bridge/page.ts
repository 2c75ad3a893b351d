/**
 * The interface of `src/page` for `src/ui`: one object per window. The UI depends on this alone, so it can
 * be shown and tested without a vault or a worker.
 */
import type {
  VaultError,
  VaultReplies,
  VaultRequest,
  VaultRequestKind,
  VaultView,
} from './vault.ts';
import type { NetworkView, TransportPreference } from './worker-messages.ts';

export interface SafeApp {
  /** Calls back immediately with the current value, then on every change; returns "stop". */
  readonly onVault: (show: (view: VaultView) => void) => () => void;
  readonly onNetwork: (show: (view: NetworkView | null) => void) => () => void;
  readonly onShell: (show: (shell: ShellView) => void) => () => void;
  /** Rejects with a {@link VaultError} only. */
  readonly ask: <Kind extends VaultRequestKind>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  readonly setTransport: (preference: TransportPreference) => Promise<void>;
  /** The network is being watched: changes are polled every few seconds, until "stop". */
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
