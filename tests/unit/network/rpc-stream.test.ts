/** Goal: replies match their requests, and a peer cannot make us hold more than the window. */
import { expect, test, vi } from 'vitest';
import { encodeFrame } from '#network/rpc/frame.ts';
import { maxHeldByNonMembers, maxHeldPerPeer, stallTimeoutMs } from '#network/limits/held-bytes.ts';
import { createInboundLimits } from '#network/limits/inbound-limits.ts';
import {
  createRpcClient,
  frameTimeoutMs,
  maxInFlight,
  serveRpc,
  type ByteStream,
} from '#network/rpc/rpc-stream.ts';

/** Two ends of an in-memory stream; each receives what the other sends one turn later. */
function streamPair(): readonly [ByteStream & Ends, ByteStream & Ends] {
  const make = (): Ends & { listeners: Map<string, ((event: never) => void)[]> } => ({
    listeners: new Map(),
    aborted: null,
    peer: null,
    wake: () => undefined,
  });
  const a = make();
  const b = make();
  const stream = (own: typeof a, other: typeof a): ByteStream & Ends =>
    Object.assign(own, {
      send: (bytes: Uint8Array) => {
        queueMicrotask(() => {
          for (const hear of other.listeners.get('message') ?? []) hear({ data: bytes } as never);
        });
        return own.writableNeedsDrain !== true;
      },
      writeBufferLength: 0,
      writableNeedsDrain: false,
      close: () => Promise.resolve(),
      abort: (error: Error) => {
        own.aborted = error;
        for (const end of [own, other]) {
          for (const hear of end.listeners.get('close') ?? []) hear({} as never);
        }
      },
      wake: (type: string) => {
        for (const hear of own.listeners.get(type) ?? []) hear({} as never);
      },
      addEventListener: (type: string, listener: (event: never) => void) => {
        own.listeners.set(type, [...(own.listeners.get(type) ?? []), listener]);
      },
    }) as unknown as ByteStream & Ends;
  return [stream(a, b), stream(b, a)];
}
interface Ends {
  aborted: Error | null;
  writableNeedsDrain?: boolean;
  peer: unknown;
  /** Calls the listeners of an event. */
  readonly wake: (type: string) => void;
}

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

test('replies out of order match their requests', async () => {
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

test('at most one window of requests is in flight', async () => {
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

test('a client that ignores the window is disconnected', async () => {
  const [client, server] = streamPair();
  serveRpc(server, () => new Promise(() => undefined));
  for (let other = 0; other < 3; other++) {
    const greedy = createRpcClient(client);
    for (let i = 0; i < maxInFlight; i++) void greedy.request(new Uint8Array(1), 50);
  }
  await pause(20);
  expect(server.aborted?.message).toContain('more requests than the protocol allows');
});

test.each([
  ['noise', [Uint8Array.from([0, 0, 0, 2, 255, 255])]],
  ['an answer to nobody', [encodeFrame({ id: 1, kind: 'reply', payload: new Uint8Array(1) })]],
  [
    'a frame in tiny pieces',
    Array.from({ length: 40 }, (_, n) => Uint8Array.from([n > 3 ? 0 : n])),
  ],
  [
    'more requests than the window',
    Array.from({ length: 17 }, (_, n) =>
      encodeFrame({ id: n + 1, kind: 'request', payload: new Uint8Array(1) }),
    ),
  ],
])('%s ends the stream and is held against its sender, once', async (_, pieces) => {
  const [client, server] = streamPair();
  const invalid = vi.fn();
  serveRpc(server, () => new Promise(() => undefined), undefined, undefined, invalid);
  for (const piece of pieces) client.send(piece);
  await pause(1);
  expect(server.aborted).not.toBeNull();
  expect(invalid).toHaveBeenCalledTimes(1);
});

test('a lost stream fails every pending request with unreachable', async () => {
  const [client, server] = streamPair();
  serveRpc(server, () => new Promise(() => undefined));
  const rpc = createRpcClient(client);
  const asked = Array.from({ length: 20 }, () => rpc.request(new Uint8Array(1), 5_000));
  await pause(5);
  client.abort(new Error('gone'));
  const answers = await Promise.all(asked);
  expect(answers.every((answer) => !answer.ok && answer.error.kind === 'unreachable')).toBe(true);
});

test('no reply → timeout, and a late reply is dropped', async () => {
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

test('cancelled queued requests free their turn for the next', async () => {
  const [client, server] = streamPair();
  let silent = true;
  serveRpc(server, (request) =>
    silent && request[0] === 0 ? new Promise(() => undefined) : Promise.resolve(request),
  );
  const rpc = createRpcClient(client);
  const stop = new AbortController();
  for (let i = 0; i < maxInFlight; i++) void rpc.request(new Uint8Array([0]), 30);
  const cancelled = Array.from({ length: 16 }, () =>
    rpc.request(new Uint8Array([0]), 60_000, stop.signal),
  );
  const live = rpc.request(new Uint8Array([5]), 60_000);
  stop.abort();
  for (const each of await Promise.all(cancelled)) {
    expect(each).toEqual({ ok: false, error: { kind: 'timeout' } });
  }
  silent = false;
  expect(await live).toEqual({ ok: true, value: new Uint8Array([5]) });
});

test('the timeout of a request includes its wait in the queue', async () => {
  const [client, server] = streamPair();
  serveRpc(server, () => new Promise(() => undefined));
  const rpc = createRpcClient(client);
  for (let i = 0; i < maxInFlight; i++) void rpc.request(new Uint8Array(1), 60_000);
  expect(await rpc.request(new Uint8Array(1), 20)).toEqual({
    ok: false,
    error: { kind: 'timeout' },
  });
  rpc.close();
});

test('replies without a request end the stream', async () => {
  const [client, server] = streamPair();
  const rpc = createRpcClient(client);
  server.send(encodeFrame({ id: 99, kind: 'reply', payload: new Uint8Array(1) }));
  await pause(5);
  expect(client.aborted?.message).toBe('an answer to no request');
  expect(rpc.closed()).toBe(true);
});

test('an unfinished frame ends the stream after its timeout and frees its bytes', async () => {
  vi.useFakeTimers();
  try {
    const inbound = createInboundLimits();
    const [client, server] = streamPair();
    const caller = { peerId: 'a', address: null, isMember: () => false };
    const account = inbound.open(caller, () => undefined);
    serveRpc(server, async (request) => request, undefined, account);
    const frame = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(9_000) });
    client.send(frame.subarray(0, 5_000));
    await vi.advanceTimersByTimeAsync(frameTimeoutMs - 1);
    expect(server.aborted).toBeNull();
    expect(inbound.heldBytes()).toBeGreaterThanOrEqual(4_096);
    await vi.advanceTimersByTimeAsync(2);
    expect(server.aborted?.message).toBe('a frame took too long');
    expect(inbound.heldBytes()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('a slow but steady sender is not disconnected: the timeout is per frame', async () => {
  vi.useFakeTimers();
  try {
    const [client, server] = streamPair();
    let served = 0;
    serveRpc(server, async (request) => {
      served += 1;
      return request;
    });
    const frame = (id: number): Uint8Array =>
      encodeFrame({ id, kind: 'request', payload: new Uint8Array(10) });
    for (let id = 1; id <= 5; id++) {
      client.send(frame(id).subarray(0, 6));
      await vi.advanceTimersByTimeAsync(frameTimeoutMs - 10);
      client.send(frame(id).subarray(6));
      await vi.advanceTimersByTimeAsync(5);
    }
    expect(server.aborted).toBeNull();
    expect(served).toBe(5);
  } finally {
    vi.useRealTimers();
  }
});

test('all requests of one peer, over all its streams, share its budget', async () => {
  const inbound = createInboundLimits();
  const caller = { peerId: 'a', address: null, isMember: () => false };
  const ends: string[] = [];
  for (let stream = 0; stream < 4; stream++) {
    const [client, server] = streamPair();
    const account = inbound.open(caller, () => undefined);
    serveRpc(server, () => new Promise(() => undefined), undefined, account);
    server.addEventListener('close', () => ends.push(server.aborted?.message ?? ''));
    for (let id = 1; id <= 8; id++) {
      client.send(encodeFrame({ id, kind: 'request', payload: new Uint8Array(1024 * 1024) }));
    }
    await pause(1);
    expect(inbound.heldBytes()).toBeLessThanOrEqual(maxHeldPerPeer);
  }
  expect(ends.length).toBeGreaterThan(0);
  expect(ends[0]).toBe('more bytes than this node holds for a peer');
});

test.each([
  [
    'half frames',
    (client: ByteStream) => {
      const frame = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(1024 * 1024) });
      for (let at = 0; at < frame.length - 1; at += 128 * 1024) {
        client.send(frame.subarray(at, Math.min(at + 128 * 1024, frame.length - 1)));
      }
    },
  ],
  [
    'answers',
    (client: ByteStream) => {
      for (let id = 1; id <= 4; id++) {
        client.send(encodeFrame({ id, kind: 'request', payload: new Uint8Array(1) }));
      }
    },
  ],
])("%s alone end a peer's streams at its budget, and are freed with them", async (_what, send) => {
  const inbound = createInboundLimits();
  const caller = { peerId: 'a', address: null, isMember: () => false };
  const open: ByteStream[] = [];
  let ended = 0;
  let most = 0;
  for (let stream = 0; stream < 40; stream++) {
    const [client, server] = streamPair();
    // Replies stay unread: they are held until the stream has drained.
    const stuck = Object.assign(Object.create(server) as ByteStream, {
      send: () => false,
      onDrain: () => new Promise<void>(() => undefined),
    });
    const account = inbound.open(caller, () => undefined);
    serveRpc(stuck, async () => new Uint8Array(1024 * 1024), undefined, account);
    server.addEventListener('close', () => (ended += 1));
    open.push(server);
    send(client);
    await pause(1);
    most = Math.max(most, inbound.heldBytes());
  }
  expect(most).toBeGreaterThan(maxHeldPerPeer / 2);
  expect(most).toBeLessThanOrEqual(maxHeldPerPeer);
  expect(ended).toBeGreaterThan(0);
  for (const stream of open) stream.abort(new Error('over'));
  expect(inbound.heldBytes()).toBe(0);
});

test('a stream whose peer neither sends nor reads is ended when others need its space', async () => {
  let now = 0;
  const inbound = createInboundLimits(() => now);
  const mebibyte = 1024 * 1024;
  const open = (peerId: string): readonly [ByteStream & Ends, ByteStream & Ends] => {
    const [client, server] = streamPair();
    const caller = { peerId, address: null, isMember: () => false };
    const account = inbound.open(caller, () => server.abort(new Error('needed')));
    serveRpc(server, async () => new Uint8Array(mebibyte), undefined, account);
    return [client, server];
  };
  const ask = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(1) });
  const large = encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(mebibyte) });
  const [halfSender, half] = open('sends half');
  const [movingSender, moving] = open('sends on');
  for (const sender of [halfSender, movingSender]) sender.send(large.subarray(0, 300_000));
  const reading = open('reads');
  const unread = open('reads nothing');
  const left = (stream: ByteStream & Ends, writeBufferLength: number): void => {
    Object.assign(stream, { writeBufferLength, writableNeedsDrain: writeBufferLength > 0 });
    stream.wake('drain');
  };
  for (const [client, server] of [reading, unread]) {
    left(server, 262_144);
    client.send(ask);
  }
  await pause(1);
  const other = (peerId: string) =>
    inbound.open({ peerId, address: null, isMember: () => false }, () => undefined);
  for (let left = 1; left > 0;) {
    left = maxHeldByNonMembers - inbound.heldBytes();
    other(`with ${left} to go`).hold(Math.min(left, mebibyte));
  }
  now += stallTimeoutMs;
  movingSender.send(large.subarray(300_000, 350_000));
  left(reading[1], 200_000);
  await pause(1);
  // The progressing frame has taken the space of the partial one.
  expect(half.aborted?.message).toBe('needed');
  expect(unread[1].aborted).toBeNull();
  expect(other('honest').hold(mebibyte)).toBe(true);
  expect(unread[1].aborted?.message).toBe('needed');
  expect([moving.aborted, reading[1].aborted]).toEqual([null, null]);
  // Completely read replies are no longer held.
  const before = inbound.heldBytes();
  left(reading[1], 0);
  await pause(1);
  expect(before - inbound.heldBytes()).toBeGreaterThanOrEqual(mebibyte);
});

test('a reply read byte by byte counts as a whole', async () => {
  const inbound = createInboundLimits();
  const [client, server] = streamPair();
  const caller = { peerId: 'a', address: null, isMember: () => false };
  const account = inbound.open(caller, () => undefined);
  const mebibyte = 1024 * 1024;
  serveRpc(server, async () => new Uint8Array(mebibyte), undefined, account);
  Object.assign(server, { writeBufferLength: 262_144, writableNeedsDrain: true });
  client.send(encodeFrame({ id: 1, kind: 'request', payload: new Uint8Array(1) }));
  for (let drains = 0; drains < 20; drains++) {
    await pause(1);
    Object.assign(server, { writeBufferLength: 262_144 - drains });
    server.wake('drain');
  }
  expect(inbound.heldBytes()).toBeGreaterThanOrEqual(mebibyte);
  Object.assign(server, { writeBufferLength: 0, writableNeedsDrain: false });
  server.wake('drain');
  await pause(1);
  expect(inbound.heldBytes()).toBe(0);
});

test('a reply accepted by a data channel counts until it is sent, for at most a minute', async () => {
  vi.useFakeTimers();
  try {
    const inbound = createInboundLimits();
    const caller = { peerId: 'a', address: null, isMember: () => false };
    const channel = { bufferedAmount: 0 };
    const [client, server] = streamPair();
    Object.assign(server, { channel });
    const account = inbound.open(caller, () => undefined);
    serveRpc(
      server,
      async () => {
        channel.bufferedAmount += 500_000;
        return new Uint8Array(500_000);
      },
      undefined,
      account,
    );
    const ask = (id: number): void =>
      void client.send(encodeFrame({ id, kind: 'request', payload: new Uint8Array(1) }));
    ask(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(inbound.heldBytes()).toBe(500_000);
    ask(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(inbound.heldBytes()).toBe(1_000_000);
    channel.bufferedAmount = 300_000;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(inbound.heldBytes()).toBe(300_000);
    channel.bufferedAmount = 0;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(inbound.heldBytes()).toBe(0);
    ask(3);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(server.aborted).toBeNull();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(server.aborted?.message).toBe('the other end takes no bytes');
    expect(inbound.heldBytes()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
