/** The local network as a program: reads its arguments, connects the parts, decides nothing. */
import { join, resolve } from 'node:path';
import { openDataFolder } from '#storage/node/data-folder.ts';
import { openFacts } from '#storage/node/facts.ts';
import { folderProblem, kindOfError, Problem } from '#storage/node/problem.ts';
import { parseArguments, type Arguments } from './args.ts';
import { openFaucet } from './faucet.ts';
import { startFront, type JsonHandler } from './http-front.ts';
import { showNetwork, startLocalNetwork } from './local-network.ts';
import { openLog, type Log } from './log.ts';
import { createMetrics } from './metrics.ts';
import { bootstrapAddress } from './network-file.ts';
import { openStaticFiles, routesIn } from './static-files.ts';
import { adultSwitch, elderSwitch, memoryAfterCollection } from './test-controls.ts';

/** Ctrl-C ends within 10 s: what has not ended by then is cut off. Facts are on disk already. */
const stopWithinMs = 8_000;
const wrongUse = 2;

const root = resolve(import.meta.dirname, '../..');
const progress = (line: string): void => void process.stderr.write(`${line}\n`);

process.umask(0o077); // Whatever is written belongs to this user alone.

const parsed = parseArguments(process.argv.slice(2), process.cwd());
if (!parsed.ok) {
  progress(parsed.error);
  process.exit(wrongUse);
}
try {
  await run(parsed.value);
} catch (error) {
  const problem = asProblem(error, parsed.value.data);
  progress(problem?.message ?? String((error as Error).stack ?? error));
  process.exit(problem === undefined ? 1 : wrongUse);
}

async function run(options: Arguments): Promise<void> {
  const stops: (() => Promise<void> | void)[] = [];
  const stop = createStop(stops);
  const folder = openDataFolder(options.data, { fresh: options.fresh });
  stops.push(folder.close);
  const log = openLog(join(folder.path, 'log'));
  stops.push(log.close);
  const metrics = createMetrics();
  surviveOthers(log);

  // The port comes first: nobody should wait for a network that cannot be reached.
  let wsPort: number | null = null;
  const posts: Record<string, JsonHandler> = {};
  let networkFile = '';
  const front = await startFront({
    port: options.port,
    files: openStaticFiles(
      resolve(root, process.env['SAFE_BUILD'] ?? 'build'),
      routesIn(join(root, 'src/routes')),
    ),
    networkFile: () => networkFile,
    wsPort: () => wsPort,
    metrics: metrics.toText,
    posts,
    count: (kind) => metrics.count('safe_http_requests_total', kind),
  });
  stops.push(front.close);

  const network = await startLocalNetwork({
    folder,
    adults: options.adults,
    log,
    metrics,
    progress,
  });
  stops.push(network.stop);
  if (network.adults.length !== options.adults && process.argv.includes('--adults')) {
    progress(
      `This network has ${network.adults.length} adults; --adults counts for a new one only.`,
    );
  }

  const facts = openFacts(join(network.bootstrapFolder, 'facts'));
  stops.push(facts.close);
  const faucet = await openFaucet({
    authority: network.authority,
    seed: network.faucetSeed,
    facts,
    jobs: network.jobs,
    request: network.client.request,
    log,
  });
  stops.push(faucet.stop);
  posts['/faucet'] = faucet.answer;
  if (options.testControls) {
    posts['/test/adult'] = adultSwitch(network.adults);
    posts['/test/elders'] = elderSwitch(network.elders);
    posts['/test/memory'] = memoryAfterCollection();
  }

  const bootstrap = [bootstrapAddress(options.port, network.bootstrapPeerId)];
  networkFile = JSON.stringify({ ...network.file, bootstrap });
  wsPort = network.bootstrapWsPort;
  log.write({ event: 'ready', peer: showNetwork(network.authority) });
  stop.whenAsked();
  process.stdout.write(`Safe is ready: http://localhost:${options.port}\n`);
}

/** Ends everything in reverse order, once, however it was asked for. */
function createStop(stops: (() => Promise<void> | void)[]) {
  let asked: number | undefined;
  const stop = async (): Promise<void> => {
    const cut = setTimeout(() => process.exit(0), stopWithinMs);
    for (const each of stops.splice(0).reverse()) {
      try {
        await each();
      } catch (error) {
        progress(`While stopping: ${String(error)}`);
      }
    }
    clearTimeout(cut);
    // Native WebRTC may hold the process; everything of ours has ended.
    process.exit(0);
  };
  const onSignal = (): void => {
    // A terminal signals the whole group and npm passes it on: the same wish twice within 2 s.
    if (asked !== undefined) {
      if (Date.now() - asked > 2_000) process.exit(130);
      return;
    }
    asked = Date.now();
    progress('Stopping …');
    void stop();
  };
  let started = false;
  const early = (): never => process.exit(130); // Nothing is served yet; facts need no farewell.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (started ? onSignal() : early()));
  }
  // Whoever started us is gone: nobody could stop us by Ctrl-C any more.
  process.on('disconnect', () => (started ? onSignal() : early()));
  return {
    whenAsked: (): void => {
      started = true;
    },
  };
}

/**
 * A peer must not end the program by an error that a library forgot to catch. Our own errors do
 * end it: facts are on disk before anything is said, so a restart is always safe.
 */
function surviveOthers(log: Log): void {
  const ours = join(root, 'src');
  process.on('unhandledRejection', (error) => {
    log.write({ event: 'unhandledRejection', error: stackOf(error) });
  });
  process.on('uncaughtException', (error) => {
    log.write({ event: 'uncaughtException', error: stackOf(error) });
    if (!stackOf(error).includes(ours)) return;
    progress(stackOf(error));
    process.exit(1);
  });
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

/** The world's refusals become one line; our own bugs keep their stack. */
function asProblem(error: unknown, path: string): Problem | undefined {
  if (error instanceof Problem) {
    // Storage speaks of one file; the person cares for the folder.
    const own = error.message.includes('--') || error.message.includes('SAFE_KEY_FILE');
    return own ? error : folderProblem(error.kind, path);
  }
  const kind = kindOfError(error);
  return kind === 'full' || kind === 'notPermitted' ? folderProblem(kind, path) : undefined;
}
