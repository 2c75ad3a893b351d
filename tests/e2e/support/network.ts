/** A real local network for a test: real processes, real ports, its own data folder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AdultMode } from '../../support/faulty-adult.ts';

const root = resolve(import.meta.dirname, '../../..');

export interface TestNetwork {
  readonly url: string;
  readonly port: number;
  readonly data: string;
  readonly pid: () => number;
  /** Stops the network like Ctrl-C; resolves with the milliseconds it took. */
  readonly stop: () => Promise<number>;
  /** `kill -9`: no clean shutdown. */
  readonly kill: () => Promise<void>;
  /** Starts again with the same data folder and port. */
  readonly restart: () => Promise<void>;
  readonly adult: (index: number, mode: AdultMode) => Promise<void>;
  /** All elders answer REGISTER with "busy" while this is off. */
  readonly registering: (on: boolean) => Promise<void>;
  /** The same for COMMIT. */
  readonly committing: (on: boolean) => Promise<void>;
  /** Memory in use after a garbage collection. */
  readonly memory: () => Promise<{ readonly bytes: number; readonly pid: number }>;
  readonly log: () => string;
  readonly remove: () => void;
  /** Instead of `remove`, once it is stopped: later tests of the run copy it as the other network. */
  readonly handDown: () => void;
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
  /** A program to run instead of the network with switches for tests. */
  readonly program?: string;
  /** Arguments of Node.js itself. */
  readonly nodeArguments?: readonly string[];
  /**
   * Whose folder it is: a copy of the network shared by a test run (default), a copy of another
   * network, or none, so that the network is created now.
   */
  readonly origin?: 'shared' | 'other' | 'new';
}

/** The folder of the network that a test run copies (shared-network.ts). */
export const sharedNetworkVariable = 'SAFE_TEST_NURSERY';

/**
 * A folder for one test's network. Creating a network takes as long as a whole test file, so a test run
 * creates two and copies their folders; `start.test.ts` tests the creation.
 */
async function newNetworkFolder({ origin = 'shared', adults }: NetworkOptions): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'safe-e2e-'));
  const sharedFolder = process.env[sharedNetworkVariable];
  if (sharedFolder === undefined || adults !== undefined || origin === 'new') return folder;
  const created = join(sharedFolder, origin);
  if (!existsSync(created)) {
    const data = join(sharedFolder, `new ${origin}`);
    await (await startNetwork({ data })).stop();
    renameSync(data, created);
  }
  cpSync(created, folder, { recursive: true, preserveTimestamps: true });
  return folder;
}

export async function startNetwork(options: NetworkOptions = {}): Promise<TestNetwork> {
  const port = options.port ?? (await freePort());
  const data = options.data ?? (await newNetworkFolder(options));
  const program = options.program ?? join(import.meta.dirname, 'controlled-network.ts');
  let child: ChildProcess;
  let log = '';

  const begin = (): Promise<void> =>
    new Promise((ready, reject) => {
      const args = ['--port', `${port}`, '--data', data, '--adults', `${options.adults ?? 6}`];
      // The program itself, not its starter: kill -9 must hit the network.
      child = spawn(process.execPath, [...(options.nodeArguments ?? []), program, ...args], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const timer = setTimeout(
        () => reject(new Error(`the network did not start:\n${log}`)),
        280_000,
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

  const postControl = async (name: string, body: object): Promise<unknown> => {
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
    adult: async (index, mode) => void (await postControl('adult', { index, mode })),
    registering: async (on) => void (await postControl('elders', { registering: on })),
    committing: async (on) => void (await postControl('elders', { committing: on })),
    memory: async () => (await postControl('memory', {})) as { bytes: number; pid: number },
    log: () => log,
    remove: () => rmSync(data, { recursive: true, force: true }),
    handDown: () => {
      const shared = process.env[sharedNetworkVariable];
      const other = shared === undefined ? undefined : join(shared, 'other');
      if (other !== undefined && !existsSync(other)) renameSync(data, other);
      else rmSync(data, { recursive: true, force: true });
    },
  };
}
