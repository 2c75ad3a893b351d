/**
 * `safe network create`: collects seven founders, accepts the network they create, and then directs
 * joining nodes to it. It holds no key share; the network runs without it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { createJobPool } from '#runtime/jobs/job-pool.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { openFacts } from '#storage/node/facts.ts';
import { createAddressBook } from '../peers/address-book.ts';
import { coordinateGenesis, type CreatedNetwork } from '../genesis/genesis-coordinator.ts';
import { openBootstrapService, servePeerExchange } from '../requests/bootstrap-service.ts';
import { openFaucet, type Faucet } from '../money/faucet.ts';
import { createAdmissionControl, type AdmissionControl } from '../requests/admission-control.ts';
import type { ProgramMetrics } from '../monitoring/metrics.ts';
import { createPeerExchange } from '../peers/peer-exchange.ts';
import { startHttpServer, type JsonHandler } from '../http/http-server.ts';
import { serveLobby } from '../joining/lobby.ts';
import { bootstrapAddress } from '#roles/wire/network-file.ts';
import { savePorts, loadPorts } from '../data-folder/saved-network.ts';
import {
  openIdentity,
  readSecret,
  writeSecret,
  type NodeIdentity,
} from '../data-folder/node-identity.ts';
import { ownAddress, signAddresses } from '../peers/own-addresses.ts';
import {
  toListenProblem,
  dialHost,
  listenOn,
  choosePorts,
  type NodePorts,
} from '../peers/listen-ports.ts';
import type { NodeParts } from './node-parts.ts';
import { logMetrics, progress, startProgram, type Program } from './program-lifecycle.ts';
import type { Command } from './safe-args.ts';
import { openStaticFiles, routesIn } from '../http/static-files.ts';

type CreateCommand = Extract<Command, { kind: 'create' }>;

const label = 'bootstrap';
const root = resolve(import.meta.dirname, '../../..');
const faucetFile = 'faucet.key';
const requestTimeoutMs = 15_000;

/** What the HTTP server shows; it fills while the network is created. */
interface Site {
  networkFile: string;
  wsPort: number | null;
  readonly posts: Record<string, JsonHandler>;
}

/** What the parts of this program share. */
interface Base {
  readonly program: Program;
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly admission: AdmissionControl;
}

export async function runBootstrap(command: CreateCommand, parts: NodeParts): Promise<void> {
  const program = startProgram(command.data, { fresh: false });
  const { folder, log, metrics, stops, stop } = program;
  const site: Site = { networkFile: '', wsPort: null, posts: { ...parts.posts } };
  stops.push((await startSite(command, site, metrics)).close);

  const identity = await openIdentity(folder.node(label), label);
  const { ports, host } = await startHost(command, folder, identity, parts);
  stops.push(host.stop);
  stop.enable();

  const faucetSeed = readSecret(identity.folder, faucetFile) ?? new Uint8Array(randomBytes(32));
  writeSecret(identity.folder, faucetFile, faucetSeed);

  const address = ownAddress(host);
  const coordinator = coordinateGenesis(command, folder, identity, faucetSeed, log);
  const admission = createAdmissionControl(metrics);
  let records: (() => readonly Uint8Array[]) | null = null;
  await serveLobby(host, admission, {
    network: () => {
      const created = coordinator.network();
      return created === null || records === null
        ? null
        : { file: created.file, records: records() };
    },
    enlist: coordinator.enlist,
    keyReady: coordinator.onKeyReady,
  });
  if (coordinator.network() === null) {
    progress(`Waiting for ${command.elders + command.adults} founders. Start each with:`);
    process.stdout.write(`safe node --data DIR --join ${address}\n`);
  }
  const created = await coordinator.created;
  const { file, anchor } = created;

  const base = { program, identity, host, admission };
  const network = await serveNetwork(base, created);
  records = () => network.book.records(64, network.sections.elders(), 'pinned');
  logMetrics(program, label);
  site.posts['/faucet'] = (await startFaucet(base, network, faucetSeed)).answer;
  const bootstrap = [bootstrapAddress(command.port, host.peerId)];
  site.networkFile = JSON.stringify({ ...file, bootstrap });
  site.wsPort = ports.ws;
  log.write({ event: 'ready', peer: toHex(anchor.networkId.subarray(0, 8)) });
  process.stdout.write(
    `Network ${file.name} is ready: http://localhost:${command.port} (join: ${address})\n`,
  );
}

const startSite = (command: CreateCommand, site: Site, metrics: ProgramMetrics) =>
  startHttpServer({
    port: command.port,
    files: appFiles(),
    networkFile: () => site.networkFile,
    wsHost: dialHost(command.listen),
    wsPort: () => site.wsPort,
    metrics: metrics.toText,
    posts: site.posts,
    hostNames: command.hostNames,
    count: (kind) => metrics.count('safe_http_requests_total', kind),
  });

/** Serves the state of the created network and the exchange of addresses. */
async function serveNetwork(base: Base, { anchor, signed }: CreatedNetwork) {
  const { identity, host, admission } = base;
  const { log, metrics, stops } = base.program;
  const tag = networkTag(anchor.networkId);
  const book = createAddressBook(anchor.networkId, join(identity.folder, 'addresses'), {
    onError: (error) =>
      log.write({ event: 'addressesNotSaved', node: label, error: String(error) }),
  });
  signAddresses(identity, host, anchor.networkId, book);
  const request = (name: Uint8Array, bytes: Uint8Array) =>
    host.request({ name, addresses: book.addressesOf(name) }, 'client', tag, bytes, {
      timeoutMs: requestTimeoutMs,
    });
  const jobs = createJobPool(availableParallelism());
  stops.push(jobs.stop);
  const shared = { anchor, jobs, request, log };
  const { sections, laneOf, stop } = await openBootstrapService({
    ...shared,
    ...{ identity, host, firstState: signed, book, metrics, admission },
  });
  stops.push(stop);
  const peerExchange = createPeerExchange({ host, book, tag, wanted: sections.members });
  stops.push(peerExchange.stop);
  await servePeerExchange(host, tag, admission, laneOf, peerExchange);
  return { ...shared, book, sections };
}

async function startFaucet(
  { program: { stops }, identity }: Base,
  { book, sections, ...shared }: Awaited<ReturnType<typeof serveNetwork>>,
  seed: Uint8Array,
): Promise<Faucet> {
  const facts = openFacts(join(identity.folder, 'facts'));
  stops.push(facts.close);
  const faucet = await openFaucet({
    ...{ ...shared, signed: sections.signed(), seed, facts },
    records: (records) => {
      for (const record of records) book.offer(record);
    },
  });
  stops.push(faucet.stop);
  return faucet;
}

async function startHost(
  command: CreateCommand,
  folder: DataFolder,
  identity: NodeIdentity,
  { createHost }: NodeParts,
): Promise<{ readonly ports: NodePorts; readonly host: NodeHost }> {
  const needs = { ws: true, rtc: false };
  const remembered = loadPorts(folder)[label];
  try {
    const { ports, listening: host } = await listenOn(
      (lost) => choosePorts(remembered, needs, new Set(lost), command.listen),
      ({ tcp, ws }) =>
        createHost({
          identitySeed: identity.seed,
          role: 'bootstrap',
          listen: command.listen,
          tcpPort: tcp,
          wsPort: ws,
          rtcDirectPort: null,
          bootstrap: null,
        }),
    );
    savePorts(folder, { [label]: ports });
    return { ports, host };
  } catch (error) {
    throw toListenProblem(error, command.listen);
  }
}

/** The built app, if there is one; a network works without it. */
function appFiles() {
  const build = resolve(root, process.env['SAFE_BUILD'] ?? 'build');
  if (!existsSync(build)) {
    return {
      answer: () => ({ status: 404 as const, headers: {}, body: Buffer.from('Not found.\n') }),
    };
  }
  return openStaticFiles(build, routesIn(join(root, 'src/routes')));
}
