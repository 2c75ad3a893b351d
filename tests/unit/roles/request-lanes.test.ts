/** Goal: under load the section's work and the clients' work each get half, and neither starves. */
import { expect, test } from 'vitest';
import {
  admitRequest,
  costOf,
  idleLoad,
  lanes,
  maxOutside,
  maxConcurrent,
  maxWaitingPerLane,
  release,
  reservedPerLane,
  type Lane,
  type Load,
} from '#roles/request-lanes.ts';

interface Outcome {
  readonly served: Record<Lane, number>;
  readonly cost: Record<Lane, number>;
  readonly busy: Record<Lane, number>;
  readonly longestWait: Record<Lane, number>;
  readonly load: Load;
}

/** A node as a queue: in every tick requests arrive, and each takes `ticks` to serve. */
function simulate(
  rounds: number,
  arrivals: (tick: number) => Record<Lane, number>,
  sizes: Record<Lane, { readonly ticks: number; readonly bytes: number }>,
): Outcome {
  let load = idleLoad;
  let requestId = 0;
  const laneOf = new Map<number, { lane: Lane; since: number }>();
  const ends: { at: number; lane: Lane }[] = [];
  const zero = (): Record<Lane, number> => ({ system: 0, client: 0, outside: 0 });
  const [served, cost, busy, longestWait] = [zero(), zero(), zero(), zero()];
  const begin = (lane: Lane, tick: number): void => {
    served[lane] += 1;
    cost[lane] += costOf(sizes[lane].bytes);
    ends.push({ at: tick + sizes[lane].ticks, lane });
  };
  for (let tick = 0; tick < rounds; tick++) {
    for (let at = ends.length - 1; at >= 0; at--) {
      const end = ends[at];
      if (end === undefined || end.at > tick) continue;
      ends.splice(at, 1);
      const [next, tickets] = release(load, end.lane, sizes[end.lane].ticks);
      load = next;
      for (const each of tickets) {
        const waited = laneOf.get(each);
        if (waited === undefined) throw new Error('a ticket nobody holds');
        longestWait[waited.lane] = Math.max(longestWait[waited.lane], tick - waited.since);
        begin(waited.lane, tick);
      }
    }
    const coming = arrivals(tick);
    for (const lane of lanes) {
      for (let n = 0; n < coming[lane]; n++) {
        requestId += 1;
        const [next, verdict] = admitRequest(
          load,
          lane,
          { requestId, cost: costOf(sizes[lane].bytes) },
          10,
        );
        load = next;
        if (verdict.kind === 'run') begin(lane, tick);
        else if (verdict.kind === 'wait') laneOf.set(requestId, { lane, since: tick });
        else busy[lane] += 1;
      }
    }
    expect(load.system.running + load.client.running).toBeLessThanOrEqual(maxConcurrent);
    for (const lane of lanes) {
      expect(load[lane].waiting.length).toBeLessThanOrEqual(maxWaitingPerLane);
    }
  }
  return { served, cost, busy, longestWait, load };
}

const small = { ticks: 10, bytes: 500 };
const even = { system: small, client: small, outside: small };

test('both lanes flooded → each gets half', () => {
  const { served, busy } = simulate(3_000, () => ({ system: 60, client: 60, outside: 0 }), even);
  const share = served.system / (served.system + served.client);
  expect(share).toBeGreaterThan(0.45);
  expect(share).toBeLessThan(0.55);
  expect(busy.system).toBeGreaterThan(0);
  expect(busy.client).toBeGreaterThan(0);
});

test('clients with chunks of 1 MiB get half of the cost, not half of the requests', () => {
  const sizes = { ...even, client: { ticks: 10, bytes: 1024 * 1024 } };
  const { cost } = simulate(3_000, () => ({ system: 300, client: 60, outside: 0 }), sizes);
  const share = cost.system / (cost.system + cost.client);
  // A client request costs seventeen times a request of the section.
  expect(share).toBeGreaterThan(0.05);
  expect(share).toBeLessThan(0.6);
});

test('a flood of client requests does not delay the section’s work', () => {
  const { served, busy, longestWait } = simulate(
    3_000,
    () => ({ system: 2, client: 200, outside: 0 }),
    even,
  );
  expect(served.system).toBe(6_000);
  expect(busy.system).toBe(0);
  expect(longestWait.system).toBe(0);
  // Clients use the slots that the section leaves free.
  expect(served.client).toBeGreaterThan((3_000 / 10) * (maxConcurrent - reservedPerLane) * 0.95);
});

test('a flood of the section’s messages does not starve clients', () => {
  const { served, busy, longestWait } = simulate(
    3_000,
    () => ({ system: 200, client: 2, outside: 0 }),
    even,
  );
  expect(served.client).toBe(6_000);
  expect(busy.client).toBe(0);
  expect(longestWait.client).toBe(0);
});

test('ten unknown peers, or a thousand, delay neither members nor clients', () => {
  for (const flood of [320, 1_000]) {
    const arrivals = (): Record<Lane, number> => ({ system: 2, client: 2, outside: flood });
    const { served, busy, longestWait } = simulate(1_000, arrivals, even);
    expect([served.system, served.client]).toEqual([2_000, 2_000]);
    expect([busy.system, busy.client]).toEqual([0, 0]);
    expect([longestWait.system, longestWait.client]).toEqual([0, 0]);
    // Unknown peers are served too, within their own slots.
    expect(served.outside).toBeGreaterThan((1_000 / 10) * maxOutside * 0.9);
  }
});

test('a node that members and clients keep busy still serves join requests', () => {
  const { longestWait, served } = simulate(
    1_000,
    () => ({ system: 60, client: 60, outside: 1 }),
    even,
  );
  expect(served.outside).toBeGreaterThan(980); // The last ones are still running.
  expect(longestWait.outside).toBeLessThanOrEqual(20);
});

test('after a flood no request is rejected', () => {
  const { busy: during } = simulate(500, () => ({ system: 0, client: 200, outside: 0 }), even);
  const { busy: both, load } = simulate(
    1_000,
    (tick) => ({ system: 0, client: tick < 500 ? 200 : 5, outside: 0 }),
    even,
  );
  // The flood's queue drains; later requests are served.
  expect(both.client - during.client).toBeLessThanOrEqual(20);
  expect(load.client.waiting).toHaveLength(0);
});

test('`busy` contains a delay and a number of requests', () => {
  let load = idleLoad;
  for (
    let requestId = 0;
    requestId < maxConcurrent - reservedPerLane + maxWaitingPerLane;
    requestId++
  ) {
    [load] = admitRequest(load, 'client', { requestId, cost: 1 }, 3);
  }
  const [, verdict] = admitRequest(load, 'client', { requestId: -1, cost: 1 }, 3);
  expect(verdict).toEqual({ kind: 'busy', afterMs: 100, credit: 64 });
});
