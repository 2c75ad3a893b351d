/** The part of yargs that the programs use: the package has no types for Node. */
declare module 'yargs' {
  export interface YargsOption {
    readonly type: 'string' | 'boolean';
    readonly describe: string;
    readonly requiresArg?: boolean;
  }

  export interface YargsArguments {
    /** The words that are not options: the command. */
    readonly _: readonly (string | number)[];
    readonly [option: string]: unknown;
  }

  export interface Yargs {
    readonly scriptName: (name: string) => Yargs;
    readonly usage: (text: string) => Yargs;
    readonly locale: (language: string) => Yargs;
    readonly command: (
      name: string,
      describe: string,
      builder: (yargs: Yargs) => Yargs,
      handler?: () => void,
    ) => Yargs;
    readonly options: (options: Readonly<Record<string, YargsOption>>) => Yargs;
    readonly example: (
      examples: readonly (readonly [command: string, describe: string])[],
    ) => Yargs;
    readonly demandCommand: (min: number, max: number, few: string, many: string) => Yargs;
    readonly strict: () => Yargs;
    readonly help: () => Yargs;
    readonly version: (enabled: false) => Yargs;
    readonly wrap: (columns: number) => Yargs;
    readonly completion: (command: string, describe: string) => Yargs;
    readonly exitProcess: (enabled: false) => Yargs;
    readonly showHelpOnFail: (enabled: false) => Yargs;
    readonly parserConfiguration: (settings: Readonly<Record<string, boolean>>) => Yargs;
    readonly parse: (
      args: readonly string[],
      context?: object,
      done?: (error: Error | null | undefined, argv: YargsArguments, output: string) => void,
    ) => unknown;
  }

  export default function yargs(args?: readonly string[]): Yargs;
}
