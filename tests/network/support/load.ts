/** A small client that keeps a network busy and records acknowledged chunks. */
import type { NodeClient } from '../../e2e/support/node-client.ts';

export interface NetworkLoad {
  /** Names with at least three genuine receipts. */
  readonly acknowledged: () => readonly Uint8Array[];
  /** Counts of acknowledged and other outcomes: reported by a wait that fails. */
  readonly counts: () => {
    readonly acknowledged: number;
    readonly otherwise: Readonly<Record<string, number>>;
  };
  /** Stops; resolves when the last request has ended. */
  readonly stop: () => Promise<void>;
}

export function startNetworkLoad(client: NodeClient, storers: number, bytes: number): NetworkLoad {
  const acknowledged: Uint8Array[] = [];
  const otherwise: Record<string, number> = {};
  const note = (ending: string): void => {
    otherwise[ending] = (otherwise[ending] ?? 0) + 1;
  };
  let storing = true;
  const work = Array.from({ length: storers }, async () => {
    while (storing) {
      try {
        const { name, receipts } = await client.put(bytes);
        if (receipts >= 3) acknowledged.push(name);
        else note(`${receipts} receipts`);
      } catch (error) {
        note(String(error));
        // Refused, or cut off by a kill: not acknowledged. The next client continues.
        await new Promise((go) => setTimeout(go, 50));
      }
    }
  });
  return {
    acknowledged: () => acknowledged,
    counts: () => ({ acknowledged: acknowledged.length, otherwise: { ...otherwise } }),
    stop: async () => {
      storing = false;
      await Promise.all(work);
    },
  };
}

/** Names whose chunk no node returns; each is requested a second time after a pause. */
export async function missingFrom(
  client: Pick<NodeClient, 'get'>,
  names: readonly Uint8Array[],
): Promise<readonly Uint8Array[]> {
  const missing: Uint8Array[] = [];
  for (const name of names) {
    const got = (await tryGet(client, name)) ?? (await pause(500), await tryGet(client, name));
    if (got === null) missing.push(name);
  }
  return missing;
}

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

async function tryGet(
  client: Pick<NodeClient, 'get'>,
  name: Uint8Array,
): Promise<Uint8Array | null> {
  try {
    return await client.get(name);
  } catch {
    return null;
  }
}
