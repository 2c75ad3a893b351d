/** What every program of this folder needs: to stop in order, to survive peers, to speak plainly. */
import { join, resolve } from 'node:path';
import { openDataFolder, type DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem, kindOfError, Problem } from '#storage/node/problem.ts';
import { openLog, type Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';

/** What has to end with the program, in the order in which it was begun. */
export type Stops = (() => Promise<void> | void)[];

export interface Program {
  readonly folder: DataFolder;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly stops: Stops;
  readonly stop: ReturnType<typeof createStop>;
}

/** Ctrl-C ends within 10 s: what has not ended by then is cut off. Facts are on disk already. */
const stopWithinMs = 8_000;
export const wrongUse = 2;

const source = resolve(import.meta.dirname, '..');

/** One line for the person who waits; results go to stdout, this to stderr. */
export const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** How every program begins: its folder, held alone; its log; its numbers. */
export function startProgram(data: string, { fresh }: { readonly fresh: boolean }): Program {
  const stops: Stops = [];
  const stop = createStop(stops);
  const folder = openDataFolder(data, { fresh });
  stops.push(folder.close);
  const log = openLog(join(folder.path, 'log'));
  stops.push(log.close);
  surviveOthers(log);
  const metrics = createMetrics();
  stops.push(metrics.stop);
  return { folder, log, metrics, stops, stop };
}

const numbersEveryMs = 30_000;

/** What `/metrics` would say goes to the log too: whoever looks later sees how it went. */
export function logNumbers({ log, metrics, stops }: Program, label: string): void {
  const timer = setInterval(
    () => log.write({ event: 'numbers', node: label, numbers: metrics.toNumbers() }),
    numbersEveryMs,
  );
  stops.push(() => clearInterval(timer));
}

/** Ends everything in reverse order, once, however it was asked for. */
function createStop(stops: Stops) {
  let asked: number | undefined;
  const stop = async (): Promise<void> => {
    const cut = setTimeout(() => process.exit(0), stopWithinMs);
    for (const each of stops.splice(0).reverse()) {
      try {
        await each();
      } catch (error) {
        progress(`While stopping: ${String(error)}`);
      }
    }
    clearTimeout(cut);
    // Native WebRTC may hold the process; everything of ours has ended.
    process.exit(0);
  };
  const onSignal = (): void => {
    // A terminal signals the whole group and npm passes it on: the same wish twice within 2 s.
    if (asked !== undefined) {
      if (Date.now() - asked > 2_000) process.exit(130);
      return;
    }
    asked = Date.now();
    progress('Stopping …');
    void stop();
  };
  let started = false;
  const early = (): never => process.exit(130); // Nothing is served yet; facts need no farewell.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (started ? onSignal() : early()));
  }
  // Whoever started us is gone: nobody could stop us by Ctrl-C any more.
  process.on('disconnect', () => (started ? onSignal() : early()));
  return {
    whenAsked: (): void => {
      started = true;
    },
  };
}

/**
 * A peer must not end the program by an error that a library forgot to catch. Our own errors do
 * end it: facts are on disk before anything is said, so a restart is always safe.
 */
function surviveOthers(log: Log): void {
  process.on('unhandledRejection', (error) => {
    log.write({ event: 'unhandledRejection', error: stackOf(error) });
  });
  process.on('uncaughtException', (error) => {
    log.write({ event: 'uncaughtException', error: stackOf(error) });
    if (!stackOf(error).includes(source)) return;
    progress(stackOf(error));
    process.exit(1);
  });
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

/** The world's refusals become one line; our own bugs keep their stack. */
export function asProblem(error: unknown, path: string): Problem | undefined {
  if (error instanceof Problem) {
    // Storage speaks of one file; the person cares for the folder.
    const own = error.message.includes('--') || error.message.includes('SAFE_KEY_FILE');
    return own ? error : folderProblem(error.kind, path);
  }
  const kind = kindOfError(error);
  return kind === 'full' || kind === 'notPermitted' ? folderProblem(kind, path) : undefined;
}
