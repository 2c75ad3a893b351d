/** What the vault's parts share: the ports, the worker, the network served here, and "show it". */
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { fetchNetworkFile, type ServedNetwork } from './network-file.ts';
import type { VaultPorts } from './ports.ts';
import type { Rpc } from './rpc.ts';

export interface VaultContext {
  readonly ports: VaultPorts;
  readonly rpc: Rpc;
  /** The view has changed; several calls in one turn make one notice. */
  readonly changed: () => void;
  /** The network this origin serves, as far as it was ever heard; asks again. */
  readonly askNetwork: () => Promise<ServedNetwork | null>;
  /** The last answer of {@link askNetwork}. */
  readonly served: () => ServedNetwork | null;
}

/** Does this origin serve another network than the Safe's? Then nothing of it is touched. */
export const isElsewhere = (network: PinnedNetwork | null, served: ServedNetwork | null): boolean =>
  network !== null && served !== null && network.networkId !== served.networkId;

export function createContext(ports: VaultPorts, rpc: Rpc, changed: () => void): VaultContext {
  let served: ServedNetwork | null = null;
  return {
    ports,
    rpc,
    changed,
    served: () => served,
    askNetwork: async () => {
      const before = served;
      served = (await fetchNetworkFile(ports.fetch)) ?? served;
      if (before?.networkId !== served?.networkId) changed();
      return served;
    },
  };
}

/** Waits between tries: 1 s, doubling, at most 30 s. */
export const backOffMs = (failures: number): number =>
  Math.min(30_000, 1_000 * 2 ** Math.max(0, failures - 1));
