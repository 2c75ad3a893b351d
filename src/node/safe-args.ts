/** The arguments of `safe`: one command, then options; every mistake is one line with a next step. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { EMPTY_PREFIX, parsePrefix, type Prefix } from '#address/prefix.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { maxFoundingAdults } from '#roles/wire/lobby.ts';
import { parseHostNames, wrongHostName } from './http-origin.ts';

export type Command =
  | {
      readonly kind: 'node';
      readonly data: string;
      /** Null for a node that comes back: its folder knows where. */
      readonly join: string | null;
      readonly listen: string;
      /** TCP; null takes the remembered port or a free one. */
      readonly port: number | null;
      readonly dataLimitBytes: number;
      readonly joinPrefix: Prefix;
      readonly metricsPort: number | null;
      /** Names under which a reverse proxy offers that port. */
      readonly hostNames: readonly string[];
      readonly testControls: boolean;
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
      readonly testControls: boolean;
    }
  | {
      readonly kind: 'status';
      readonly json: boolean;
      readonly join: string | null;
      readonly data: string | null;
    }
  | { readonly kind: 'help' };

export const usage = `safe — a node of a network that governs itself

  safe network create --data DIR [--elders 7] [--adults 0] [--port 4100] [--listen 127.0.0.1] [--name NAME]
      Makes a new network: waits for its founders, then serves /network.json on the port.
      --adults   members besides the seven elders that are named when it is made
      --listen   the address on which nodes reach it; the port is this machine's alone
      --host-names  names under which a reverse proxy offers that port: safe.example,other.example

  safe node --data DIR --join MULTIADDR
      Runs one node. Started again on its folder it comes back as itself, without --join.
      --join         where to come in: the line that "safe network create" printed, or any node
      --listen       the address to listen on (127.0.0.1)
      --port         the TCP port (a free one, remembered)
      --data-limit   how much it stores for others: 64MiB, 2GiB (1GiB)
      --join-prefix  the first bits of its name, to come to one section: 01
      --metrics-port counters at http://localhost:PORT/metrics
      --host-names   names under which a reverse proxy offers them

  safe network status [--json] (--join MULTIADDR | --data DIR)
      Shows the sections, their elders, ages and keys, as at least two nodes tell and prove it.

  safe --help`;

const maxPort = 65_535;
const defaultLimitBytes = 1024 ** 3;
const units: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

const known: Readonly<Record<string, readonly string[]>> = {
  node: [
    'data',
    'join',
    'listen',
    'port',
    'data-limit',
    'join-prefix',
    'metrics-port',
    'host-names',
  ],
  create: ['data', 'elders', 'adults', 'port', 'listen', 'name', 'host-names'],
  status: ['join', 'data'],
};
const flags = ['json', 'test-controls', 'help'];
const seeHelp = 'See "safe --help".';

/** @returns what was asked for, or one line that says what is wrong and what to do. */
export function parseCommand(args: readonly string[], cwd: string): Result<Command, string> {
  const words = args.filter((each, at) => !each.startsWith('-') && !isValue(args, at));
  if (args.length === 0 || args.includes('--help') || words[0] === 'help') {
    return ok({ kind: 'help' });
  }
  const kind = words[0] === 'node' ? 'node' : words[0] === 'network' ? words[1] : undefined;
  if (kind === undefined || known[kind] === undefined) {
    return err(`"safe ${words.join(' ')}" is not a command. ${seeHelp}`);
  }
  const extra = words[kind === 'node' ? 1 : 2];
  if (extra !== undefined) return err(`"${extra}" is one word too many. ${seeHelp}`);
  const options = readOptions(args, kind);
  return options.ok ? toCommand(kind, options.value, cwd) : options;
}

const isValue = (args: readonly string[], at: number): boolean => {
  const before = args[at - 1] ?? '';
  return before.startsWith('--') && !before.includes('=') && !flags.includes(before.slice(2));
};

function readOptions(
  args: readonly string[],
  kind: string,
): Result<ReadonlyMap<string, string>, string> {
  const options = new Map<string, string>();
  for (let at = 0; at < args.length; at++) {
    const [name = '', inline] = (args[at] ?? '').split(/=(.*)/s);
    if (!name.startsWith('-') || isValue(args, at)) continue;
    const option = name.slice(2);
    if (flags.includes(option)) {
      options.set(option, 'yes');
      continue;
    }
    if (known[kind]?.includes(option) !== true) {
      return err(`"${name}" is not an option of this command. ${seeHelp}`);
    }
    const value = inline ?? args[++at] ?? '';
    if (value === '' || value.startsWith('--')) return err(`${name} needs a value. ${seeHelp}`);
    options.set(option, value);
  }
  return ok(options);
}

function toCommand(
  kind: string,
  options: ReadonlyMap<string, string>,
  cwd: string,
): Result<Command, string> {
  const data = options.get('data');
  const testControls = options.has('test-controls');
  if (kind === 'status') {
    const join = options.get('join') ?? null;
    if (join === null && data === undefined) {
      return err('Say which network: --join MULTIADDR, or --data DIR of a node of yours.');
    }
    const folder = data === undefined ? null : resolve(cwd, data);
    return ok({ kind: 'status', json: options.has('json'), join, data: folder });
  }
  if (data === undefined) return err('Say where to keep things: --data DIR.');
  const folder = resolve(cwd, data);
  const port = numberIn(options, 'port', 1, maxPort);
  if (!port.ok) return port;
  const listen = options.get('listen') ?? '127.0.0.1';
  if (isIP(listen) === 0) {
    return err(`--listen takes an address of this machine, such as 0.0.0.0, not "${listen}".`);
  }

  const named = options.get('host-names');
  const hosts = named === undefined ? { names: [] } : parseHostNames(named);
  if ('wrong' in hosts) return err(wrongHostName(hosts.wrong));
  const hostNames = hosts.names;

  if (kind === 'create') {
    const elders = numberIn(options, 'elders', ELDER_COUNT, ELDER_COUNT);
    if (!elders.ok) return elders;
    const adults = numberIn(options, 'adults', 0, maxFoundingAdults);
    if (!adults.ok) return adults;
    const name = options.get('name') ?? null;
    if (name !== null && !/^[a-z0-9][a-z0-9-]{0,38}$/.test(name)) {
      return err(
        `--name takes 1 to 39 small letters, digits and hyphens, not "${name}": choose another.`,
      );
    }
    return ok({
      kind: 'create',
      data: folder,
      elders: elders.value ?? ELDER_COUNT,
      adults: adults.value ?? 0,
      port: port.value ?? 4100,
      listen,
      name,
      hostNames,
      testControls,
    });
  }

  const metricsPort = numberIn(options, 'metrics-port', 1, maxPort);
  if (!metricsPort.ok) return metricsPort;
  const limit = bytesIn(options.get('data-limit'));
  if (limit === undefined) {
    return err(
      `--data-limit takes a size such as 64MiB or 2GiB, not "${options.get('data-limit') ?? ''}".`,
    );
  }
  const joinPrefix = parsePrefix(options.get('join-prefix') ?? '');
  if (joinPrefix === undefined) {
    return err(
      `--join-prefix takes the first bits of a name such as 01, not "${options.get('join-prefix') ?? ''}".`,
    );
  }
  return ok({
    kind: 'node',
    data: folder,
    join: options.get('join') ?? null,
    listen,
    port: port.value,
    dataLimitBytes: limit,
    joinPrefix: joinPrefix.bitCount === 0 ? EMPTY_PREFIX : joinPrefix,
    metricsPort: metricsPort.value,
    hostNames,
    testControls,
  });
}

function numberIn(
  options: ReadonlyMap<string, string>,
  name: string,
  min: number,
  max: number,
): Result<number | null, string> {
  const text = options.get(name);
  if (text === undefined) return ok(null);
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return ok(value);
  const range = min === max ? `only ${min}` : `a number from ${min} to ${max}`;
  return err(`--${name} takes ${range}, not "${text}".`);
}

function bytesIn(text: string | undefined): number | undefined {
  if (text === undefined) return defaultLimitBytes;
  const [, number = '', unit = 'B'] = /^(\d{1,9})\s?(B|KiB|MiB|GiB|TiB)?$/.exec(text) ?? [];
  const bytes = number === '' ? 0 : Number(number) * (units[unit] ?? 0);
  return bytes > 0 ? bytes : undefined;
}
