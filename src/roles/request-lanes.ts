/**
 * Fair queueing of requests: section members ("system"), clients, and nodes that are not members
 * ("outside") each have a lane, and under load each lane gets its share. Pure: takes arrivals, ends and
 * durations, returns what to run now and how long a rejected peer should wait.
 *
 * There is no overload mode to leave: waiting times follow from the current queues.
 */

export const lanes = ['system', 'client', 'outside'] as const;
export type Lane = (typeof lanes)[number];

/** Requests running at the same time. Each may hold 1 MiB: 256 MiB in all. */
export const maxConcurrent = 256;
/** Slots that members cannot take from clients, nor clients from members. */
export const reservedPerLane = 64;
/** Running requests of all outside nodes together: names are free, so more names get no more slots. */
export const maxOutside = 32;
/** Requests waiting in one lane; the next one is answered `busy`. */
export const maxWaitingPerLane = 128;
/** A small message costs one unit; a large one costs one more per 64 KiB. */
const bytesPerUnit = 64 * 1024;
const shortestWaitMs = 100;
const longestWaitMs = 10_000;
/** Weight of the newest service time in the mean. */
const newestWeight = 0.05;
/** Assumed service time before the first measurement. */
const firstGuessMs = 20;

/** A waiting request; `requestId` is the caller's number for it. */
interface Waiting {
  readonly requestId: number;
  readonly cost: number;
}

interface LaneLoad {
  readonly running: number;
  readonly waiting: readonly Waiting[];
  /** Total cost of the requests started in this lane, which {@link startNext} balances. */
  readonly servedCost: number;
  readonly meanMs: number;
}

export type Load = Readonly<Record<Lane, LaneLoad>>;

const idleLane: LaneLoad = { running: 0, waiting: [], servedCost: 0, meanMs: firstGuessMs };
export const idleLoad: Load = { system: idleLane, client: idleLane, outside: idleLane };

export const costOf = (bytes: number): number => 1 + Math.floor(bytes / bytesPerUnit);

export type Admission =
  | { readonly kind: 'run' }
  | { readonly kind: 'wait' }
  /** Retry after `afterMs`, with at most `credit` concurrent requests. */
  | { readonly kind: 'busy'; readonly afterMs: number; readonly credit: number };

/** @param peers number of peers with requests in this lane, the sender included. */
export function admitRequest(
  load: Load,
  lane: Lane,
  request: { readonly requestId: number; readonly cost: number },
  peers: number,
): readonly [Load, Admission] {
  const own = load[lane];
  if (own.waiting.length === 0 && hasRoom(load, lane)) {
    return [started(load, lane, request.cost), { kind: 'run' }];
  }
  if (own.waiting.length < maxWaitingPerLane) {
    return [changed(load, lane, { waiting: [...own.waiting, request] }), { kind: 'wait' }];
  }
  return [load, { kind: 'busy', afterMs: waitMs(own), credit: creditFor(peers) }];
}

/** One request of a lane ended after `tookMs`; @returns the ids of the requests that start now. */
export function release(
  load: Load,
  lane: Lane,
  tookMs: number,
): readonly [Load, readonly number[]] {
  const { running, meanMs } = load[lane];
  let next = changed(load, lane, {
    running: Math.max(0, running - 1),
    meanMs: meanMs + newestWeight * (tookMs - meanMs),
  });
  const requestIds: number[] = [];
  for (;;) {
    const after = startNext(next);
    if (after === undefined) return [next, requestIds];
    next = after[0];
    requestIds.push(after[1]);
  }
}

/** The lane with the lower served cost goes first. */
function startNext(load: Load): readonly [Load, number] | undefined {
  const able = lanes.filter((lane) => load[lane].waiting.length > 0 && hasRoom(load, lane));
  const [lane] = able.sort((a, b) => load[a].servedCost - load[b].servedCost);
  const first = lane === undefined ? undefined : load[lane].waiting[0];
  if (lane === undefined || first === undefined) return undefined;
  const waiting = load[lane].waiting.slice(1);
  return [started(changed(load, lane, { waiting }), lane, first.cost), first.requestId];
}

function hasRoom(load: Load, lane: Lane): boolean {
  const { system, client, outside } = load;
  if (system.running + client.running + outside.running >= maxConcurrent) return false;
  if (lane === 'outside') return outside.running < maxOutside;
  return load[lane].running + outside.running < maxConcurrent - reservedPerLane;
}

function started(load: Load, lane: Lane, cost: number): Load {
  const own = load[lane];
  const others = lanes.filter((each) => each !== lane).map((each) => load[each]);
  const busy = others.filter(({ running }) => running > 0);
  // Idle time earns no credit: a lane that becomes busy starts level with the busy lanes.
  const reached =
    Math.min(...(busy.length > 0 ? busy : others).map(({ servedCost }) => servedCost)) - cost;
  const level = own.running === 0 ? Math.max(own.servedCost, reached) : own.servedCost;
  return changed(load, lane, { running: own.running + 1, servedCost: level + cost });
}

const waitMs = (own: LaneLoad): number =>
  Math.round(
    Math.min(
      longestWaitMs,
      Math.max(shortestWaitMs, (own.waiting.length * own.meanMs) / Math.max(1, own.running)),
    ),
  );

const creditFor = (peers: number): number =>
  Math.max(1, Math.floor((maxConcurrent - reservedPerLane) / Math.max(1, peers)));

const changed = (load: Load, lane: Lane, change: Partial<LaneLoad>): Load => ({
  ...load,
  [lane]: { ...load[lane], ...change },
});
