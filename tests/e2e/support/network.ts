/** A real local network for a test: real processes, real ports, a data folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');

export interface TestNetwork {
  readonly url: string;
  readonly port: number;
  readonly data: string;
  readonly pid: () => number;
  /** Ends the network as Ctrl-C does; resolves with the milliseconds it took. */
  readonly stop: () => Promise<number>;
  /** `kill -9`: no farewell. */
  readonly kill: () => Promise<void>;
  /** Starts again with the same data folder and port. */
  readonly restart: () => Promise<void>;
  readonly adult: (index: number, mode: 'ok' | 'off' | 'lie') => Promise<void>;
  /** All elders answer REGISTER with "busy" while this is off. */
  readonly registering: (on: boolean) => Promise<void>;
  /** In use after a collection. */
  readonly memory: () => Promise<{ readonly bytes: number; readonly pid: number }>;
  readonly log: () => string;
  readonly remove: () => void;
}

export async function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolvePort(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

export interface NetworkOptions {
  readonly port?: number;
  readonly data?: string;
  readonly adults?: number;
  /** What to run instead of the network's own program: one that runs it and adds to it. */
  readonly program?: string;
  /** Arguments of Node.js itself. */
  readonly nodeArguments?: readonly string[];
  /** A network of its own, born now, and not a copy of the one that a run of tests shares. */
  readonly isOwn?: boolean;
}

/** Where a run of tests keeps the network that most of them begin with a copy of (nursery.ts). */
export const nurseryVariable = 'SAFE_TEST_NURSERY';

/**
 * A network that has just been born, in a folder of its own. A birth takes the time of a whole test
 * file, so a run of tests gives birth once and copies the folder; `start.test.ts` tests births.
 */
async function newbornFolder(options: NetworkOptions): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'safe-e2e-'));
  const nursery = process.env[nurseryVariable];
  const isUsual = options.adults === undefined && options.isOwn !== true;
  if (nursery === undefined || !isUsual) return folder;
  const born = join(nursery, 'born');
  if (!existsSync(born)) {
    const data = join(nursery, 'being-born');
    await (await startNetwork({ data })).stop();
    renameSync(data, born);
  }
  cpSync(born, folder, { recursive: true, preserveTimestamps: true });
  return folder;
}

export async function startNetwork(options: NetworkOptions = {}): Promise<TestNetwork> {
  const port = options.port ?? (await freePort());
  const data = options.data ?? (await newbornFolder(options));
  const program = options.program ?? join(root, 'src/node/main.ts');
  let child: ChildProcess;
  let log = '';

  const begin = (): Promise<void> =>
    new Promise((ready, reject) => {
      const args = ['--port', `${port}`, '--data', data, '--adults', `${options.adults ?? 6}`];
      // The program itself, not its starter: a test may kill -9 it and mean the network.
      child = spawn(
        process.execPath,
        [...(options.nodeArguments ?? []), program, ...args, '--test-controls'],
        {
          cwd: root,
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      const timer = setTimeout(
        () => reject(new Error(`the network did not start:\n${log}`)),
        170_000,
      );
      child.stdout?.on('data', (text: Buffer) => {
        log += text.toString();
        if (!text.toString().includes('Safe is ready')) return;
        clearTimeout(timer);
        ready();
      });
      child.stderr?.on('data', (text: Buffer) => {
        log += text.toString();
      });
      child.on('exit', (code) => reject(new Error(`the network ended with ${code}:\n${log}`)));
    });

  const ended = (): Promise<void> =>
    new Promise((gone) => {
      if (child.exitCode !== null || child.signalCode !== null) gone();
      else child.once('exit', () => gone());
    });

  const turn = async (name: string, body: object): Promise<unknown> => {
    const answer = await fetch(`http://localhost:${port}/test/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`the switch answered ${answer.status}`);
    return answer.json();
  };

  await begin();
  return {
    url: `http://localhost:${port}`,
    port,
    data,
    pid: () => child.pid ?? 0,
    stop: async () => {
      const startedMs = performance.now();
      child.kill('SIGINT');
      await ended();
      return performance.now() - startedMs;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended();
    },
    restart: begin,
    adult: async (index, mode) => void (await turn('adult', { index, mode })),
    registering: async (on) => void (await turn('elders', { registering: on })),
    memory: async () => (await turn('memory', {})) as { bytes: number; pid: number },
    log: () => log,
    remove: () => rmSync(data, { recursive: true, force: true }),
  };
}
