/** The world as the vault sees it; `index.ts` connects the real one, tests another. */
import type { FromVault, MoneyView, VaultReplies, VaultRequest } from '#bridge/vault.ts';
import type { Secret } from '#core/secret.ts';
import type { Stretch, StretchParameters } from '#crypto/stretch.ts';
import type { MergeWallet } from '#safe/index/index-set.ts';
import type { PinnedNetwork, VaultStore } from '#storage/browser/vault-store.ts';
import type { Rpc } from './rpc.ts';

export interface VaultPorts {
  /** Same-origin fetch: the service worker answers `/safe/…`. */
  readonly fetch: (path: string, init?: RequestInit) => Promise<Response>;
  readonly store: VaultStore;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Milliseconds since the Unix epoch: display and back-off only. */
  readonly now: () => number;
  /** Resolves after the time, or at once when the signal fires. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** False while the person looks at another tab: what can wait, waits. */
  readonly visible: () => boolean;
  /** Runs the body while no other tab holds the lock of this name. */
  readonly withLock: <T>(name: string, body: () => Promise<T>) => Promise<T>;
  /** Tells this browser's other tabs that what is stored of this owner's Safe has changed. */
  readonly announce: (owner: string) => void;
  readonly stretch: Stretch;
  /** For Safes made here; weaker ones are injected by unit tests only. */
  readonly stretchParameters: StretchParameters;
  readonly post: (message: FromVault) => void;
  /** `null`: this build has no wallet, and money requests are refused. */
  readonly wallets: WalletFactory | null;
}

export type MoneyRequest = Extract<
  VaultRequest,
  { kind: 'askFaucet' | 'send' | 'redeem' | 'receiptText' }
>;

/** The seam to the wallet: its part of the index is bytes here, merged by its own rules. */
export interface WalletFactory {
  readonly merge: MergeWallet;
  readonly open: (context: WalletContext) => Promise<WalletPort>;
}

export interface WalletContext {
  readonly seed: Secret;
  /** As in the index; empty for a new Safe. */
  readonly section: Uint8Array;
  /** Hex of the Safe's owner key: names what belongs to this Safe in shared stores. */
  readonly owner: string;
  /** 8 bytes that tell this device's changes from another's. */
  readonly device: Uint8Array;
  /** `null` before the first contact with a network. */
  readonly network: () => PinnedNetwork | null;
  /**
   * Changes the section: `change` is given it as it is stored now, merged with what this tab holds,
   * while no other tab can write. Resolves with what is stored afterwards, and never before it is
   * durable: on this device, or, for a Safe that this device is not to remember, on the network.
   * Rejects when the Safe was locked or nothing could be written; nothing has changed then.
   * @param change synchronous; may run again on a newer section, and what it made of an older one may
   *   have been stored all the same: made twice, it must come to the same
   */
  readonly update: (change: (stored: Uint8Array) => Uint8Array) => Promise<Uint8Array>;
  /** The view has changed. */
  readonly changed: () => void;
  readonly rpc: Rpc;
  readonly ports: Pick<
    VaultPorts,
    'fetch' | 'randomBytes' | 'now' | 'wait' | 'withLock' | 'visible'
  >;
  /** Fires when the Safe is locked. */
  readonly closed: AbortSignal;
}

export interface WalletPort {
  readonly view: () => MoneyView;
  readonly ask: <Kind extends MoneyRequest['kind']>(
    request: Extract<MoneyRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  /**
   * Another device's or tab's section was merged into the index; this is the result. The wallet
   * merges it with what it holds. What `update` resolved with is not given again.
   */
  readonly absorb: (section: Uint8Array) => void;
  /** Looks for incoming payments and goes on with unfinished ones. */
  readonly refresh: () => Promise<void>;
}
