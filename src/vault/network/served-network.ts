/** Which network does this origin serve? Every Safe is pinned to the first one it contacted. */
import { parseNetworkFile, type NetworkFile } from '#roles/wire/network-file.ts';

const timeoutMs = 4_000;

/** @returns the network file, `null` when it is unreachable or inconsistent. */
export async function loadServedNetwork(
  fetch: (path: string, init?: RequestInit) => Promise<Response>,
): Promise<NetworkFile | null> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await fetch('/network.json', { cache: 'no-store', signal });
    return (answer.ok && parseNetworkFile(await answer.json())) || null;
  } catch {
    return null;
  }
}
