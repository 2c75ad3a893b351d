/**
 * How a node shares itself out: requests of members of its section ("system"), of clients, and of nodes
 * that are no members ("outside") wait in queues of their own, and under load each gets its part. Pure: what arrived, what ended and how long it took
 * come in as facts; what to start, and whom to send away for how long, goes out.
 *
 * Nothing has to be switched back: waiting times are computed from what waits now, so a node whose
 * queues are empty sends nobody away.
 */

export const lanes = ['system', 'client', 'outside'] as const;
export type Lane = (typeof lanes)[number];

/** Requests at work together. Each may hold 1 MiB: 256 MiB at the most. */
export const maxTogether = 256;
/** Of these, so many stay for clients when nodes take all they can get, and for members when clients do. */
export const reservedPerLane = 64;
/** Of nodes that are no members: names cost nothing, so they get little, and share it. */
export const maxOutside = 32;
/** Requests that wait in one lane; the next one is told when to come back. */
export const maxWaitingPerLane = 128;
/** One unit of cost: a small message, or so many bytes of a large one. */
const bytesPerUnit = 64 * 1024;
const shortestWaitMs = 100;
const longestWaitMs = 10_000;
/** Weight of the newest service time in the mean. */
const newestWeight = 0.05;
/** What a request is thought to take before anything was measured. */
const firstGuessMs = 20;

/** A request that waits; `ticket` is the caller's number for it. */
interface Waiting {
  readonly ticket: number;
  readonly cost: number;
}

interface LaneLoad {
  readonly running: number;
  readonly waiting: readonly Waiting[];
  /** Cost given to this lane, as counted by {@link startNext}. */
  readonly given: number;
  readonly meanMs: number;
}

export type Load = Readonly<Record<Lane, LaneLoad>>;

const idleLane: LaneLoad = { running: 0, waiting: [], given: 0, meanMs: firstGuessMs };
export const idleLoad: Load = { system: idleLane, client: idleLane, outside: idleLane };

export const costOf = (bytes: number): number => 1 + Math.floor(bytes / bytesPerUnit);

export type Verdict =
  | { readonly kind: 'run' }
  | { readonly kind: 'wait' }
  /** Come back later, with at most `credit` requests at once. */
  | { readonly kind: 'busy'; readonly afterMs: number; readonly credit: number };

/** @param peers how many peers have requests in this lane, the asker included. */
export function admit(
  load: Load,
  lane: Lane,
  request: { readonly ticket: number; readonly cost: number },
  peers: number,
): readonly [Load, Verdict] {
  const own = load[lane];
  if (own.waiting.length === 0 && hasRoom(load, lane)) {
    return [started(load, lane, request.cost), { kind: 'run' }];
  }
  if (own.waiting.length < maxWaitingPerLane) {
    return [changed(load, lane, { waiting: [...own.waiting, request] }), { kind: 'wait' }];
  }
  return [load, { kind: 'busy', afterMs: waitMs(own), credit: creditFor(peers) }];
}

/** One request of a lane ended after `tookMs`; @returns the tickets that begin now. */
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
  const tickets: number[] = [];
  for (;;) {
    const after = startNext(next);
    if (after === undefined) return [next, tickets];
    next = after[0];
    tickets.push(after[1]);
  }
}

/** The lane that was given less goes first. */
function startNext(load: Load): readonly [Load, number] | undefined {
  const able = lanes.filter((lane) => load[lane].waiting.length > 0 && hasRoom(load, lane));
  const [lane] = able.sort((a, b) => load[a].given - load[b].given);
  const first = lane === undefined ? undefined : load[lane].waiting[0];
  if (lane === undefined || first === undefined) return undefined;
  const waiting = load[lane].waiting.slice(1);
  return [started(changed(load, lane, { waiting }), lane, first.cost), first.ticket];
}

function hasRoom(load: Load, lane: Lane): boolean {
  const { system, client, outside } = load;
  if (system.running + client.running + outside.running >= maxTogether) return false;
  if (lane === 'outside') return outside.running < maxOutside;
  return load[lane].running + outside.running < maxTogether - reservedPerLane;
}

function started(load: Load, lane: Lane, cost: number): Load {
  const own = load[lane];
  const others = lanes.filter((each) => each !== lane).map((each) => load[each]);
  const busy = others.filter(({ running }) => running > 0);
  // Idle time is not saved up: a lane that comes back starts level with those at work.
  const reached = Math.min(...(busy.length > 0 ? busy : others).map(({ given }) => given)) - cost;
  const level = own.running === 0 ? Math.max(own.given, reached) : own.given;
  return changed(load, lane, { running: own.running + 1, given: level + cost });
}

const waitMs = (own: LaneLoad): number =>
  Math.round(
    Math.min(
      longestWaitMs,
      Math.max(shortestWaitMs, (own.waiting.length * own.meanMs) / Math.max(1, own.running)),
    ),
  );

const creditFor = (peers: number): number =>
  Math.max(1, Math.floor((maxTogether - reservedPerLane) / Math.max(1, peers)));

const changed = (load: Load, lane: Lane, change: Partial<LaneLoad>): Load => ({
  ...load,
  [lane]: { ...load[lane], ...change },
});
