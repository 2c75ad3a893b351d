/** What every program of this folder needs: to stop in order, to survive peers, to speak plainly. */
import { resolve } from 'node:path';
import { folderProblem, kindOfError, Problem } from '#storage/node/problem.ts';
import type { Log } from './log.ts';

/** Ctrl-C ends within 10 s: what has not ended by then is cut off. Facts are on disk already. */
const stopWithinMs = 8_000;
export const wrongUse = 2;

const source = resolve(import.meta.dirname, '..');

/** One line for the person who waits; results go to stdout, this to stderr. */
export const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Ends everything in reverse order, once, however it was asked for. */
export function createStop(stops: (() => Promise<void> | void)[]) {
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
export function surviveOthers(log: Log): void {
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
