/** The command line of `safe`: one command, then options; every mistake gets one line with a next step. */
import { resolve } from 'node:path';
import { EMPTY_PREFIX, parsePrefix, type Prefix } from '#address/prefix.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { maxFoundingAdults } from '#roles/wire/lobby.ts';
import {
  commandLine,
  flagOption,
  hostNamesIn,
  listenAddressIn,
  maxPort,
  numberIn,
  parseLine,
  valueOption,
  type ParsedLine,
  type Printed,
} from './command-line.ts';

export type Command =
  | {
      readonly kind: 'node';
      readonly data: string;
      /** Null for a node that returns: its folder has the join point. */
      readonly join: string | null;
      readonly listen: string;
      /** TCP; null takes the saved port or a free one. */
      readonly port: number | null;
      readonly dataLimitBytes: number;
      readonly joinPrefix: Prefix;
      readonly metricsPort: number | null;
      /** Names under which a reverse proxy offers that port. */
      readonly hostNames: readonly string[];
    }
  | {
      readonly kind: 'create';
      readonly data: string;
      readonly elders: number;
      readonly adults: number;
      readonly port: number;
      readonly listen: string;
      readonly name: string | null;
      readonly hostNames: readonly string[];
    }
  | {
      readonly kind: 'status';
      readonly json: boolean;
      readonly join: string | null;
      readonly data: string | null;
    };

const defaultLimitBytes = 1024 ** 3;
const units: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

const seeHelp = 'See "safe --help".';
const hostNames = valueOption('Names under which a reverse proxy offers that port: NAME,NAME');

const nodeOptions = {
  data: valueOption('The folder of the node. Started again on it, it is the same node'),
  join: valueOption('The join point: the line that "safe network create" printed, or any node'),
  listen: valueOption('The address to listen on [127.0.0.1]'),
  port: valueOption('The TCP port [a free one, remembered]'),
  'data-limit': valueOption('How much it stores for others: 64MiB, 2GiB [1GiB]'),
  'join-prefix': valueOption('The first bits of its name, to come to one section: 01'),
  'metrics-port': valueOption('Counters at http://localhost:PORT/metrics'),
  'host-names': hostNames,
};

const createOptions = {
  data: valueOption('The folder of the network'),
  elders: valueOption(`The number of elders; always ${ELDER_COUNT}`),
  adults: valueOption('Members besides the seven elders [0]'),
  port: valueOption('Serves the app and /network.json; for this machine only [4100]'),
  listen: valueOption('The address on which nodes reach it [127.0.0.1]'),
  name: valueOption('The name of the network [a random one]'),
  'host-names': hostNames,
};

const statusOptions = {
  json: flagOption('Prints JSON'),
  join: valueOption('The address of any node of the network'),
  data: valueOption('The folder of a node of yours'),
};

const safeLine = (args: readonly string[]) =>
  commandLine(
    'safe',
    args,
    '$0 — a node of a network that governs itself\n\n$0 <command> [options]',
  )
    .command('node', 'Run one node', (line) =>
      line.options(nodeOptions).example([
        ['$0 node --data ~/node --join /ip4/…/p2p/…', 'Join a network'],
        ['$0 node --data ~/node', 'Start the same node again'],
      ]),
    )
    .command('network', 'Create a network, or show one', (line) =>
      line
        .command('create', 'Wait for founders, make a network with them and serve it', (create) =>
          create
            .options(createOptions)
            .example([
              [
                '$0 network create --data ~/network --adults 3',
                'A network of seven elders and three adults',
              ],
            ]),
        )
        .command(
          'status',
          'Show the sections, as at least two nodes report and prove them',
          (status) =>
            status
              .options(statusOptions)
              .example([['$0 network status --data ~/node --json', 'As JSON']]),
        )
        .demandCommand(1, 1, 'Give a command: create or status', 'One word too many'),
    )
    .completion(
      'completion',
      'Print a script that completes commands: safe completion >> ~/.bashrc',
    )
    .demandCommand(1, 2, 'Give a command', 'One word too many');

/** Errors: one line that states the mistake and the next step. */
export async function parseCommand(
  args: readonly string[],
  cwd: string,
): Promise<Result<Command | Printed, string>> {
  const asksForHelp = args.length === 0 || args[0] === 'help';
  const line = await parseLine(safeLine(args), asksForHelp ? ['--help'] : args, seeHelp);
  if (!line.ok || line.value.kind === 'print') return line as Result<Printed, string>;
  const { command } = line.value;
  switch (command.join(' ')) {
    case 'node':
      return toNode(line.value, cwd);
    case 'network create':
      return toCreate(line.value, cwd);
    case 'network status':
      return toStatus(line.value, cwd);
    default:
      return err(`"safe ${command.join(' ')}" is not a command. ${seeHelp}`);
  }
}

function toStatus(line: ParsedLine, cwd: string): Result<Command, string> {
  const [join, data] = [line.text('join'), line.text('data')];
  if (join === null && data === null) {
    return err('Name the network: --join MULTIADDR, or --data DIR of a node of yours.');
  }
  const folder = data === null ? null : resolve(cwd, data);
  return ok({ kind: 'status', json: line.isGiven('json'), join, data: folder });
}

/** The options that a node and a bootstrap node share. */
function toListener(line: ParsedLine, cwd: string) {
  const data = line.text('data');
  if (data === null) return err('Give a folder for its data: --data DIR.');
  const port = numberIn(line, 'port', 1, maxPort);
  if (!port.ok) return port;
  const listen = listenAddressIn(line);
  if (!listen.ok) return listen;
  const names = hostNamesIn(line);
  if (!names.ok) return names;
  const [folder, hostNames] = [resolve(cwd, data), names.value];
  return ok({ data: folder, port: port.value, listen: listen.value, hostNames });
}

function toCreate(line: ParsedLine, cwd: string): Result<Command, string> {
  const listener = toListener(line, cwd);
  if (!listener.ok) return listener;
  const elders = numberIn(line, 'elders', ELDER_COUNT, ELDER_COUNT);
  if (!elders.ok) return elders;
  const adults = numberIn(line, 'adults', 0, maxFoundingAdults);
  if (!adults.ok) return adults;
  const name = line.text('name');
  if (name !== null && !/^[a-z0-9][a-z0-9-]{0,38}$/.test(name)) {
    return err(
      `--name takes 1 to 39 small letters, digits and hyphens, not "${name}": choose another.`,
    );
  }
  return ok({
    ...listener.value,
    kind: 'create',
    port: listener.value.port ?? 4100,
    elders: elders.value ?? ELDER_COUNT,
    adults: adults.value ?? 0,
    name,
  });
}

function toNode(line: ParsedLine, cwd: string): Result<Command, string> {
  const listener = toListener(line, cwd);
  if (!listener.ok) return listener;
  const metricsPort = numberIn(line, 'metrics-port', 1, maxPort);
  if (!metricsPort.ok) return metricsPort;
  const limit = line.text('data-limit');
  const dataLimitBytes = bytesIn(limit);
  if (dataLimitBytes === undefined) {
    return err(`--data-limit takes a size such as 64MiB or 2GiB, not "${limit ?? ''}".`);
  }
  const bits = line.text('join-prefix') ?? '';
  const joinPrefix = parsePrefix(bits);
  if (joinPrefix === undefined) {
    return err(`--join-prefix takes the first bits of a name such as 01, not "${bits}".`);
  }
  return ok({
    ...listener.value,
    kind: 'node',
    join: line.text('join'),
    dataLimitBytes,
    joinPrefix: joinPrefix.bitCount === 0 ? EMPTY_PREFIX : joinPrefix,
    metricsPort: metricsPort.value,
  });
}

function bytesIn(text: string | null): number | undefined {
  if (text === null) return defaultLimitBytes;
  const [, number = '', unit = 'B'] = /^(\d{1,9})\s?(B|KiB|MiB|GiB|TiB)?$/.exec(text) ?? [];
  const bytes = number === '' ? 0 : Number(number) * (units[unit] ?? 0);
  return bytes > 0 ? bytes : undefined;
}
