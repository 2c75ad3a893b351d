/** The network file: from the origin when it answers, else the one from the last visit. */
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { networkIdOf } from '#protocol/section/index.ts';
import { CallError } from './answers.ts';
import { memory, type NetworkFile } from './memory.ts';

const hex64 = /^[0-9a-f]{64}$/;
const hex192 = /^[0-9a-f]{192}$/;

export async function loadNetworkFile(): Promise<NetworkFile> {
  const served = await fetchNetworkFile();
  if (served !== undefined) {
    // Best effort: on a full disk only the next start without a network misses it.
    await memory.keepNetworkFile(served).catch(() => undefined);
    return served;
  }
  const kept = await memory.networkFile();
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

/** @returns the file, or `undefined` when a field is missing or not of its form. */
export function parseNetworkFile(value: unknown): NetworkFile | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const file = value as Partial<Record<keyof NetworkFile, unknown>>;
  const { name, networkId, genesisKey, bootstrap, supply, faucet } = file;
  const fits =
    file.format === 1 &&
    typeof file.protocol === 'number' &&
    typeof name === 'string' &&
    name.length <= 64 &&
    typeof networkId === 'string' &&
    hex64.test(networkId) &&
    typeof genesisKey === 'string' &&
    hex192.test(genesisKey) &&
    Array.isArray(bootstrap) &&
    bootstrap.length <= 16 &&
    bootstrap.every((each) => typeof each === 'string' && each.length <= 256) &&
    (typeof supply === 'string' || typeof supply === 'number') &&
    (faucet === null || typeof faucet === 'string');
  if (!fits) return undefined;
  // A file that contradicts itself never replaces a good one.
  const key = fromHex(genesisKey);
  if (!key.ok || toHex(networkIdOf(key.value, name)) !== networkId) return undefined;
  return { ...file, supply: String(supply) } as NetworkFile;
}
