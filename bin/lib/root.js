/** The checkout's path, and the output of these programs: progress on stderr, results on stdout. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** One line of progress. */
export const showProgress = (line) => process.stderr.write(`${line}\n`);

/** A failure that a person can fix: one line, no stack. */
export class Stop extends Error {
  constructor(line, exitCode = 1) {
    super(line);
    this.exitCode = exitCode;
  }
}

/** Runs a program's main function and turns its outcome into an exit code. */
export function main(run) {
  run(process.argv.slice(2)).then(
    (code) => process.exit(code ?? 0),
    (error) => {
      showProgress(error instanceof Stop ? error.message : String(error?.stack ?? error));
      process.exit(error instanceof Stop ? error.exitCode : 1);
    },
  );
}
