/** The local network as a program: reads its arguments, connects the parts, decides nothing. */
import { join, resolve } from 'node:path';
import { openFacts } from '#storage/node/facts.ts';
import { parseArguments, type Arguments } from './args.ts';
import { openFaucet } from './faucet.ts';
import { startFront, type JsonHandler } from './http-front.ts';
import { showNetwork, startLocalNetwork } from './local-network.ts';
import { bootstrapAddress } from './network-file.ts';
import { asProblem, progress, startProgram, wrongUse } from './program.ts';
import { openStaticFiles, routesIn } from './static-files.ts';
import { adultSwitch, elderSwitch, memoryAfterCollection } from './test-controls.ts';

const root = resolve(import.meta.dirname, '../..');

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
  const { folder, log, metrics, stops, stop } = startProgram(options.data, options);

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
    hostNames: options.hostNames,
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
    anchor: network.anchor,
    signed: network.signed,
    records: network.client.records,
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
