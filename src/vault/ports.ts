/** The vault's interface to the outside; `index.ts` connects the browser, tests their own. */
import type { FromVault, MoneyView, VaultReplies, VaultRequest } from '#bridge/vault.ts';
import type { Secret } from '#core/secret.ts';
import type { Stretch, StretchParameters } from '#crypto/stretch-parameters.ts';
import type { PasswordEstimator } from '#safe/credentials/strength.ts';
import type { MergeWallet } from '#safe/index/index-set.ts';
import type { PinnedNetwork, VaultStore } from '#storage/browser/vault-store.ts';
import type { WorkerRpc } from './network/worker-rpc.ts';

export interface VaultPorts {
  /** Same-origin fetch: the service worker answers `/safe/…`. */
  readonly fetch: (path: string, init?: RequestInit) => Promise<Response>;
  readonly store: VaultStore;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Milliseconds since the Unix epoch: display and backoff only. */
  readonly now: () => number;
  /** Resolves after the time, or immediately when the signal fires. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** False while the person looks at another tab: deferrable work waits. */
  readonly visible: () => boolean;
  /** Runs the body while no other tab holds the lock of this name. */
  readonly withLock: <T>(name: string, body: () => Promise<T>) => Promise<T>;
  /** Notifies this browser's other tabs that the stored record of this owner's Safe has changed. */
  readonly announce: (owner: string) => void;
  /** Loads the dictionaries on first use; rejects with a VaultFailure when it cannot. */
  readonly estimateGuesses: PasswordEstimator;
  readonly stretch: Stretch;
  /** For Safes made here; only unit tests inject weaker ones. */
  readonly stretchParameters: StretchParameters;
  readonly post: (message: FromVault) => void;
  /** `null`: this build has no wallet, and money requests are refused. */
  readonly wallets: WalletFactory | null;
}

export type WalletRequest = Extract<
  VaultRequest,
  { kind: 'askFaucet' | 'send' | 'redeem' | 'receiptText' }
>;

/** The interface to the wallet: its part of the index is opaque bytes here, merged by its own rules. */
export interface WalletFactory {
  readonly merge: MergeWallet;
  readonly open: (context: WalletContext) => Promise<WalletPort>;
}

export interface WalletContext {
  readonly seed: Secret;
  /** As in the index; empty for a new Safe. */
  readonly section: Uint8Array;
  /** Hex of the Safe's owner key: identifies this Safe's entries in shared stores. */
  readonly owner: string;
  /** 8 bytes that distinguish this device's changes from another's. */
  readonly device: Uint8Array;
  /** `null` before the first contact with a network. */
  readonly network: () => PinnedNetwork | null;
  /**
   * Changes the section. `change` gets it as stored now, merged with this tab's, while no other tab can
   * write. Resolves with the stored result once it is durable: on this device, or, for a Safe that this
   * device must not remember, on the network. Rejects when the Safe was locked or nothing could be written;
   * then nothing has changed.
   * @param change synchronous; may run again on a newer section although its result on an older one was
   * stored: applying it twice must give the same result
   */
  readonly update: (change: (stored: Uint8Array) => Uint8Array) => Promise<Uint8Array>;
  /** The view has changed. */
  readonly changed: () => void;
  readonly rpc: WorkerRpc;
  readonly ports: Pick<
    VaultPorts,
    'fetch' | 'randomBytes' | 'now' | 'wait' | 'withLock' | 'visible'
  >;
  /** Fires when the Safe is locked. */
  readonly closed: AbortSignal;
}

export interface WalletPort {
  readonly view: () => MoneyView;
  readonly ask: <Kind extends WalletRequest['kind']>(
    request: Extract<WalletRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  /**
   * Another device's or tab's section was merged into the index; this is the result, for the wallet to
   * merge with its own. Results of `update` are not given again.
   */
  readonly absorb: (section: Uint8Array) => void;
  /** Looks for incoming payments and resumes unfinished ones. */
  readonly refresh: () => Promise<void>;
}
