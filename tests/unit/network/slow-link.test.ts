/**
 * Goal: a slow link, or a slow node at its other end, delays requests and ends none of them. Method: the
 * real client and server of rpc-stream.ts over a simulated link, in simulated time.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { encodeFrame } from '#network/rpc/frame.ts';
import { createLinkMonitor } from '#network/rpc/link-monitor.ts';
import {
  createRpcClient,
  isCongested,
  maxInFlight,
  maxUnanswered,
  serveRpc,
} from '#network/rpc/rpc-stream.ts';
import { createSimulatedLink, type SimulatedLink } from './simulated-link.ts';

const mebibyte = new Uint8Array(1024 * 1024);
const patience = { idleMs: 30_000, totalMs: 90_000 };
const receipt = async (): Promise<Uint8Array> => new Uint8Array(400);

let line: SimulatedLink;
const lineOf = (upPerSecond: number, downPerSecond = upPerSecond): void => {
  line = createSimulatedLink({ upPerSecond, downPerSecond });
};
beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  line.stop();
  vi.useRealTimers();
});
const pass = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(seconds * 1_000);
const open = (
  answer: (request: Uint8Array) => Promise<Uint8Array> = receipt,
  link = createLinkMonitor(),
) => {
  const [ours, theirs] = line.open();
  const invalid = vi.fn();
  serveRpc(theirs, answer, undefined, undefined, invalid);
  return { rpc: createRpcClient(ours, undefined, undefined, link), invalid };
};

test('a piece stays alive while its bytes make progress, up and down', async () => {
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
  'a piece that makes too little progress ends after %s, with the link as the reason',
  async (_, kind, totalMs) => {
    lineOf(30_000);
    const link = createLinkMonitor();
    const asked = [0, 1, 2].map(() =>
      open(receipt, link).rpc.request(mebibyte, { idleMs: 30_000, totalMs }),
    );
    await pass(80);
    for (const each of asked) {
      expect(await each).toEqual({ ok: false, error: { kind, congested: true } });
    }
  },
);

test('a single piece that is too slow for the other end counts as late because of our link', async () => {
  lineOf(10_000);
  const piece = open().rpc.request(mebibyte, { idleMs: 30_000, totalMs: 90_000 });
  await pass(85);
  expect(await piece).toEqual({ ok: false, error: { kind: 'unreachable', congested: true } });
});

test('a node that accepts bytes and never replies is unresponsive, whatever was sent to it', async () => {
  lineOf(1_000_000);
  const silent = open(() => new Promise(() => undefined)).rpc;
  const asked = [silent.request(mebibyte, patience), silent.request(new Uint8Array(9), 5_000)];
  await pass(40);
  for (const each of asked) {
    expect(await each).toEqual({ ok: false, error: { kind: 'timeout' } });
  }
});

test('a node that aborts while sending a piece is unreachable: our link is not the reason', async () => {
  lineOf(1_000_000);
  const [ours, theirs] = line.open();
  serveRpc(theirs, async () => mebibyte);
  const piece = createRpcClient(ours).request(new Uint8Array(40), patience);
  await pass(0.5);
  expect(line.carried.down).toBeGreaterThan(100_000);
  theirs.abort(new Error('killed'));
  expect(await piece).toEqual({ ok: false, error: { kind: 'unreachable' } });
});

test('a node that sends slowly and then aborts is unreachable, unless others were slow meanwhile', async () => {
  lineOf(1_000_000);
  const link = createLinkMonitor();
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

test('a late reply while our own bytes fill the link does not count as unresponsive', async () => {
  lineOf(100_000);
  const link = createLinkMonitor();
  const pieces = Array.from({ length: 6 }, () => open(receipt, link));
  for (const { rpc } of pieces) void rpc.request(mebibyte, patience);
  await pass(10);
  const late = open(() => new Promise(() => undefined), link).rpc.request(new Uint8Array(9), 5_000);
  await pass(6);
  expect(await late).toEqual({ ok: false, error: { kind: 'timeout', congested: true } });
});

test('a request abandoned before its first byte is never sent', async () => {
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

test('a piece cancelled halfway frees the link, in both directions', async () => {
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

test('a client of a slow node abandons its requests and is never treated as hostile', async () => {
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
  // Requests sent once the node is fast again are answered.
  await pass(30);
  const now = rpc.request(new Uint8Array(100), 30_000);
  await pass(25);
  expect((await now).ok).toBe(true);
});

test('a stream full of abandoned requests ends when no byte arrives', async () => {
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
