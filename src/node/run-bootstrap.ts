/**
 * `safe network create`: brings seven founders together, hears that the network is born, and from
 * then on leads newcomers to the nodes. It holds no key share; the network lives without it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { toHex } from '#core/codec/bytes.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { createJobPool } from '#runtime/jobs/pool-node.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { openFacts } from '#storage/node/facts.ts';
import { createAddressBook, type AddressBook } from './address-book.ts';
import { found } from './bootstrap-birth.ts';
import { openBootstrapGuide, serveGreetings } from './bootstrap-guide.ts';
import { openFaucet } from './faucet.ts';
import type { SectionFollower } from './follow-sections.ts';
import { createGate } from './gate.ts';
import { createGreeter } from './greeter.ts';
import { startFront, type JsonHandler } from './http-front.ts';
import { serveLobby } from './lobby.ts';
import { bootstrapAddress } from './network-file.ts';
import { keepPorts, keptPorts } from './network-folder.ts';
import { openIdentity, readSecret, writeSecret, type NodeIdentity } from './node-folder.ts';
import { announce, ownAddress } from './node.ts';
import { asListenProblem, dialHost, listenOn, settlePorts, type NodePorts } from './ports.ts';
import { logNumbers, progress, startProgram } from './program.ts';
import type { Command } from './safe-args.ts';
import { openStaticFiles, routesIn } from './static-files.ts';
import { cutSwitch } from './test-controls.ts';

type CreateCommand = Extract<Command, { kind: 'create' }>;

const label = 'bootstrap';
const root = resolve(import.meta.dirname, '../..');
const faucetFile = 'faucet.key';
const requestTimeoutMs = 15_000;

export async function runBootstrap(command: CreateCommand): Promise<void> {
  const program = startProgram(command.data, { fresh: false });
  const { folder, log, metrics, stops, stop } = program;

  let served = '';
  let wsPort: number | null = null;
  const posts: Record<string, JsonHandler> = {};
  const front = await startFront({
    port: command.port,
    files: appFiles(),
    networkFile: () => served,
    wsHost: dialHost(command.listen),
    wsPort: () => wsPort,
    metrics: metrics.toText,
    posts,
    hostNames: command.hostNames,
    count: (kind) => metrics.count('safe_http_requests_total', kind),
  });
  stops.push(front.close);

  const identity = await openIdentity(folder.node(label), label);
  const { ports, host } = await startHost(command, folder, identity);
  stops.push(host.stop);
  if (command.testControls) posts['/test/cut'] = cutSwitch(host);
  stop.whenAsked();

  const faucetSeed = readSecret(identity.folder, faucetFile) ?? new Uint8Array(randomBytes(32));
  writeSecret(identity.folder, faucetFile, faucetSeed);

  const address = ownAddress(host);
  const founding = found(command, folder, identity, faucetSeed, log);
  let book: AddressBook | null = null;
  let sections: SectionFollower | null = null;
  const gate = createGate(metrics);
  await serveLobby(host, gate, {
    network: () => {
      const born = founding.network();
      if (born === null || book === null || sections === null) return null;
      return { file: born.file, records: book.records(64, sections.elders(), 'pinned') };
    },
    arrive: founding.arrive,
    born: founding.born,
  });
  if (founding.network() === null) {
    progress(`Waiting for ${command.elders + command.adults} founders. Start each with:`);
    process.stdout.write(`safe node --data DIR --join ${address}\n`);
  }
  const born = await founding.whenBorn;
  const { file, anchor } = born;

  const tag = networkTag(anchor.networkId);
  book = createAddressBook(anchor.networkId, join(identity.folder, 'addresses'), {
    failed: (error) => log.write({ event: 'addressesNotKept', node: label, error: String(error) }),
  });
  const known = book;
  announce(identity, host, anchor.networkId, known);
  const request = (name: Uint8Array, bytes: Uint8Array) =>
    host.request({ name, addresses: known.addressesOf(name) }, 'client', tag, bytes, {
      timeoutMs: requestTimeoutMs,
    });
  const records = (list: readonly Uint8Array[]): void => {
    for (const record of list) known.offer(record);
  };
  const jobs = createJobPool(availableParallelism());
  stops.push(jobs.stop);
  const guide = await openBootstrapGuide({
    identity,
    host,
    anchor,
    born: born.signed,
    book: known,
    jobs,
    request,
    log,
    metrics,
  });
  stops.push(guide.stop);
  sections = guide.sections;
  const greeter = createGreeter({ host, book: known, tag, wanted: guide.sections.members });
  stops.push(greeter.stop);
  await serveGreetings(host, tag, gate, guide.laneOf, greeter);
  logNumbers(program, label);

  const facts = openFacts(join(identity.folder, 'facts'));
  stops.push(facts.close);
  const faucet = await openFaucet({
    anchor,
    signed: guide.sections.signed(),
    records,
    seed: faucetSeed,
    facts,
    jobs,
    request,
    log,
  });
  stops.push(faucet.stop);
  posts['/faucet'] = faucet.answer;
  served = JSON.stringify({ ...file, bootstrap: [bootstrapAddress(command.port, host.peerId)] });
  wsPort = ports.ws;
  log.write({ event: 'ready', peer: toHex(anchor.networkId.subarray(0, 8)) });
  process.stdout.write(
    `Network ${file.name} is ready: http://localhost:${command.port} (join: ${address})\n`,
  );
}

async function startHost(
  command: CreateCommand,
  folder: DataFolder,
  identity: NodeIdentity,
): Promise<{ readonly ports: NodePorts; readonly host: NodeHost }> {
  const needs = { ws: true, rtc: false };
  const remembered = keptPorts(folder)[label];
  try {
    const { ports, listening: host } = await listenOn(
      (lost) => settlePorts(remembered, needs, new Set(lost), command.listen),
      ({ tcp, ws }) =>
        createNodeHost({
          identitySeed: identity.seed,
          role: 'bootstrap',
          listen: command.listen,
          tcpPort: tcp,
          wsPort: ws,
          rtcDirectPort: null,
          bootstrap: null,
        }),
    );
    keepPorts(folder, { [label]: ports });
    return { ports, host };
  } catch (error) {
    throw asListenProblem(error, command.listen);
  }
}

/** The app when it is built; a network works without. */
function appFiles() {
  const build = resolve(root, process.env['SAFE_BUILD'] ?? 'build');
  if (!existsSync(build)) {
    return {
      answer: () => ({ status: 404 as const, headers: {}, body: Buffer.from('Not found.\n') }),
    };
  }
  return openStaticFiles(build, routesIn(join(root, 'src/routes')));
}
