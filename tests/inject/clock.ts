/**
 * Time of the browser processes: it is stopped during any work and then jumps to the next timer, so
 * that a minute of waiting costs nothing and every run is the same.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** A unit that ends as a whole: afterwards its timers do not fire and its calls do not return. */
export interface Killable {
  readonly isDead: boolean;
}

const inside = new AsyncLocalStorage<Killable>();
const real = { setTimeout, setInterval, clearTimeout, setImmediate, now: Date.now.bind(Date) };

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly owner: Killable | undefined;
  readonly fire: () => void;
}

let timers = new Map<number, Timer>();
let now = 0;
let order = 0;
interface Work {
  isOver: boolean;
}
/** Work in progress of this run only: leftovers of an earlier run end without effect. */
let busy = new Set<Work>();
/** The work that contains the running code, outermost first. */
const partOf = new AsyncLocalStorage<readonly Work[]>();

export const currentKillable = (): Killable | undefined => inside.getStore();
export const runAs = <T>(killable: Killable, body: () => T): T => inside.run(killable, body);

export const clock = {
  now: (): number => now,
  reset: (): void => {
    timers = new Map();
    now = 1_700_000_000_000;
    busy = new Set();
  },
  wait: (ms: number): Promise<void> =>
    new Promise((done) => void schedule(done, ms, inside.getStore())),
};

/** Runs work during which the clock is stopped. */
export async function working<T>(work: () => Promise<T>): Promise<T> {
  const one: Work = { isOver: false };
  const ofRun = busy;
  ofRun.add(one);
  try {
    return await partOf.run([...(partOf.getStore() ?? []), one], work);
  } finally {
    one.isOver = true;
    ofRun.delete(one);
  }
}

/** Runs a part of some work during which the clock continues and other processes act. */
export async function meanwhile<T>(act: () => Promise<T> | T): Promise<T> {
  const ofRun = busy;
  const paused = (partOf.getStore() ?? []).filter((each) => ofRun.delete(each));
  try {
    return await act();
  } finally {
    for (const each of paused) if (!each.isOver) ofRun.add(each);
  }
}

function schedule(fire: () => void, ms: number, owner: Killable | undefined): number {
  order += 1;
  timers.set(order, { at: now + Math.max(0, ms || 0), order, owner, fire });
  return order;
}

const turn = (): Promise<void> => new Promise((go) => real.setImmediate(go));

/** Idle turns of the event loop before time advances. */
const quietTurns = 4;

async function quiet(): Promise<void> {
  let calm = 0;
  while (calm < quietTurns) {
    await turn();
    calm = busy.size === 0 ? calm + 1 : 0;
  }
}

/** Advances the simulation until the promise is settled. */
export async function drive<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  promise.then(mark, mark);
  for (;;) {
    await quiet();
    if (settled) return promise;
    const next = [...timers.values()].reduce<Timer | undefined>(
      (first, each) =>
        first === undefined ||
        each.at < first.at ||
        (each.at === first.at && each.order < first.order)
          ? each
          : first,
      undefined,
    );
    if (next === undefined) throw new Error('nothing is left that could go on');
    timers.delete(next.order);
    now = Math.max(now, next.at);
    const { owner, fire } = next;
    if (owner === undefined) fire();
    else if (!owner.isDead) inside.run(owner, fire);
  }
}

/** The timer object as in Node; only clearing it is used here. */
class Timed {
  id = 0;
  unref(): this {
    return this;
  }
}

/** Installs this clock for code that runs inside a process; all other code keeps the real clock. */
export function installClock(): void {
  const patchedSet = (
    fire: (...given: unknown[]) => void,
    ms = 0,
    ...given: unknown[]
  ): unknown => {
    const owner = inside.getStore();
    if (owner === undefined) return real.setTimeout(fire, ms, ...given);
    const timed = new Timed();
    timed.id = schedule(() => fire(...given), ms, owner);
    return timed;
  };
  const patchedEvery = (
    fire: (...given: unknown[]) => void,
    ms = 0,
    ...given: unknown[]
  ): unknown => {
    const owner = inside.getStore();
    if (owner === undefined) return real.setInterval(fire, ms, ...given);
    const timed = new Timed();
    const again = (): void => {
      timed.id = schedule(
        () => {
          again();
          fire(...given);
        },
        Math.max(1, ms),
        owner,
      );
    };
    again();
    return timed;
  };
  const patchedClear = (timer: unknown): void => {
    if (timer instanceof Timed) timers.delete(timer.id);
    else real.clearTimeout(timer as NodeJS.Timeout);
  };
  Object.assign(globalThis, {
    setTimeout: patchedSet,
    setInterval: patchedEvery,
    clearTimeout: patchedClear,
    clearInterval: patchedClear,
  });
  Date.now = () => (inside.getStore() === undefined ? real.now() : now);
  const realNow = performance.now.bind(performance);
  performance.now = () => (inside.getStore() === undefined ? realNow() : now);
}
