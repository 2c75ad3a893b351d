/** A network of real processes on loopback, one per node, as `safe` starts them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { NetworkStatus } from '#node/network-status.ts';
import { freePort } from '../../e2e/support/network.ts';
import { until } from '../../e2e/support/until.ts';

const root = resolve(import.meta.dirname, '../../..');
const program = join(root, 'src/node/safe.ts');
/** Half a second of processor time less for each process that starts. */
const env = { ...process.env, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/safe-compiled') };

export interface ProcessNode {
  readonly data: string;
  readonly metricsPort: number;
  readonly running: () => boolean;
  /** `kill -9`: no farewell. */
  readonly kill: () => Promise<void>;
  /** As Ctrl-C does; resolves with the milliseconds it took. */
  readonly stop: () => Promise<number>;
  /** Starts again on the same folder; resolves when it says it is ready. */
  readonly restart: () => Promise<void>;
  readonly ready: () => Promise<void>;
  /** Its exit code, when it has ended by itself. */
  readonly ended: () => Promise<number | null>;
  /** What `/status.json` says. */
  readonly status: () => Promise<NodeStatus>;
  readonly metrics: () => Promise<string>;
  /** No traffic with these nodes; an empty list heals. */
  readonly cut: (names: readonly string[]) => Promise<void>;
  /** This node sees a need of so many more nodes (N39); null: of none. */
  readonly storage: (places: number | null) => Promise<void>;
  readonly output: () => string;
}

export interface NodeStatus {
  readonly name: string;
  readonly age: number;
  readonly role: string;
  readonly key: string;
  readonly prefix: string;
  readonly generation: number;
  readonly members: number;
}

export interface ProcessNetwork {
  readonly url: string;
  /** Multiaddr of the bootstrap node. */
  readonly join: string;
  readonly bootstrap: ProcessNode;
  readonly nodes: readonly ProcessNode[];
  /** One more node; it is not waited for. */
  readonly add: (...args: readonly string[]) => Promise<ProcessNode>;
  /** What `safe network status --json` says, asking with these arguments. */
  readonly status: (...args: readonly string[]) => Promise<NetworkStatus>;
  readonly stop: () => Promise<void>;
}

export interface ProcessOptions {
  readonly adults: number;
  /** Milliseconds until every node must be ready. */
  readonly patienceMs?: number;
}

/** Seven elders and so many adults, each in a process; resolves when all are ready. */
export async function startProcesses(options: ProcessOptions): Promise<ProcessNetwork> {
  const patienceMs = options.patienceMs ?? 240_000;
  const folder = mkdtempSync(join(tmpdir(), 'safe-network-'));
  const port = await freePort();
  const all: ProcessNode[] = [];
  let nodeCount = 0;
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((each) => each.kill()));
    rmSync(folder, { recursive: true, force: true });
  };
  const start = async (
    name: string,
    ready: RegExp,
    args: (data: string, metricsPort: number) => readonly string[],
  ): Promise<ProcessNode> => {
    const data = join(folder, name);
    const metricsPort = name === 'bootstrap' ? port : await freePort();
    const node = createProcess(data, metricsPort, ready, args(data, metricsPort), patienceMs);
    all.push(node);
    return node;
  };
  try {
    const bootstrap = await start('bootstrap', /is ready: http/, (data) => [
      ...['network', 'create', '--data', data, '--port', `${port}`],
      ...['--adults', `${options.adults}`, '--test-controls'],
    ]);
    const invite = await until(
      async () => /--join (\S+)/.exec(bootstrap.output())?.[1] ?? '',
      (text) => text !== '',
      60_000,
    );
    const nodeArgs = (data: string, metricsPort: number): readonly string[] => [
      ...['node', '--data', data, '--join', invite],
      ...['--metrics-port', `${metricsPort}`, '--test-controls'],
    ];
    const ready = /is ready: \/ip/;
    const nodes: ProcessNode[] = [];
    while (nodeCount < 7 + options.adults) {
      nodes.push(await start(`node-${++nodeCount}`, ready, nodeArgs));
    }
    await Promise.all([bootstrap, ...nodes].map((node) => node.ready()));
    return {
      url: `http://localhost:${port}`,
      join: invite,
      bootstrap,
      nodes,
      add: (...args) =>
        start(`node-${++nodeCount}`, ready, (data, metricsPort) => [
          ...nodeArgs(data, metricsPort),
          ...args,
        ]),
      status: (...args) =>
        runSafe(
          'network',
          'status',
          '--json',
          ...(args.length > 0 ? args : ['--join', invite]),
        ).then(({ out, err }) => {
          if (out === '') throw new Error(err);
          return JSON.parse(out) as NetworkStatus;
        }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs `safe` to its end. */
export function runSafe(
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [program, ...args], { cwd: root, env });
    let out = '';
    let err = '';
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.on('close', (code) => done({ code, out, err }));
  });
}

function createProcess(
  data: string,
  metricsPort: number,
  ready: RegExp,
  args: readonly string[],
  patienceMs: number,
): ProcessNode {
  let child: ChildProcess;
  let output = '';
  let isReady = Promise.resolve();

  const begin = (): void => {
    output = '';
    // The program itself, not its starter: a test may kill -9 it and mean the node.
    child = spawn(process.execPath, [program, ...args], {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const begun = child;
    isReady = new Promise((done, failed) => {
      const late = (): void => failed(new Error(`not ready after ${patienceMs} ms:\n${output}`));
      const timer = setTimeout(late, patienceMs);
      const hear = (text: Buffer): void => {
        output += text.toString();
        if (!ready.test(output)) return;
        clearTimeout(timer);
        done();
      };
      begun.stdout?.on('data', hear);
      begun.stderr?.on('data', hear);
      begun.on('exit', (code) => {
        clearTimeout(timer);
        failed(new Error(`it ended with ${code}:\n${output}`));
      });
    });
    isReady.catch(() => undefined); // Whoever waits for it hears of it.
  };
  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  const end = async (signal: 'SIGKILL' | 'SIGINT'): Promise<number> => {
    const startedMs = performance.now();
    if (running()) {
      const gone = new Promise<void>((done) => child.once('exit', () => done()));
      child.kill(signal);
      await gone;
    }
    return performance.now() - startedMs;
  };
  const get = async (path: string): Promise<Response> => {
    const answer = await fetch(`http://localhost:${metricsPort}${path}`);
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
    return answer;
  };

  const post = async (name: string, body: object): Promise<void> => {
    const answer = await fetch(`http://localhost:${metricsPort}/test/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`the switch answered ${answer.status}`);
  };

  begin();
  return {
    data,
    metricsPort,
    running,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGINT'),
    restart: async () => {
      begin();
      await isReady;
    },
    ready: () => isReady,
    ended: () =>
      running() ? new Promise((done) => child.once('exit', done)) : Promise.resolve(child.exitCode),
    status: async () => (await (await get('/status.json')).json()) as NodeStatus,
    metrics: async () => (await get('/metrics')).text(),
    cut: (names) => post('cut', { names }),
    storage: (places) => post('storage', { places }),
    output: () => output,
  };
}

/** One line of a node's log, newest first. */
export const logLines = (node: ProcessNode): readonly Record<string, unknown>[] =>
  readFileSync(join(node.data, 'log', 'safe.log'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .reverse();
