/** The local network as a program: reads its arguments and connects its parts. */
import { join, resolve } from 'node:path';
import { openFacts } from '#storage/node/facts.ts';
import { startOver } from '#storage/node/problem.ts';
import { parseLocalArguments, type LocalNetworkArguments } from './npm-start-args.ts';
import { openFaucet } from '../money/faucet.ts';
import { startHttpServer, type JsonHandler } from '../http/http-server.ts';
import { networkLabel, startLocalNetwork } from './local-network.ts';
import type { NodeParts } from './node-parts.ts';
import { bootstrapAddress } from '#roles/wire/network-file.ts';
import { exitWith, progress, startProgram, usageError } from './program-lifecycle.ts';
import { openStaticFiles, routesIn } from '../http/static-files.ts';

const root = resolve(import.meta.dirname, '../../..');

export async function runLocalNetwork(args: readonly string[], parts: NodeParts): Promise<void> {
  process.umask(0o077); // Files are readable by this user only.
  const parsed = await parseLocalArguments(args, process.cwd());
  if (!parsed.ok) {
    progress(parsed.error);
    process.exit(usageError);
  }
  const options = parsed.value;
  if (options.kind === 'print') return void process.stdout.write(options.text);
  try {
    await run(options, parts);
  } catch (error) {
    exitWith(error, options.data, startOver.withFresh);
  }
}

async function run(options: LocalNetworkArguments, parts: NodeParts): Promise<void> {
  const { folder, log, metrics, stops, stop } = startProgram(options.data, options);

  // The port comes first: a network that no browser can reach is not started.
  let wsPort: number | null = null;
  const posts: Record<string, JsonHandler> = { ...parts.posts };
  let networkFile = '';
  const httpServer = await startHttpServer({
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
  stops.push(httpServer.close);

  const network = await startLocalNetwork({
    folder,
    adults: options.adults,
    parts,
    log,
    metrics,
    progress,
  });
  stops.push(network.stop);
  if (network.adultCount !== options.adults && options.adultsGiven) {
    progress(`This network has ${network.adultCount} adults; --adults counts for a new one only.`);
  }

  const facts = openFacts(join(network.bootstrapFolder, 'facts'));
  stops.push(facts.close);
  const faucet = await openFaucet({
    anchor: network.anchor,
    signed: network.signed(),
    records: network.client.records,
    seed: network.faucetSeed,
    facts,
    jobs: network.jobs,
    request: network.client.request,
    log,
  });
  stops.push(faucet.stop);
  posts['/faucet'] = faucet.answer;

  const bootstrap = [bootstrapAddress(options.port, network.bootstrapPeerId)];
  networkFile = JSON.stringify({ ...network.file, bootstrap });
  wsPort = network.bootstrapWsPort;
  log.write({ event: 'ready', peer: networkLabel(network.authority) });
  stop.enable();
  process.stdout.write(`Safe is ready: http://localhost:${options.port}\n`);
}
