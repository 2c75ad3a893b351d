/** Shared by the vault's parts: the ports, the worker, the network served here, and the view update. */
import type { NetworkFile } from '#roles/wire/network-file.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { loadServedNetwork } from './network/served-network.ts';
import type { VaultPorts } from './ports.ts';
import { createWorkerRpc, type WorkerRpc } from './network/worker-rpc.ts';

export interface VaultContext {
  readonly ports: VaultPorts;
  readonly rpc: WorkerRpc;
  /** The view has changed; several calls in one turn send one notice. */
  readonly changed: () => void;
  /** The network this origin serves, or the last one known; requests it again. */
  readonly fetchServedNetwork: () => Promise<NetworkFile | null>;
  /** Something other than our worker answers; the page is notified once. */
  readonly uncontrolled: () => void;
  /** The last answer of {@link fetchServedNetwork}. */
  readonly served: () => NetworkFile | null;
  /** Calls in progress that give read keys to the worker or revoke them: Lock waits for them. */
  readonly keyCalls: Set<Promise<unknown>>;
}

/** Does this origin serve another network than the Safe's? Then nothing of the Safe is read or changed. */
export const isOtherNetwork = (
  network: PinnedNetwork | null,
  served: PinnedNetwork | null,
): boolean => network !== null && served !== null && network.networkId !== served.networkId;

export function createContext(ports: VaultPorts, changed: () => void): VaultContext {
  let served: NetworkFile | null = null;
  let isReported = false;
  const uncontrolled = (): void => {
    if (!isReported) ports.post({ kind: 'uncontrolled' });
    isReported = true;
  };
  const context: VaultContext = {
    ports,
    rpc: createWorkerRpc(ports.fetch, {
      network: () => null,
      onUncontrolled: uncontrolled,
      onOtherNetwork: () => void context.fetchServedNetwork(),
    }),
    changed,
    uncontrolled,
    served: () => served,
    keyCalls: new Set(),
    fetchServedNetwork: async () => {
      const before = served;
      served = (await loadServedNetwork(ports.fetch)) ?? served;
      if (before?.networkId !== served?.networkId) changed();
      return served;
    },
  };
  return context;
}

/** The wait between attempts: 1 s, doubling, at most 30 s. */
export const backOffMs = (failures: number): number =>
  Math.min(30_000, 1_000 * 2 ** Math.max(0, failures - 1));
