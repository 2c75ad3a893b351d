/**
 * Goal: queued requests start when another ends, one peer never exceeds its share, and peers that have
 * left are forgotten. Method: the real admission control, with handmade work.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  createAdmissionControl,
  maxPerAddress,
  maxPerPeer,
  type AdmissionControl,
} from '#node/requests/admission-control.ts';
import type { Metrics } from '#node/monitoring/metrics.ts';
import { maxConcurrent, maxWaitingPerLane, reservedPerLane } from '#roles/request-lanes.ts';

/** The share of one lane while the other is idle. */
const lent = maxConcurrent - reservedPerLane;

let counted: string[];
let gauges: Map<string, () => number>;
let admission: AdmissionControl;
/** Started and not ended, oldest first. */
let atWork: { readonly by: string; readonly end: (error?: Error) => void }[];

beforeEach(() => {
  counted = [];
  gauges = new Map();
  atWork = [];
  const metrics: Metrics = {
    count: (name, kind) => void counted.push(`${name} ${kind}`),
    gauge: (name, read) => void gauges.set(name, read),
  };
  admission = createAdmissionControl(metrics, () => 0);
});

const enter = (by: string, bytes = 0, address: string | null = null) =>
  admission.run(
    'client',
    { peerId: by, address },
    bytes,
    () =>
      new Promise<string>((done, failed) => {
        const end = (error?: Error): void => (error === undefined ? done(by) : failed(error));
        atWork.push({ by, end });
      }),
  );
const endFirst = (error?: Error): void => atWork.shift()?.end(error);
const settled = (): Promise<void> => new Promise((go) => setImmediate(go));
const working = (): number => gauges.get('safe_client_running')?.() ?? NaN;
const waiting = (): number => gauges.get('safe_client_waiting')?.() ?? NaN;

describe('admission control', () => {
  test('a peer has a limited number of requests, and gets the next one when one ends', async () => {
    const entered = Array.from({ length: maxPerPeer }, () => enter('a'));
    expect(working()).toBe(maxPerPeer);
    expect(await enter('a')).toMatchObject({ ok: false, error: { kind: 'busy' } });
    // Another peer is neither blocked by it nor counted with it.
    void enter('b');
    expect(working()).toBe(maxPerPeer + 1);
    endFirst();
    expect(await entered[0]).toEqual({ ok: true, value: 'a' });
    void enter('a');
    expect(working()).toBe(maxPerPeer + 1);
    expect(await enter('a')).toMatchObject({ ok: false, error: { kind: 'busy' } });
  });

  test('queued requests start in order, one for each that ends, even if that one failed', async () => {
    const first = Array.from({ length: lent }, (_, n) => enter(`peer ${n}`));
    void enter('late 1');
    void enter('late 2');
    expect([working(), waiting(), atWork.length]).toEqual([lent, 2, lent]);
    endFirst();
    await first[0];
    await settled();
    expect(atWork.at(-1)?.by).toBe('late 1');
    expect([working(), waiting(), atWork.length]).toEqual([lent, 1, lent]);
    endFirst(new Error('its work failed'));
    await expect(first[1]).rejects.toThrow('its work failed');
    await settled();
    expect(atWork.at(-1)?.by).toBe('late 2');
    expect([working(), waiting(), atWork.length]).toEqual([lent, 0, lent]);
  });

  test('beyond the queue every request is refused, with the number of peers that share the lane', async () => {
    const all = lent + maxWaitingPerLane;
    for (let n = 0; n < all; n++) void enter(`peer ${Math.floor(n / maxPerPeer)}`);
    expect([working(), waiting()]).toEqual([lent, maxWaitingPerLane]);
    const peers = Math.ceil(all / maxPerPeer);
    const creditFor = (count: number): number => Math.max(1, Math.floor(lent / count));
    expect(creditFor(peers)).not.toBe(creditFor(peers + 1));
    expect(await enter('one more')).toMatchObject({
      ok: false,
      error: { kind: 'busy', credit: creditFor(peers + 1) },
    });
    expect(counted).toEqual(['safe_rejected_busy_total client']);
  });

  test('a peer that has left is no longer counted', async () => {
    const gone = Array.from({ length: 20 }, (_, n) => enter(`gone ${n}`));
    while (atWork.length > 0) endFirst();
    await Promise.all(gone);
    expect(working()).toBe(0);
    for (let n = 0; n < lent + maxWaitingPerLane; n++) void enter(`peer ${n % 10}`);
    expect(await enter('one more')).toMatchObject({ error: { credit: Math.floor(lent / 11) } });
  });

  test('a full lane does not delay the other one', async () => {
    for (let n = 0; n < lent + 1; n++) void enter(`peer ${n}`);
    expect(waiting()).toBe(1);
    expect(
      await admission.run('system', { peerId: 'elder', address: null }, 0, async () => 'done'),
    ).toEqual({
      ok: true,
      value: 'done',
    });
  });
});

test('many peer ids of one address are one sender; other addresses and this computer are unaffected', async () => {
  for (let n = 0; n < maxPerAddress; n++) void enter(`id ${n}`, 0, '192.0.2.1');
  expect(working()).toBe(maxPerAddress);
  expect(await enter('one more id', 0, '192.0.2.1')).toMatchObject({ error: { kind: 'busy' } });
  void enter('neighbour', 0, '192.0.2.2');
  void enter('local');
  expect(working()).toBe(maxPerAddress + 2);
  endFirst();
  await settled();
  void enter('one more id', 0, '192.0.2.1');
  expect(working()).toBe(maxPerAddress + 2);
});

test('members at one address are not counted together', async () => {
  for (let n = 0; n < 20; n++) {
    for (let message = 0; message < 4; message++) {
      void admission.run(
        'system',
        { peerId: `member ${n}`, address: '192.0.2.1' },
        0,
        () => new Promise<void>(() => undefined),
      );
    }
  }
  const running = gauges.get('safe_system_running')?.() ?? NaN;
  const queued = gauges.get('safe_system_waiting')?.() ?? NaN;
  expect(running + queued).toBe(80);
});
