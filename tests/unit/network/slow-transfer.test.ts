/**
 * Goal: files are uploaded and downloaded on slow links, and few bytes are wasted. Method: the worker's own
 * piece calls, with the concurrency of its lanes and the vault's, over the real client and server of
 * rpc-stream.ts and one simulated link to all seven elders.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ok } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import { storedChunk } from '#data/storage-receipt.ts';
import { createLinkMonitor } from '#network/rpc/link-monitor.ts';
import { createRpcClient, serveRpc, type RpcClient } from '#network/rpc/rpc-stream.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { createTransferLimiter } from '#runtime/transfer-limiter.ts';
import { CallError } from '../../../src/service-worker/http/http-responses.ts';
import { getChunk, putChunk, type DataNode } from '../../../src/service-worker/data-client.ts';
import { createSimulatedLink, type SimulatedLink, type Rates } from './simulated-link.ts';
import { nameOf, networkId, sectionOf, seedOf } from '../service-worker/plain-section.ts';
import { signReceipt } from '../../support/receipts.ts';

// Replaces what takes real time, which would stall the simulated clock.
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
const stateRef = stateRefOf(section.authority);

const pieceBytes = 1024 * 1024;
const pieces = Array.from({ length: 8 }, (_, n) => new Uint8Array(pieceBytes).fill(n));
const names = pieces.map((piece) => sha256(piece));
const receipts = names.map((name) =>
  adults.map((n) => ({
    holder: nameOf(n),
    signature: signReceipt(seedOf(n), networkId, stateRef, storedChunk(name)),
  })),
);

let line: SimulatedLink;
const stored = new Set<number>();
beforeEach(() => {
  vi.useFakeTimers();
  stored.clear();
});
afterEach(() => {
  line.stop();
  vi.useRealTimers();
});

/** A fake light node; a request is the number of its piece and, for uploads, its bytes. */
function nodeOver(rates: Rates): DataNode {
  line = createSimulatedLink(rates);
  const link = createLinkMonitor();
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
    requestFor: async (name, elder, request, patience, signal) => {
      const n = names.findIndex((each) => each.join() === name.join());
      const payload = new Uint8Array(request.kind === 'putChunk' ? pieceBytes : 80).fill(n);
      const reply = await clientOf(elder.name.join()).request(payload, patience, signal);
      if (!reply.ok) return reply;
      return request.kind === 'putChunk'
        ? ok({ kind: 'stored', stateRef, receipts: receipts[n] ?? [] })
        : ok({ kind: 'chunk', bytes: reply.value, holder: nameOf(11) });
    },
    catchUp: async () => undefined,
    stall: () => null,
  };
}

/** Transfers all pieces, each until it succeeds. @returns the pieces done within these seconds. */
async function transferAll(
  most: number,
  transfer: (n: number) => Promise<unknown>,
  seconds: number,
): Promise<number> {
  const { signal } = new AbortController();
  const lanes = createTransferLimiter(
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
  'a file is uploaded at %i bytes per second, and little is sent twice',
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
  'a file is downloaded at %i bytes per second, and little is fetched twice',
  async (downPerSecond) => {
    const node = nodeOver({ upPerSecond: 1_000_000, downPerSecond });
    const needed = (pieces.length * pieceBytes) / downPerSecond;
    const done = await transferAll(5, (n) => getChunk(node, names[n]!), slack * needed + 60);
    expect(done).toBe(pieces.length);
    expect(line.carried.down).toBeLessThan(slack * pieces.length * pieceBytes);
  },
);
