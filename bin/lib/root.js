/** Where the checkout is, and how these programs speak: progress to stderr, results to stdout. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** One line of progress. */
export const say = (line) => process.stderr.write(`${line}\n`);

/** A failure a person can act on: one line, no stack. */
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
      say(error instanceof Stop ? error.message : String(error?.stack ?? error));
      process.exit(error instanceof Stop ? error.exitCode : 1);
    },
  );
}
