/** The command line of the local network: `npm start -- --port 4200 --data DIR --adults 6 --fresh`. */
import { resolve } from 'node:path';
import { ok, type Result } from '#core/result.ts';
import { copiesWanted } from '#roles/holder-candidates.ts';
import {
  commandLine,
  flagOption,
  hostNamesIn,
  maxPort,
  numberIn,
  parseLine,
  valueOption,
  type Printed,
} from './command-line.ts';

export interface LocalNetworkArguments {
  readonly kind: 'start';
  /** The port of the app, the network file and the bootstrap's WebSocket. */
  readonly port: number;
  readonly data: string;
  /** Adults of a new network; an existing one keeps its own number. */
  readonly adults: number;
  /** `--adults` was given. */
  readonly adultsGiven: boolean;
  readonly fresh: boolean;
  /** Names under which a reverse proxy offers the port. */
  readonly hostNames: readonly string[];
}

const defaultAdults = 6;
const maxAdults = 64;

const startLine = (args: readonly string[]) =>
  commandLine(
    'npm start --',
    args,
    'npm start -- [options]\n\nRuns a whole network on this machine.',
  )
    .options({
      port: valueOption('Serves the app, /network.json and the bootstrap node [4100]'),
      data: valueOption('The folder that keeps the network [.data]'),
      adults: valueOption(
        `Nodes that store, when the network is new: ${copiesWanted} to ${maxAdults} [${defaultAdults}]`,
      ),
      fresh: flagOption('Starts a new network; the old folder is kept beside it'),
      'host-names': valueOption('Names under which a reverse proxy offers the port: NAME,NAME'),
    })
    .example([['$0 --port 4200 --fresh', 'A new network, at another port']]);

/** Errors: one line about the wrong argument. */
export async function parseLocalArguments(
  args: readonly string[],
  cwd: string,
): Promise<Result<LocalNetworkArguments | Printed, string>> {
  const line = await parseLine(startLine(args), args, 'See "npm start -- --help".');
  if (!line.ok || line.value.kind === 'print') return line as Result<Printed, string>;
  const port = numberIn(line.value, 'port', 1, maxPort);
  if (!port.ok) return port;
  const adults = numberIn(line.value, 'adults', copiesWanted, maxAdults);
  if (!adults.ok) return adults;
  const hostNames = hostNamesIn(line.value);
  if (!hostNames.ok) return hostNames;
  return ok({
    kind: 'start',
    port: port.value ?? 4100,
    data: resolve(cwd, line.value.text('data') ?? '.data'),
    adults: adults.value ?? defaultAdults,
    adultsGiven: adults.value !== null,
    fresh: line.value.isGiven('fresh'),
    hostNames: hostNames.value,
  });
}
