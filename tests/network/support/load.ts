/** A small client that keeps a network busy and remembers what was acknowledged. */
import type { NodeClient } from '../../e2e/support/node-client.ts';

export interface Load {
  /** Names with at least three genuine receipts. */
  readonly acknowledged: () => readonly Uint8Array[];
  /** How many there are, and how often the other requests ended how: what a failing wait reports. */
  readonly counts: () => {
    readonly acknowledged: number;
    readonly otherwise: Readonly<Record<string, number>>;
  };
  /** Ends; resolves when the last request has. */
  readonly stop: () => Promise<void>;
}

export function startLoad(client: NodeClient, storers: number, bytes: number): Load {
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
        // Refused, or cut off by a kill: not acknowledged. Others get a turn.
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

/** Names that nobody gives back; each is asked for a second time after a pause. */
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
