/**
 * Goal: a slow link, or a slow node at its other end, makes requests late and ends none of them.
 * Method: the real client and server of rpc.ts over a simulated link, in simulated time.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { encodeFrame } from '#network/frame.ts';
import { watchLink } from '#network/link.ts';
import {
  createRpcClient,
  isCongested,
  maxInFlight,
  maxUnanswered,
  serveRpc,
} from '#network/rpc.ts';
import { createLine, type Line } from './slow-line.ts';

const mebibyte = new Uint8Array(1024 * 1024);
const patience = { idleMs: 30_000, totalMs: 90_000 };
const receipt = async (): Promise<Uint8Array> => new Uint8Array(400);

let line: Line;
const lineOf = (upPerSecond: number, downPerSecond = upPerSecond): void => {
  line = createLine({ upPerSecond, downPerSecond });
};
beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  line.stop();
  vi.useRealTimers();
});
const pass = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(seconds * 1_000);
const open = (
  answer: (request: Uint8Array) => Promise<Uint8Array> = receipt,
  link = watchLink(),
) => {
  const [ours, theirs] = line.open();
  const invalid = vi.fn();
  serveRpc(theirs, answer, undefined, undefined, invalid);
  return { rpc: createRpcClient(ours, undefined, undefined, link), invalid };
};

test('a piece lives as long as its bytes move, up and down', async () => {
  lineOf(25_000);
  const up = open().rpc.request(mebibyte, patience);
  await pass(50);
  expect(await up).toMatchObject({ ok: true });
  const down = open(async () => mebibyte).rpc.request(new Uint8Array(40), {
    idleMs: 20_000,
    totalMs: 60_000,
  });
  await pass(50);
  expect(await down).toMatchObject({ ok: true });
});

test.each([
  ['its whole time', 'timeout', 40_000],
  ['what the other end waits for a frame', 'unreachable', 90_000],
])(
  'a piece that moves too slowly ends after %s, and the link is told as the reason',
  async (_, kind, totalMs) => {
    lineOf(30_000);
    const link = watchLink();
    const asked = [0, 1, 2].map(() =>
      open(receipt, link).rpc.request(mebibyte, { idleMs: 30_000, totalMs }),
    );
    await pass(80);
    for (const each of asked) {
      expect(await each).toEqual({ ok: false, error: { kind, congested: true } });
    }
  },
);

test('one piece alone that moves too slowly for the other end is late by our link', async () => {
  lineOf(10_000);
  const piece = open().rpc.request(mebibyte, { idleMs: 30_000, totalMs: 90_000 });
  await pass(85);
  expect(await piece).toEqual({ ok: false, error: { kind: 'unreachable', congested: true } });
});

test('a node that takes bytes and gives no answer is silent, whatever was sent to it', async () => {
  lineOf(1_000_000);
  const silent = open(() => new Promise(() => undefined)).rpc;
  const asked = [silent.request(mebibyte, patience), silent.request(new Uint8Array(9), 5_000)];
  await pass(40);
  for (const each of asked) {
    expect(await each).toEqual({ ok: false, error: { kind: 'timeout' } });
  }
});

test('a node that breaks off while it sends a piece is unreachable: our link is not the reason', async () => {
  lineOf(1_000_000);
  const [ours, theirs] = line.open();
  serveRpc(theirs, async () => mebibyte);
  const piece = createRpcClient(ours).request(new Uint8Array(40), patience);
  await pass(0.5);
  expect(line.carried.down).toBeGreaterThan(100_000);
  theirs.abort(new Error('killed'));
  expect(await piece).toEqual({ ok: false, error: { kind: 'unreachable' } });
});

test('a node that dribbles and then breaks off is unreachable, unless others were slow meanwhile', async () => {
  lineOf(1_000_000);
  const link = watchLink();
  const dribbling = async () => {
    const [ours, theirs] = line.open();
    const piece = createRpcClient(ours, undefined, undefined, link).request(
      new Uint8Array(40),
      patience,
    );
    await pass(0.1);
    const frame = encodeFrame({ id: 1, kind: 'reply', payload: mebibyte });
    for (let n = 0; n < 5; n++) {
      theirs.send(frame.slice(n * 100, (n + 1) * 100));
      await pass(1);
    }
    await pass(0.1);
    theirs.abort(new Error('gone'));
    return piece;
  };
  expect(await dribbling()).toEqual({ ok: false, error: { kind: 'unreachable' } });
  const both = await Promise.all([dribbling(), dribbling()]);
  expect(both.some((each) => !each.ok && isCongested(each.error as { kind: string }))).toBe(true);
});

test('an answer that is late while our own bytes fill the link is no silence', async () => {
  lineOf(100_000);
  const link = watchLink();
  const pieces = Array.from({ length: 6 }, () => open(receipt, link));
  for (const { rpc } of pieces) void rpc.request(mebibyte, patience);
  await pass(10);
  const late = open(() => new Promise(() => undefined), link).rpc.request(new Uint8Array(9), 5_000);
  await pass(6);
  expect(await late).toEqual({ ok: false, error: { kind: 'timeout', congested: true } });
});

test('a request that is given up before its first byte was sent is never sent', async () => {
  lineOf(100_000);
  const { rpc } = open();
  const first = rpc.request(mebibyte, patience);
  const given = Array.from({ length: 5 }, () => rpc.request(mebibyte, 5_000));
  await pass(20);
  expect((await first).ok).toBe(true);
  for (const each of given) expect((await each).ok).toBe(false);
  await pass(100);
  expect(line.carried.up).toBeLessThan(1.1 * mebibyte.length);
  const next = rpc.request(new Uint8Array(9), 5_000);
  await pass(1);
  expect((await next).ok).toBe(true);
});

test('a piece that is cancelled halfway frees the link, in both directions', async () => {
  lineOf(100_000);
  const cancel = new AbortController();
  const asked = [
    open().rpc.request(mebibyte, patience, cancel.signal),
    open(async () => mebibyte).rpc.request(new Uint8Array(40), patience, cancel.signal),
  ];
  await pass(3);
  cancel.abort();
  for (const each of asked) expect((await each).ok).toBe(false);
  await pass(60);
  expect(line.carried.up).toBeLessThan(mebibyte.length / 2);
  expect(line.carried.down).toBeLessThan(mebibyte.length / 2);
});

test('an asker of a slow node gives up its requests and is never held to be hostile', async () => {
  lineOf(1_000_000);
  let serving = 0;
  let most = 0;
  const { rpc, invalid } = open(async () => {
    most = Math.max(most, ++serving);
    await new Promise((go) => setTimeout(go, 24_000));
    serving -= 1;
    return new Uint8Array(40);
  });
  const answers: boolean[] = [];
  const lane = async (): Promise<void> => {
    for (let n = 0; n < 20; n++) answers.push((await rpc.request(new Uint8Array(100), 6_000)).ok);
  };
  const lanes = Promise.all(Array.from({ length: maxInFlight }, lane));
  await pass(130);
  await lanes;
  expect(answers).toHaveLength(20 * maxInFlight);
  expect(invalid).not.toHaveBeenCalled();
  expect(rpc.closed()).toBe(false);
  expect(most).toBe(maxUnanswered);
  // What is asked once the node is quick again is answered.
  await pass(30);
  const now = rpc.request(new Uint8Array(100), 30_000);
  await pass(25);
  expect((await now).ok).toBe(true);
});

test('a stream whose places are full of given-up requests ends when it stays silent', async () => {
  lineOf(1_000_000);
  const { rpc, invalid } = open(() => new Promise(() => undefined));
  for (let n = 0; n < 20; n++) {
    void rpc.request(new Uint8Array(100), 4_000);
    void rpc.request(new Uint8Array(100), 4_000);
    await pass(4);
  }
  expect(rpc.closed()).toBe(true);
  expect(invalid).not.toHaveBeenCalled();
});
