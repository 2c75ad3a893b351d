/** Options, help and shell completion of the programs, by yargs. Values are checked by each program. */
import yargs, { type Yargs, type YargsArguments } from 'yargs';
import { err, ok, type Result } from '#core/result.ts';
import { isIP } from 'node:net';
import { invalidHostNameMessage, parseHostNames } from '../http/http-origin.ts';

/** What a program prints instead of running: its help, or a script for the shell. */
export interface Printed {
  readonly kind: 'print';
  readonly text: string;
}

export interface ParsedLine {
  readonly kind: 'parsed';
  readonly command: readonly string[];
  /** The value of an option; null when it was not given. */
  readonly text: (option: string) => string | null;
  readonly isGiven: (option: string) => boolean;
}

const completionFlag = '--get-yargs-completions';

export const maxPort = 65_535;

/** An option with a value. */
export const valueOption = (describe: string) =>
  ({ type: 'string', requiresArg: true, describe }) as const;
export const flagOption = (describe: string) => ({ type: 'boolean', describe }) as const;

/** `args`: the shell's, for its completion. */
export const commandLine = (name: string, args: readonly string[], usage: string): Yargs =>
  yargs(args)
    .scriptName(name)
    .usage(usage)
    .locale('en')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
    })
    .wrap(100)
    .strict()
    .help()
    .version(false)
    .exitProcess(false)
    .showHelpOnFail(false);

/** Errors: one line that states the mistake and the next step. */
export async function parseLine(
  cli: Yargs,
  args: readonly string[],
  seeHelp: string,
): Promise<Result<ParsedLine | Printed, string>> {
  if (args[0] === completionFlag) {
    await cli.parse(args); // It prints the words itself.
    return ok({ kind: 'print', text: '' });
  }
  if (args.includes('--')) return err(`-- is not used. ${seeHelp}`);
  let outcome: Result<ParsedLine | Printed, string> = err(seeHelp);
  cli.parse(args, {}, (error, argv, output) => {
    if (error) outcome = err(`${error.message.replaceAll('\n', ' ')}. ${seeHelp}`);
    else if (output !== '') outcome = ok({ kind: 'print', text: `${output}\n` });
    else outcome = misusedOption(argv, seeHelp) ?? ok(toParsed(argv));
  });
  return outcome;
}

function misusedOption(argv: YargsArguments, seeHelp: string): Result<never, string> | null {
  // An unset variable of a shell: as a folder it would mean the current one.
  const empty = Object.entries(argv).find(([, value]) => value === '');
  if (empty !== undefined) return err(`--${empty[0]} needs a value. ${seeHelp}`);
  const repeated = Object.entries(argv).find(
    ([name, value]) => name !== '_' && Array.isArray(value),
  );
  return repeated === undefined ? null : err(`Give --${repeated[0]} once. ${seeHelp}`);
}

const toParsed = (argv: YargsArguments): ParsedLine => ({
  kind: 'parsed',
  command: argv._.map(String),
  text: (option) => {
    const value = argv[option];
    return typeof value === 'string' ? value : null;
  },
  isGiven: (option) => argv[option] === true,
});

/** Errors: one line about the range. */
export function numberIn(
  { text }: ParsedLine,
  name: string,
  min: number,
  max: number,
): Result<number | null, string> {
  const given = text(name);
  if (given === null) return ok(null);
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= min && value <= max) return ok(value);
  const range = min === max ? `only ${min}` : `a number from ${min} to ${max}`;
  return err(`--${name} takes ${range}, not "${given}".`);
}

export function hostNamesIn({ text }: ParsedLine): Result<readonly string[], string> {
  const given = text('host-names');
  const hosts = given === null ? { names: [] } : parseHostNames(given);
  return 'wrong' in hosts ? err(invalidHostNameMessage(hosts.wrong)) : ok(hosts.names);
}

export function listenAddressIn({ text }: ParsedLine): Result<string, string> {
  const listen = text('listen') ?? '127.0.0.1';
  return isIP(listen) === 0
    ? err(`--listen takes an address of this machine, such as 0.0.0.0, not "${listen}".`)
    : ok(listen);
}
