/** Loads the network file: from the origin when it answers, else the one of the last visit. */
import { parseNetworkFile, type NetworkFile } from '#roles/wire/network-file.ts';
import { workerStore } from '#storage/browser/worker-store.ts';
import { CallError } from '../http/http-responses.ts';

export async function loadNetworkFile(): Promise<NetworkFile> {
  const served = await fetchNetworkFile();
  if (served !== undefined) {
    // Best effort: with a full disk, only the next offline start misses it.
    await workerStore.saveNetworkFile(served).catch(() => undefined);
    return served;
  }
  const kept = await workerStore.networkFile();
  if (kept !== undefined) return kept;
  throw new CallError(503, {
    kind: 'offline',
    message: 'This device has not met a network yet. Go online once, then try again.',
    afterMs: 5_000,
  });
}

async function fetchNetworkFile(): Promise<NetworkFile | undefined> {
  try {
    const signal = AbortSignal.timeout(4_000);
    const answer = await fetch('/network.json', { cache: 'no-store', signal });
    return answer.ok ? parseNetworkFile(await answer.json()) : undefined;
  } catch {
    return undefined;
  }
}
