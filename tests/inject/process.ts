/**
 * Browser processes (a tab with its vault, one run of the service worker), and the boundaries at
 * which they wait: each crossing is one occurrence of a call site, and may fail.
 */
import { clock, currentKillable, runAs, meanwhile, working, type Killable } from './clock.ts';

export type Role = 'tab' | 'worker' | 'node' | 'client';

/** Instructions for a call site: run instead of, before or after its work. */
export interface Interruption {
  readonly instead?: () => unknown;
  readonly before?: () => Promise<void> | void;
  readonly after?: () => Promise<void> | void;
}

export interface Watcher {
  /** Called when a call site is reached; returns its interruption. */
  readonly reached: (process: Process, label: string, given: readonly unknown[]) => Interruption;
}

export class Process implements Killable {
  readonly role: Role;
  readonly device: unknown;
  readonly watcher: Watcher;
  readonly died: Promise<void>;
  /** Called when the process ends: frees its locks and ends its calls. */
  readonly atEnd: (() => void)[] = [];
  isDead = false;
  #end: () => void = () => undefined;

  constructor(role: Role, device: unknown, watcher: Watcher) {
    this.role = role;
    this.device = device;
    this.watcher = watcher;
    this.died = new Promise((end) => {
      this.#end = end;
    });
  }

  kill(): void {
    if (this.isDead) return;
    this.isDead = true;
    for (const end of this.atEnd) end();
    this.#end();
  }

  run<T>(body: () => T): T {
    return runAs(this, body);
  }
}

export const currentProcess = (): Process | undefined => {
  const killable = currentKillable();
  return killable instanceof Process ? killable : undefined;
};

export const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

/** One crossing of the boundary of the current process. */
export async function site<T>(
  label: string,
  work: () => Promise<T>,
  given: readonly unknown[] = [],
  isBusy = true,
): Promise<T> {
  const process = currentProcess();
  if (process === undefined) return work();
  if (process.isDead) return never();
  const { instead, before, after } = process.watcher.reached(process, label, given);
  if (before !== undefined) await meanwhile(before);
  if (process.isDead) return never();
  let result: T;
  if (instead === undefined) {
    // Another site may end the process during this work: the clock must not wait for it then.
    const died = process.died as Promise<never>;
    result = await (isBusy ? working(() => Promise.race([work(), died])) : work());
  } else result = (await instead()) as T;
  if (process.isDead) return never();
  if (after !== undefined) await meanwhile(after);
  return process.isDead ? never() : result;
}

/** Makes every method of a port a call site. */
export function atSites<Port extends object>(name: string, port: Port): Port {
  const methods = Object.entries(port) as [string, (...given: unknown[]) => Promise<unknown>][];
  return Object.fromEntries(
    methods.map(([method, call]) => [
      method,
      (...given: unknown[]) => site(`${name}.${method}`, () => call(...given), given),
    ]),
  ) as Port;
}

/** Web Locks of one browser; the end of a process frees its locks. */
export function createLocks(): <T>(name: string, body: () => Promise<T>) => Promise<T> {
  const queues = new Map<string, (() => void)[]>();
  const release = (name: string): void => {
    const next = queues.get(name)?.shift();
    if (next === undefined) queues.delete(name);
    else next();
  };
  const acquire = (name: string, holder: Process): Promise<() => void> =>
    new Promise((granted) => {
      let isFree = false;
      const free = (): void => {
        if (isFree) return;
        isFree = true;
        release(name);
      };
      const grant = (): void => {
        if (holder.isDead) release(name);
        else granted(free);
      };
      holder.atEnd.push(() => {
        if (held) free();
      });
      let held = false;
      const take = (): void => {
        held = true;
        grant();
      };
      const queue = queues.get(name);
      if (queue === undefined) {
        queues.set(name, []);
        take();
      } else queue.push(take);
    });
  return async (name, body) => {
    const holder = currentProcess();
    if (holder === undefined) throw new Error('a lock is held by a process');
    const label = `lock.${name.replace(/-[0-9a-f]{16,}$/, '')}`;
    // Waiting for the lock does not stop the clock: another process may hold it for any time.
    const free = await site(label, () => acquire(name, holder), [], false);
    try {
      return await body();
    } finally {
      if (!holder.isDead) free();
    }
  };
}

/** An uncaught exception of a node ends that node, not the loop. */
function installImmediates(): void {
  const real = globalThis.setImmediate;
  const patched = (fire: (...given: unknown[]) => void, ...given: unknown[]): unknown => {
    const process = currentProcess();
    if (process?.role !== 'node') return real(fire, ...given);
    return real(() => {
      try {
        fire(...given);
      } catch {
        process.kill();
      }
    });
  };
  Object.assign(globalThis, { setImmediate: patched });
}

/** Web Crypto and the reading of bodies and files count as work; sealing and opening are sites. */
export function installSites(): void {
  installImmediates();
  const subtle = Object.getPrototypeOf(crypto.subtle) as Record<string, unknown>;
  for (const name of [
    'encrypt',
    'decrypt',
    'digest',
    'importKey',
    'generateKey',
    'sign',
    'verify',
  ]) {
    const real = subtle[name] as (...given: unknown[]) => Promise<unknown>;
    subtle[name] = function (this: unknown, ...given: unknown[]): Promise<unknown> {
      const work = (): Promise<unknown> => real.apply(this, given);
      if (currentProcess() === undefined) return work();
      return name === 'encrypt' || name === 'decrypt' ? site(`seal.${name}`, work) : working(work);
    };
  }
  const bodies: readonly [object, readonly string[]][] = [
    [Response.prototype, ['arrayBuffer', 'json', 'text']],
    [Request.prototype, ['arrayBuffer', 'json', 'text']],
    [Blob.prototype, ['arrayBuffer']],
  ];
  for (const [prototype, names] of bodies) {
    const methods = prototype as Record<string, (...given: unknown[]) => Promise<unknown>>;
    for (const name of names) {
      const real = methods[name];
      if (real === undefined) continue;
      methods[name] = function (this: unknown, ...given: unknown[]): Promise<unknown> {
        const work = (): Promise<unknown> => real.apply(this, given);
        if (currentProcess() === undefined) return work();
        return this instanceof Blob ? site('file.read', work) : working(work);
      };
    }
  }
}

export const pause = (ms: number): Promise<void> => clock.wait(ms);
