/** A network of real processes on loopback, one per node, as `safe` starts them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { NetworkStatus } from '#node/programs/network-status.ts';
import type { AdultMode } from '../../support/faulty-adult.ts';
import { freePort } from '../../e2e/support/network.ts';
import { until } from '../../e2e/support/until.ts';
import { fetchWithin, openNamespace, type Namespace } from './namespace.ts';

const root = resolve(import.meta.dirname, '../../..');
const program = join(root, 'src/node/programs/safe.ts');
/** Nodes have switches for tests; commands that end by themselves run the program that people run. */
const controlled = join(import.meta.dirname, 'controlled-safe.ts');
/** Saves half a second of processor time for each process that starts. */
const env = { ...process.env, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/safe-compiled') };

export interface ProcessNode {
  readonly data: string;
  readonly metricsPort: number;
  readonly running: () => boolean;
  /** `kill -9`, without a shutdown. */
  readonly kill: () => Promise<void>;
  /** Like Ctrl-C; resolves with the milliseconds it took. */
  readonly stop: () => Promise<number>;
  /** Starts again on the same folder; resolves when it is ready. */
  readonly restart: () => Promise<void>;
  readonly ready: () => Promise<void>;
  /** Its exit code, if it has ended by itself. */
  readonly ended: () => Promise<number | null>;
  /** Its `/status.json`. */
  readonly status: () => Promise<NodeStatus>;
  readonly metrics: () => Promise<string>;
  /** No traffic with these nodes; an empty list heals. */
  readonly cut: (names: readonly string[]) => Promise<void>;
  readonly adult: (mode: AdultMode) => Promise<void>;
  /** This node observes a need of this many nodes (N39); null: of none. */
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
  /** Null unless requested. */
  readonly apart: Partition | null;
  /** Starts one more node, without waiting for it. */
  readonly add: (...args: readonly string[]) => Promise<ProcessNode>;
  /** The output of `safe network status --json` with these arguments. */
  readonly status: (...args: readonly string[]) => Promise<NetworkStatus>;
  readonly stop: () => Promise<void>;
}

/** Founding elders that can be cut off together from all other nodes. */
export interface Partition {
  readonly nodes: readonly ProcessNode[];
  /** Takes their link down, or without that permission makes them neither dial nor answer. */
  readonly how: 'network namespace' | 'dialer';
  readonly cut: () => Promise<void>;
  readonly heal: () => Promise<void>;
}

export interface ProcessOptions {
  readonly adults: number;
  /** The number of founding elders that can be cut off together; 0 by default. */
  readonly apart?: number;
  /** Milliseconds until every node must be ready. */
  readonly patienceMs?: number;
}

/** Seven elders and this many adults, each in a process; resolves when all are ready. */
export async function startProcesses(options: ProcessOptions): Promise<ProcessNetwork> {
  const patienceMs = options.patienceMs ?? 240_000;
  const apartCount = options.apart ?? 0;
  const namespace = apartCount > 0 ? openNamespace() : null;
  const outside = namespace === null ? [] : ['--listen', namespace.outside];
  const folder = mkdtempSync(join(tmpdir(), 'safe-network-'));
  const port = await freePort();
  const all: ProcessNode[] = [];
  let nodeCount = 0;
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((each) => each.kill()));
    rmSync(folder, { recursive: true, force: true });
    namespace?.remove();
  };
  const start = async (
    name: string,
    ready: RegExp,
    args: (data: string, metricsPort: number) => readonly string[],
    within: Namespace | null = null,
  ): Promise<ProcessNode> => {
    const data = join(folder, name);
    const metricsPort = name === 'bootstrap' ? port : await freePort();
    const told = args(data, metricsPort);
    const node = createProcess(data, metricsPort, ready, told, patienceMs, within);
    all.push(node);
    return node;
  };
  try {
    const bootstrap = await start('bootstrap', /is ready: http/, (data) => [
      ...['network', 'create', '--data', data, '--port', `${port}`],
      ...['--adults', `${options.adults}`, ...outside],
    ]);
    const invite = await until(
      async () => /--join (\S+)/.exec(bootstrap.output())?.[1] ?? '',
      (text) => text !== '',
      60_000,
    );
    const nodeArgs = (data: string, metricsPort: number): readonly string[] => [
      ...['node', '--data', data, '--join', invite],
      ...['--metrics-port', `${metricsPort}`],
    ];
    const ready = /is ready: \/ip/;
    const nodes: ProcessNode[] = [];
    const begin = (within: Namespace | null, ...args: readonly string[]): Promise<ProcessNode> =>
      start(`node-${++nodeCount}`, ready, (...own) => [...nodeArgs(...own), ...args], within);
    while (nodeCount < apartCount) {
      const inside = namespace === null ? [] : ['--listen', namespace.inside];
      nodes.push(await begin(namespace, ...inside));
    }
    // The first seven that enlist become elders.
    await until(
      async () => bootstrap.output(),
      (text) =>
        apartCount === 0 || text.includes(`${apartCount} of ${7 + options.adults} founders`),
      60_000,
    );
    while (nodeCount < 7 + options.adults) nodes.push(await begin(null, ...outside));
    await Promise.all([bootstrap, ...nodes].map((node) => node.ready()));
    return {
      url: `http://localhost:${port}`,
      join: invite,
      bootstrap,
      nodes,
      apart:
        apartCount === 0
          ? null
          : partitionFrom(
              nodes.slice(0, apartCount),
              [bootstrap, ...nodes.slice(apartCount)],
              namespace,
            ),
      add: (...args) => begin(null, ...outside, ...args),
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

function partitionFrom(
  nodes: readonly ProcessNode[],
  others: readonly ProcessNode[],
  namespace: Namespace | null,
): Partition {
  if (namespace !== null) {
    return {
      nodes,
      how: 'network namespace',
      cut: async () => namespace.setLink(false),
      heal: async () => namespace.setLink(true),
    };
  }
  const namesOf = async (all: readonly ProcessNode[]): Promise<readonly string[]> =>
    (await Promise.all(all.map((each) => each.status().catch(() => null)))).flatMap((each) =>
      each === null ? [] : [each.name],
    );
  return {
    nodes,
    how: 'dialer',
    cut: async () => {
      const [near, far] = await Promise.all([namesOf(nodes), namesOf(others)]);
      await Promise.all([
        ...nodes.map((each) => each.cut(far)),
        ...others.map((each) => each.cut(near)),
      ]);
    },
    heal: async () => void (await Promise.all([...nodes, ...others].map((each) => each.cut([])))),
  };
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
  within: Namespace | null,
): ProcessNode {
  const command = [process.execPath, controlled, ...args];
  const [first = '', ...rest] = within?.within(command) ?? command;
  let child: ChildProcess;
  let output = '';
  let isReady = Promise.resolve();

  const begin = (): void => {
    output = '';
    // Node itself, not the starter script: a test may kill -9 it and must hit the node.
    child = spawn(first, rest, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const begun = child;
    isReady = new Promise((done, failed) => {
      const late = (): void => failed(new Error(`not ready after ${patienceMs} ms:\n${output}`));
      const timer = setTimeout(late, patienceMs);
      const onOutput = (text: Buffer): void => {
        output += text.toString();
        if (!ready.test(output)) return;
        clearTimeout(timer);
        done();
      };
      begun.stdout?.on('data', onOutput);
      begun.stderr?.on('data', onOutput);
      begun.on('exit', (code) => {
        clearTimeout(timer);
        failed(new Error(`it ended with ${code}:\n${output}`));
      });
    });
    isReady.catch(() => undefined); // Callers that await it still get the error.
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
  const ask = async (path: string, body?: string): Promise<string> => {
    const url = `http://localhost:${metricsPort}${path}`;
    const { status, text } =
      within === null ? await fetchHere(url, body) : await fetchWithin(within, url, body);
    if (status !== 200) throw new Error(`${path} answered ${status}`);
    return text;
  };
  const post = async (name: string, body: object): Promise<void> =>
    void (await ask(`/test/${name}`, JSON.stringify(body)));

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
    status: async () => JSON.parse(await ask('/status.json')) as NodeStatus,
    metrics: () => ask('/metrics'),
    cut: (names) => post('cut', { names }),
    adult: (mode) => post('adult', { mode }),
    storage: (places) => post('storage', { places }),
    output: () => output,
  };
}

async function fetchHere(
  url: string,
  body?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, body === undefined ? {} : { method: 'POST', headers, body });
  return { status: answer.status, text: await answer.text() };
}

/** One line of a node's log, newest first. */
export const logLines = (node: ProcessNode): readonly Record<string, unknown>[] =>
  readFileSync(join(node.data, 'log', 'safe.log'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .reverse();
