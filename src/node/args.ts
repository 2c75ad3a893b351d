/** The arguments of the local network: `npm start -- --port 4200 --data DIR --adults 6 --fresh`. */
import { resolve } from 'node:path';
import { err, ok, type Result } from '#core/result.ts';
import { copiesWanted } from '#roles/placement.ts';
import { parseHostNames, wrongHostName } from './http-origin.ts';

export interface Arguments {
  /** Where the PWA, the network file and the bootstrap's WebSocket are served. */
  readonly port: number;
  readonly data: string;
  /** How many adults a new network gets; an existing one keeps its own number. */
  readonly adults: number;
  readonly fresh: boolean;
  /** Offers `POST /test/adult` to this machine: end-to-end tests only. */
  readonly testControls: boolean;
  /** Names under which a reverse proxy offers the port. */
  readonly hostNames: readonly string[];
}

export const usage =
  'npm start -- [--port 4100] [--data .data/] [--adults 6] [--fresh] [--host-names NAME,...]\n' +
  '  --port    serves the app, /network.json and the bootstrap node there\n' +
  '  --data    the folder that keeps the network\n' +
  '  --adults  nodes that store, when the network is new (4 to 64)\n' +
  '  --fresh   starts a new network; the old folder is kept beside it\n' +
  '  --host-names  names under which a reverse proxy offers the port: safe.example,other.example';

const maxAdults = 64;

/** @returns what was asked for, or one line that says what is wrong with it. */
export function parseArguments(args: readonly string[], cwd: string): Result<Arguments, string> {
  let port = 4100;
  let data = '.data';
  let adults = 6;
  let fresh = false;
  let testControls = false;
  let hostNames: readonly string[] = [];
  for (let at = 0; at < args.length; at++) {
    const [name = '', inline] = (args[at] ?? '').split(/=(.*)/s);
    const value = (): string => inline ?? args[++at] ?? '';
    switch (name) {
      case '--port': {
        const text = value();
        port = Number(text);
        if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
          return err(`--port takes a number from 1 to 65535, not "${text}".`);
        }
        break;
      }
      case '--data':
        data = value();
        if (data === '') return err('--data takes a folder.');
        break;
      case '--adults': {
        const text = value();
        adults = Number(text);
        if (!/^\d+$/.test(text) || adults < copiesWanted || adults > maxAdults) {
          return err(
            `--adults takes a number from ${copiesWanted} to ${maxAdults}, not "${text}".`,
          );
        }
        break;
      }
      case '--fresh':
        fresh = true;
        break;
      case '--host-names': {
        const parsed = parseHostNames(value());
        if ('wrong' in parsed) return err(wrongHostName(parsed.wrong));
        hostNames = parsed.names;
        break;
      }
      case '--test-controls':
        testControls = true;
        break;
      default:
        return err(`"${name}" is not known. It takes:\n${usage}`);
    }
  }
  return ok({ port, data: resolve(cwd, data), adults, fresh, testControls, hostNames });
}
