/**
 * A whole network in one process: a bootstrap node, seven elders and adults, each with its own libp2p
 * host and folder. On separate computers each runs the same services.
 */
import { availableParallelism } from 'node:os';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { err } from '#core/result.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { PortTaken, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import {
  ELDER_COUNT,
  encodeSignedAuthority,
  verifySignedAuthority,
  type SectionAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { genesisState } from '#roles/section-node/joining/first-state-hint.ts';
import { createJobPool, type JobPool } from '#runtime/jobs/job-pool.ts';
import { folderProblem } from '#storage/node/problem.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { createAddressBook, type AddressBook } from '../peers/address-book.ts';
import { createAdmissionControl } from '../requests/admission-control.ts';
import { openBootstrapService } from '../requests/bootstrap-service.ts';
import type { Log } from '../monitoring/log.ts';
import type { ProgramMetrics } from '../monitoring/metrics.ts';
import { openGenesis, type LocalGenesis } from '../genesis/local-genesis.ts';
import type { SavedNetworkFile } from '#roles/wire/network-file.ts';
import { savePorts, loadNetwork, loadPorts } from '../data-folder/saved-network.ts';
import {
  openIdentity,
  openRtcCertificate,
  type NodeIdentity,
} from '../data-folder/node-identity.ts';
import type { Stops } from './program-lifecycle.ts';
import { openNodeFacts, startNode, type RunningNode } from '../node.ts';
import { signAddresses } from '../peers/own-addresses.ts';
import type { NodeParts } from './node-parts.ts';
import { listenOn, choosePorts, type NodePorts } from '../peers/listen-ports.ts';

export interface LocalNetworkOptions {
  readonly folder: DataFolder;
  /** For a new network. */
  readonly adults: number;
  readonly parts: Pick<NodeParts, 'createHost' | 'runSection'>;
  readonly log: Log;
  readonly metrics: ProgramMetrics;
  /** One line of progress for the person who waits. */
  readonly progress: (line: string) => void;
}

export interface LocalNetwork {
  readonly file: SavedNetworkFile;
  readonly authority: SectionAuthority;
  /** The newest state that the bootstrap node has verified. */
  readonly signed: () => SignedAuthority;
  readonly anchor: TrustAnchor;
  /** Key of the network's first coin. */
  readonly faucetSeed: Uint8Array;
  readonly bootstrapFolder: string;
  readonly jobs: JobPool;
  readonly bootstrapPeerId: string;
  readonly bootstrapWsPort: number;
  /** Adults of the network; an existing one keeps its own number. */
  readonly adultCount: number;
  /** A host and the elders' addresses for a client in this process (the faucet). */
  readonly client: ElderClient;
  readonly stop: () => Promise<void>;
}

export interface ElderClient {
  readonly request: (elder: Uint8Array, request: Uint8Array) => ReturnType<NodeHost['request']>;
  /** Takes signed address records of elders from replies. */
  readonly records: (records: readonly Uint8Array[]) => void;
}

interface StartedHost {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly ports: NodePorts;
}

const elderTimeoutMs = 15_000;

export async function startLocalNetwork(options: LocalNetworkOptions): Promise<LocalNetwork> {
  const jobs = createJobPool(availableParallelism());
  const stops: Stops = [() => jobs.stop()];
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    return { ...(await openLocalNetwork(options, jobs, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openLocalNetwork(
  options: LocalNetworkOptions,
  jobs: JobPool,
  stops: Stops,
): Promise<Omit<LocalNetwork, 'stop'>> {
  const { folder, log, metrics, progress } = options;
  const { bootstrap, elders, adults } = await startHosts(options, stops);
  const genesis = await openGenesis({
    ...{ folder, bootstrapFolder: bootstrap.identity.folder, elders },
    adults: adults.map(({ identity }) => identity),
    ...{ jobs, progress, log, metrics },
  });
  const { signed, file, anchor } = genesis;
  // Bytes from our own disk are verified like a peer's.
  if (!verifySignedAuthority(blsSuite, anchor, signed).ok) {
    throw folderProblem('broken', folder.path);
  }
  const { authority } = signed;
  // One book for the process: its nodes need no exchange of addresses.
  const book = createAddressBook(authority.networkId, null);
  signAddresses(bootstrap.identity, bootstrap.host, authority.networkId, book);
  const nodes: RunningNode[] = [];
  for (const started of [...elders, ...adults]) {
    nodes.push(await startLocalNode(options, { ...started, genesis, book, jobs, stops }));
  }
  await Promise.all(nodes.map((node) => node.settled));

  const client = elderClient(bootstrap.host, book, networkTag(authority.networkId));
  const bootstrapMetrics = metrics.ofNode();
  const bootstrapService = await openBootstrapService({
    ...{ identity: bootstrap.identity, host: bootstrap.host, anchor, firstState: signed, book },
    ...{ jobs, request: client.request, log, metrics: bootstrapMetrics },
    admission: createAdmissionControl(bootstrapMetrics),
  });
  stops.push(bootstrapService.stop);
  return {
    ...{ file, authority, anchor, jobs, client },
    signed: bootstrapService.sections.signed,
    faucetSeed: genesis.faucetSeed,
    bootstrapFolder: bootstrap.identity.folder,
    bootstrapPeerId: bootstrap.host.peerId,
    bootstrapWsPort: bootstrap.ports.ws ?? 0,
    adultCount: adults.length,
  };
}

interface StartedHosts {
  readonly bootstrap: StartedHost;
  readonly elders: readonly StartedHost[];
  readonly adults: readonly StartedHost[];
}

async function startHosts(
  { folder, parts, progress, adults: wanted }: LocalNetworkOptions,
  stops: Stops,
): Promise<StartedHosts> {
  const adultCount = savedAdultCount(folder) || wanted;
  const hosts = createHosts(folder, parts);
  stops.push(hosts.stop);
  progress('Starting the bootstrap node …');
  const bootstrap = await hosts.start('bootstrap', 'bootstrap', null);
  const relay = {
    tcpAddress: `/ip4/127.0.0.1/tcp/${bootstrap.ports.tcp}/p2p/${bootstrap.host.peerId}`,
  };
  progress(`Starting ${ELDER_COUNT} elders and ${adultCount} adults …`);
  const start = async (role: 'elder' | 'adult', count: number): Promise<StartedHost[]> => {
    const started: StartedHost[] = [];
    for (let n = 1; n <= count; n++) started.push(await hosts.start(`${role}-${n}`, role, relay));
    return started;
  };
  const elders = await start('elder', ELDER_COUNT);
  const adults = await start('adult', adultCount);
  hosts.rememberPorts();
  return { bootstrap, elders, adults };
}

interface LocalNode extends StartedHost {
  readonly genesis: LocalGenesis;
  readonly book: AddressBook;
  readonly jobs: JobPool;
  readonly stops: Stops;
}

async function startLocalNode(
  options: LocalNetworkOptions,
  { identity, host, genesis, book, jobs, stops }: LocalNode,
): Promise<RunningNode> {
  const { anchor, file, signed, secretShares } = genesis;
  const metrics = options.metrics.ofNode();
  const facts = openNodeFacts(identity);
  stops.push(facts.close);
  const id = nameToId(identity.name);
  const secretShare = secretShares.get(id);
  const index = signed.authority.elders.find(({ name }) => nameToId(name) === id)?.index;
  const running: { node?: RunningNode } = {};
  const node = await startNode({
    ...{ identity, host, anchor, file, facts, book, jobs, log: options.log, metrics },
    dataLimitBytes: Number.POSITIVE_INFINITY,
    openSection: options.parts.runSection({
      ...{ identity, anchor, facts, jobs, metrics, suites: productionSuites },
      genesis:
        secretShare === undefined || index === undefined
          ? null
          : { sealed: genesisState(signed), secretShare, index },
      requestStates: async () => [
        { authority: encodeSignedAuthority(signed), ask: async () => err('no other node') },
      ],
      records: () => undefined,
      certificate: null,
      reach: async (name) => (await running.node?.peerExchange.reach(name)) ?? false,
    }),
  });
  running.node = node;
  stops.push(node.stop);
  return node;
}

const elderClient = (host: NodeHost, book: AddressBook, tag: string): ElderClient => ({
  records: (list) => {
    for (const record of list) book.offer(record);
  },
  request: (name, bytes) =>
    host.request({ name, addresses: book.addressesOf(name) }, 'client', tag, bytes, {
      timeoutMs: elderTimeoutMs,
    }),
});

/** Hosts of one process: ports are chosen one after the other and saved together. */
function createHosts(folder: DataFolder, { createHost }: LocalNetworkOptions['parts']) {
  const remembered = loadPorts(folder);
  const running: { readonly label: string; readonly ports: NodePorts; readonly host: NodeHost }[] =
    [];
  const taken = (): readonly number[] =>
    running.flatMap(({ ports: { tcp, ws, rtc } }) => [tcp, ws ?? [], rtc ?? []].flat());
  return {
    start: async (
      label: string,
      role: 'bootstrap' | 'elder' | 'adult',
      relay: { readonly tcpAddress: string } | null,
    ): Promise<StartedHost> => {
      const identity = await openIdentity(folder.node(label), label);
      const needs = { ws: role !== 'adult', rtc: role === 'elder' };
      const { ports, listening: host } = await listenOn(
        (lost) => choosePorts(remembered[label], needs, new Set([...taken(), ...lost])),
        (at) =>
          createHost({
            identitySeed: identity.seed,
            role,
            tcpPort: at.tcp,
            wsPort: at.ws,
            rtcDirectPort: at.rtc,
            ...(needs.rtc ? { rtcCertificate: openRtcCertificate(identity.folder) } : {}),
            bootstrap: relay,
          }),
      ).catch((error: unknown) => {
        throw error instanceof PortTaken ? folderProblem('portTaken', folder.path) : error;
      });
      running.push({ label, ports, host });
      return { identity, host, ports };
    },
    rememberPorts: (): void => {
      const ports = Object.fromEntries(running.map((each) => [each.label, each.ports]));
      savePorts(folder, ports);
    },
    stop: async (): Promise<void> => {
      await Promise.allSettled(running.map(({ host }) => host.stop()));
    },
  };
}

/** The number of adults in this folder; 0 when the network is new. */
function savedAdultCount(folder: DataFolder): number {
  if (loadNetwork(folder) === null) return 0;
  return readdirSync(join(folder.path, 'nodes')).filter((name) => /^adult-\d+$/.test(name)).length;
}

/** Identifies the network in logs. */
export const networkLabel = (authority: SectionAuthority): string =>
  toHex(authority.networkId.subarray(0, 8));
