/**
 * Goal: files go up and come down on slow links, and few bytes are sent in vain.
 * Method: the worker's own calls for pieces, with as many at once as its lanes and the vault's allow,
 * over the real client and server of rpc.ts and one simulated link to all seven elders.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ok } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import { signReceipt, storedChunk } from '#data/receipt.ts';
import { watchLink } from '#network/link.ts';
import { createRpcClient, serveRpc, type RpcClient } from '#network/rpc.ts';
import { stampOf } from '#protocol/replication/index.ts';
import { createLanes } from '#runtime/lanes.ts';
import { CallError } from '../../../src/service-worker/answers.ts';
import { getChunk, putChunk, type DataNode } from '../../../src/service-worker/data.ts';
import { createLine, type Line, type Rates } from './slow-line.ts';
import { nameOf, networkId, sectionOf, seedOf } from '../roles/plain-section.ts';

// What takes real time would take any simulated time.
vi.mock('#runtime/jobs/ciphers.ts', async () => {
  const { sha256 } = await import('#crypto/hash.ts');
  const { verifyEd25519 } = await import('#crypto/ed25519.ts');
  return {
    sha256Fast: async (bytes: Uint8Array) => sha256(bytes),
    verifyEd25519Fast: async (...args: Parameters<typeof verifyEd25519>) => verifyEd25519(...args),
  };
});

const adults = [11, 12, 13];
const section = sectionOf(adults);
const stamp = stampOf(section.authority);

const pieceBytes = 1024 * 1024;
const pieces = Array.from({ length: 8 }, (_, n) => new Uint8Array(pieceBytes).fill(n));
const names = pieces.map((piece) => sha256(piece));
const receipts = names.map((name) =>
  adults.map((n) => ({
    holder: nameOf(n),
    signature: signReceipt(seedOf(n), networkId, stamp, storedChunk(name)),
  })),
);

let line: Line;
const stored = new Set<number>();
beforeEach(() => {
  vi.useFakeTimers();
  stored.clear();
});
afterEach(() => {
  line.stop();
  vi.useRealTimers();
});

/** Stands for the light node; a request is the number of its piece and, on the way up, its bytes. */
function nodeOver(rates: Rates): DataNode {
  line = createLine(rates);
  const link = watchLink();
  const clients = new Map<string, RpcClient>();
  const serve = async (request: Uint8Array): Promise<Uint8Array> => {
    const n = request[0] ?? 0;
    if (request.length < pieceBytes) return pieces[n] ?? new Uint8Array();
    stored.add(n);
    return new Uint8Array(400);
  };
  const clientOf = (elder: string): RpcClient => {
    const known = clients.get(elder);
    if (known?.closed() === false) return known;
    const [ours, theirs] = line.open();
    serveRpc(theirs, serve);
    const client = createRpcClient(ours, undefined, undefined, link);
    clients.set(elder, client);
    return client;
  };
  return {
    section: async () => section,
    askFor: async (name, elder, request, patience, signal) => {
      const n = names.findIndex((each) => each.join() === name.join());
      const payload = new Uint8Array(request.kind === 'putChunk' ? pieceBytes : 80).fill(n);
      const reply = await clientOf(elder.name.join()).request(payload, patience, signal);
      if (!reply.ok) return reply;
      return request.kind === 'putChunk'
        ? ok({ kind: 'stored', stamp, receipts: receipts[n] ?? [] })
        : ok({ kind: 'chunk', bytes: reply.value, holder: nameOf(11) });
    },
    catchUp: async () => undefined,
    stall: () => null,
  };
}

/** Transfers all pieces, each again until it has gone. @returns how many went in so many seconds. */
async function transferAll(
  most: number,
  transfer: (n: number) => Promise<unknown>,
  seconds: number,
): Promise<number> {
  const { signal } = new AbortController();
  const lanes = createLanes(
    most,
    () => performance.now(),
    (error) => error instanceof CallError && error.failure.kind === 'slow',
  );
  let done = 0;
  const persist = async (n: number): Promise<void> => {
    for (;;) {
      const gone = await lanes.run(() => transfer(n), signal).catch(() => undefined);
      if (gone !== undefined) break;
      await new Promise((go) => setTimeout(go, 1_000));
    }
    done += 1;
  };
  const all = Promise.all(pieces.map((_, n) => persist(n)));
  for (let each = 0; each < 2 * seconds && done < pieces.length; each++) {
    await vi.advanceTimersByTimeAsync(500);
  }
  if (done === pieces.length) await all;
  return done;
}

const slack = 1.5;

test.each([60_000, 100_000, 400_000])(
  'a file goes up at %i bytes a second, and little is sent twice',
  async (upPerSecond) => {
    const node = nodeOver({ upPerSecond, downPerSecond: 1_000_000 });
    const needed = (pieces.length * pieceBytes) / upPerSecond;
    const done = await transferAll(6, (n) => putChunk(node, pieces[n]!), slack * needed + 60);
    expect(done).toBe(pieces.length);
    expect(stored.size).toBe(pieces.length);
    expect(line.carried.up).toBeLessThan(slack * pieces.length * pieceBytes);
  },
);

test.each([60_000, 150_000, 400_000])(
  'a file comes down at %i bytes a second, and little is fetched twice',
  async (downPerSecond) => {
    const node = nodeOver({ upPerSecond: 1_000_000, downPerSecond });
    const needed = (pieces.length * pieceBytes) / downPerSecond;
    const done = await transferAll(5, (n) => getChunk(node, names[n]!), slack * needed + 60);
    expect(done).toBe(pieces.length);
    expect(line.carried.down).toBeLessThan(slack * pieces.length * pieceBytes);
  },
);
