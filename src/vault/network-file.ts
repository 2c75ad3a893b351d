/** Which network does this origin serve? Every Safe is pinned to the first one it met. */
import { fromHex, equalBytes } from '#core/codec/bytes.ts';
import { networkIdOf } from '#protocol/section/network-id.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';

const timeoutMs = 4_000;

export interface ServedNetwork extends PinnedNetwork {
  /** Path of the faucet, or `null` where there is none. */
  readonly faucet: string | null;
}

/** @returns the network file, `null` when it cannot be had or contradicts itself. */
export async function fetchNetworkFile(
  fetch: (path: string, init?: RequestInit) => Promise<Response>,
): Promise<ServedNetwork | null> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await fetch('/network.json', { cache: 'no-store', signal });
    return answer.ok ? readNetworkFile(await answer.json()) : null;
  } catch {
    return null;
  }
}

/** The network id is a hash over key and name: a file that gives another one is not believed. */
export function readNetworkFile(value: unknown): ServedNetwork | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, networkId, genesisKey, faucet } = value as Record<string, unknown>;
  if (typeof name !== 'string' || name.length > 64) return null;
  if (typeof networkId !== 'string' || typeof genesisKey !== 'string') return null;
  const [id, key] = [fromHex(networkId), fromHex(genesisKey)];
  if (!id.ok || !key.ok || id.value.length !== 32 || key.value.length !== 96) return null;
  if (!equalBytes(networkIdOf(key.value, name), id.value)) return null;
  return { name, networkId, genesisKey, faucet: typeof faucet === 'string' ? faucet : null };
}
