/** What the vault's parts share: the ports, the worker, the network served here, and "show it". */
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { fetchNetworkFile, type ServedNetwork } from './network-file.ts';
import type { VaultPorts } from './ports.ts';
import { createRpc, type Rpc } from './rpc.ts';

export interface VaultContext {
  readonly ports: VaultPorts;
  readonly rpc: Rpc;
  /** The view has changed; several calls in one turn make one notice. */
  readonly changed: () => void;
  /** The network this origin serves, as far as it was ever heard; asks again. */
  readonly askNetwork: () => Promise<ServedNetwork | null>;
  /** Something other than our worker answers; the page is told once. */
  readonly uncontrolled: () => void;
  /** The last answer of {@link askNetwork}. */
  readonly served: () => ServedNetwork | null;
  /** Calls under way that hand read keys to the worker or take them back: Lock waits for them. */
  readonly keyCalls: Set<Promise<unknown>>;
}

/** Does this origin serve another network than the Safe's? Then nothing of it is touched. */
export const isElsewhere = (network: PinnedNetwork | null, served: ServedNetwork | null): boolean =>
  network !== null && served !== null && network.networkId !== served.networkId;

export function createContext(ports: VaultPorts, changed: () => void): VaultContext {
  let served: ServedNetwork | null = null;
  let told = false;
  const uncontrolled = (): void => {
    if (!told) ports.post({ kind: 'uncontrolled' });
    told = true;
  };
  const context: VaultContext = {
    ports,
    rpc: createRpc(ports.fetch, {
      network: () => null,
      onUncontrolled: uncontrolled,
      onOtherNetwork: () => void context.askNetwork(),
    }),
    changed,
    uncontrolled,
    served: () => served,
    keyCalls: new Set(),
    askNetwork: async () => {
      const before = served;
      served = (await fetchNetworkFile(ports.fetch)) ?? served;
      if (before?.networkId !== served?.networkId) changed();
      return served;
    },
  };
  return context;
}

/** Waits between tries: 1 s, doubling, at most 30 s. */
export const backOffMs = (failures: number): number =>
  Math.min(30_000, 1_000 * 2 ** Math.max(0, failures - 1));
