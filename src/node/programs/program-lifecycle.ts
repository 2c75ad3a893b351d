/** Common to all programs of this folder: ordered shutdown, uncaught errors, and messages to people. */
import { join, resolve } from 'node:path';
import { openDataFolder, type DataFolder } from '#storage/node/data-folder.ts';
import {
  FileProblem,
  folderProblem,
  kindOfError,
  Problem,
  type StartOver,
} from '#storage/node/problem.ts';
import { MachineFailure } from '../machine-failure.ts';
import { openLog, type Log } from '../monitoring/log.ts';
import { createMetrics, type ProgramMetrics } from '../monitoring/metrics.ts';

/** Cleanups to run at the end of the program, in the order in which their parts started. */
export type Stops = (() => Promise<void> | void)[];

export interface Program {
  readonly folder: DataFolder;
  readonly log: Log;
  readonly metrics: ProgramMetrics;
  readonly stops: Stops;
  readonly stop: ReturnType<typeof createStop>;
}

/** Ctrl-C ends within 10 s: cleanups still running after this are cut off. Facts are on disk. */
const stopWithinMs = 8_000;
export const usageError = 2;

const ownSource = resolve(import.meta.dirname, '../..');

/** One line for the person who waits, on stderr; results go to stdout. */
export const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Starts a program: locks its folder, opens its log and metrics. */
export function startProgram(data: string, { fresh }: { readonly fresh: boolean }): Program {
  const stops: Stops = [];
  const stop = createStop(stops);
  const folder = openDataFolder(data, { fresh });
  stops.push(folder.close);
  const log = openLog(join(folder.path, 'log'));
  stops.push(log.close);
  logUncaughtErrors(log);
  const metrics = createMetrics();
  stops.push(metrics.stop);
  return { folder, log, metrics, stops, stop };
}

const metricsEveryMs = 30_000;

/** Writes the numbers of `/metrics` to the log, so that the course of a run can be read later. */
export function logMetrics({ log, metrics, stops }: Program, label: string): void {
  const timer = setInterval(
    () =>
      void metrics
        .toRecord()
        .then((values) => log.write({ event: 'metrics', node: label, metrics: values })),
    metricsEveryMs,
  );
  stops.push(() => clearInterval(timer));
}

/** Runs all cleanups in reverse order, once, whatever triggered it. */
function createStop(stops: Stops) {
  let asked: number | undefined;
  const stop = async (): Promise<void> => {
    const cutOff = setTimeout(() => process.exit(0), stopWithinMs);
    for (const each of stops.splice(0).reverse()) {
      try {
        await each();
      } catch (error) {
        progress(`While stopping: ${String(error)}`);
      }
    }
    clearTimeout(cutOff);
    // Native WebRTC may keep the process running; everything of ours has ended.
    process.exit(0);
  };
  const onSignal = (): void => {
    // A terminal signals the whole group and npm forwards it: one Ctrl-C arrives twice within 2 s.
    if (asked !== undefined) {
      if (Date.now() - asked > 2_000) process.exit(130);
      return;
    }
    asked = Date.now();
    progress('Stopping …');
    void stop();
  };
  let started = false;
  const exitEarly = (): never => process.exit(130); // Nothing is served yet, and facts are on disk.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (started ? onSignal() : exitEarly()));
  }
  // The parent process is gone: no Ctrl-C could reach this program any longer.
  process.on('disconnect', () => (started ? onSignal() : exitEarly()));
  return {
    enable: (): void => {
      started = true;
    },
  };
}

/**
 * An uncaught error of a library, caused by a peer, must not end the program. Our own errors, and a failure
 * of a machine whatever its cause, end it:
 * facts are on disk before messages are sent, so a restart is always safe.
 */
function logUncaughtErrors(log: Log): void {
  process.on('unhandledRejection', (error) => {
    log.write({ event: 'unhandledRejection', error: stackOf(error) });
  });
  process.on('uncaughtException', (error) => {
    log.write({ event: 'uncaughtException', error: stackOf(error) });
    if (!isOurs(error)) return;
    progress(stackOf(error));
    process.exit(1);
  });
}

/** Its causes do not count: a library may wrap an error of ours, such as the reason of an abort. */
const isOurs = (error: unknown): boolean =>
  error instanceof MachineFailure ||
  (error instanceof Error ? (error.stack ?? '') : String(error)).includes(ownSource);

function stackOf(error: unknown, causes = 4): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  if (error.cause === undefined || causes === 0) return stack;
  return `${stack}\nCaused by: ${stackOf(error.cause, causes - 1)}`;
}

/** An error of the environment becomes one line; a bug of ours keeps its stack. */
export function toProblem(error: unknown, path: string): Problem | undefined {
  if (error instanceof FileProblem) return folderProblem(error.kind, path);
  if (error instanceof Problem) return error;
  const kind = kindOfError(error);
  return kind === 'full' || kind === 'notPermitted' ? folderProblem(kind, path) : undefined;
}

/** Shows why a program could not start or go on, and ends it: code 2 for a problem, 1 for a bug. */
export function exitWith(error: unknown, path: string, way: StartOver): never {
  const problem = toProblem(error, path);
  progress(problem?.sentence(way) ?? stackOf(error));
  process.exit(problem === undefined ? 1 : usageError);
}
