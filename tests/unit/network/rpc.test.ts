/** Goal: answers find their requests, and a peer cannot make us hold more than the window. */
import { expect, test } from 'vitest';
import { createRpcClient, maxInFlight, serveRpc, type ByteStream } from '#network/rpc.ts';

/** Two ends of a stream in memory; each end hears what the other sends a turn later. */
function streamPair(): readonly [ByteStream & Ends, ByteStream & Ends] {
  const make = (): Ends & { listeners: Map<string, ((event: never) => void)[]> } => ({
    listeners: new Map(),
    aborted: null,
    peer: null,
  });
  const a = make();
  const b = make();
  const stream = (own: typeof a, other: typeof a): ByteStream & Ends =>
    Object.assign(own, {
      send: (bytes: Uint8Array) => {
        queueMicrotask(() => {
          for (const hear of other.listeners.get('message') ?? []) hear({ data: bytes } as never);
        });
        return true;
      },
      onDrain: () => Promise.resolve(),
      close: () => Promise.resolve(),
      abort: (error: Error) => {
        own.aborted = error;
        for (const end of [own, other]) {
          for (const hear of end.listeners.get('close') ?? []) hear({} as never);
        }
      },
      addEventListener: (type: string, listener: (event: never) => void) => {
        own.listeners.set(type, [...(own.listeners.get(type) ?? []), listener]);
      },
    }) as unknown as ByteStream & Ends;
  return [stream(a, b), stream(b, a)];
}
interface Ends {
  aborted: Error | null;
  peer: unknown;
}

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

test('answers that come out of order find their requests', async () => {
  const [client, server] = streamPair();
  serveRpc(server, async (request) => {
    await pause(10 - (request[0] ?? 0));
    return request;
  });
  const rpc = createRpcClient(client);
  const asked = [1, 5, 9].map((n) => rpc.request(new Uint8Array([n]), 1_000));
  const answers = await Promise.all(asked);
  expect(answers.map((answer) => answer.ok && answer.value[0])).toEqual([1, 5, 9]);
});

test('no more than the window is under way at once', async () => {
  const [client, server] = streamPair();
  let serving = 0;
  let most = 0;
  serveRpc(server, async (request) => {
    most = Math.max(most, ++serving);
    await pause(2);
    serving -= 1;
    return request;
  });
  const rpc = createRpcClient(client);
  await Promise.all(Array.from({ length: 40 }, () => rpc.request(new Uint8Array(1), 1_000)));
  expect(most).toBe(maxInFlight);
});

test('an asker that ignores the window is cut off', async () => {
  const [client, server] = streamPair();
  serveRpc(server, () => new Promise(() => undefined));
  for (let other = 0; other < 3; other++) {
    const greedy = createRpcClient(client);
    for (let i = 0; i < maxInFlight; i++) void greedy.request(new Uint8Array(1), 50);
  }
  await pause(20);
  expect(server.aborted?.message).toContain('more requests than the protocol allows');
});

test('a lost stream answers every waiting request with unreachable', async () => {
  const [client, server] = streamPair();
  serveRpc(server, () => new Promise(() => undefined));
  const rpc = createRpcClient(client);
  const asked = Array.from({ length: 20 }, () => rpc.request(new Uint8Array(1), 5_000));
  await pause(5);
  client.abort(new Error('gone'));
  const answers = await Promise.all(asked);
  expect(answers.every((answer) => !answer.ok && answer.error.kind === 'unreachable')).toBe(true);
});

test('silence ends in a timeout, and a late answer is nobody’s', async () => {
  const [client, server] = streamPair();
  serveRpc(server, async (request) => {
    await pause(30);
    return request;
  });
  const rpc = createRpcClient(client);
  expect(await rpc.request(new Uint8Array(1), 5)).toEqual({
    ok: false,
    error: { kind: 'timeout' },
  });
  await pause(40);
  expect((await rpc.request(new Uint8Array([7]), 1_000)).ok).toBe(true);
});
