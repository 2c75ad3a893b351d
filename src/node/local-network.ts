/**
 * A whole network in one process: a bootstrap node, seven elders, adults; each its own libp2p host
 * and its own folder. The same services run one by one on machines of their own later.
 */
import { availableParallelism } from 'node:os';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import {
  ELDER_COUNT,
  encodeAddressRecord,
  signAddressRecord,
  verifySignedAuthority,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { maxAddressCharacters, maxAddresses } from '#protocol/section/address-record.ts';
import { createJobPool, type JobPool } from '#runtime/jobs/pool-node.ts';
import { openChunks } from '#storage/node/chunks.ts';
import { folderProblem } from '#storage/node/problem.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { createAdultService, type AdultService } from './adult-service.ts';
import {
  createBootstrapService,
  createElderService,
  type ElderOptions,
  type ElderService,
} from './elder-service.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createSigner } from './native-ed25519.ts';
import { openBirth, type Born } from './network-birth.ts';
import type { KeptNetworkFile } from './network-file.ts';
import {
  nextAddressCounter,
  openIdentity,
  openRtcCertificate,
  type NodeIdentity,
} from './node-folder.ts';
import { settlePorts, type NodePorts } from './ports.ts';

export interface LocalNetworkOptions {
  readonly folder: DataFolder;
  /** For a network that is not born yet. */
  readonly adults: number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** One line of progress for the person who waits. */
  readonly progress: (line: string) => void;
}

export interface LocalNetwork {
  readonly file: KeptNetworkFile;
  readonly authority: SectionAuthority;
  /** Of the network's first coin. */
  readonly faucetSeed: Uint8Array;
  readonly bootstrapFolder: string;
  readonly jobs: JobPool;
  readonly bootstrapPeerId: string;
  readonly bootstrapWsPort: number;
  readonly adults: readonly AdultService[];
  readonly elders: readonly ElderService[];
  /** A host and the elders' addresses for a program of this process that is a client (faucet). */
  readonly client: ElderClient;
  readonly stop: () => Promise<void>;
}

export interface ElderClient {
  readonly request: (elder: Uint8Array, request: Uint8Array) => ReturnType<NodeHost['request']>;
}

interface RunningNode {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly ports: NodePorts;
}

const portsFile = 'ports.json';
/** An adult answers from its disk; a silent one must not hold up a client's own deadline. */
const adultTimeoutMs = 6_000;
const elderTimeoutMs = 15_000;

export async function startLocalNetwork(options: LocalNetworkOptions): Promise<LocalNetwork> {
  const { folder, log, metrics, progress } = options;
  const jobs = createJobPool(availableParallelism());
  const stops: (() => Promise<void> | void)[] = [() => jobs.stop()];
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const adultCount = adultsIn(folder) || options.adults;
    const labels = {
      bootstrap: 'bootstrap',
      elders: Array.from({ length: ELDER_COUNT }, (_, n) => `elder-${n + 1}`),
      adults: Array.from({ length: adultCount }, (_, n) => `adult-${n + 1}`),
    };
    const hosts = createHosts(folder, log);
    stops.push(hosts.stop);
    progress('Starting the bootstrap node …');
    const bootstrap = await hosts.start(labels.bootstrap, 'bootstrap', null);
    const relay = {
      tcpAddress: `/ip4/127.0.0.1/tcp/${bootstrap.ports.tcp}/p2p/${bootstrap.host.peerId}`,
    };
    progress(`Starting ${ELDER_COUNT} elders and ${adultCount} adults …`);
    const elders: RunningNode[] = [];
    for (const label of labels.elders) elders.push(await hosts.start(label, 'elder', relay));
    const adults: RunningNode[] = [];
    for (const label of labels.adults) adults.push(await hosts.start(label, 'adult', relay));
    hosts.rememberPorts();

    const nodes = new Map(
      [...elders, ...adults].map((node) => [nameToId(node.identity.name), node]),
    );
    const addressesOf = (name: Uint8Array): readonly string[] =>
      nodes.get(nameToId(name))?.host.addresses() ?? [];
    const born: Born = await openBirth({
      folder,
      bootstrapFolder: bootstrap.identity.folder,
      elders,
      adults: adults.map(({ identity }) => identity.name),
      jobs,
      progress,
      log,
    });
    const { signed, file, secretShares } = born;
    // What lies on our own disk is checked like anybody else's word.
    if (!verifySignedAuthority(blsSuite, born.anchor, signed).ok)
      throw folderProblem('broken', folder.path);
    const { authority } = signed;
    const tag = networkTag(authority.networkId);
    const elderIds = new Set(authority.elders.map(({ name }) => nameToId(name)));

    const adultServices: AdultService[] = [];
    for (const { identity, host } of adults) {
      const facts = openFacts(join(identity.folder, 'facts'));
      stops.push(facts.close);
      const chunksFolder = join(identity.folder, 'chunks');
      mkdirSync(chunksFolder, { recursive: true, mode: 0o700 });
      const service = createAdultService({
        label: identity.label,
        networkId: authority.networkId,
        sign: createSigner(identity.seed),
        chunks: openChunks(chunksFolder),
        facts,
        isElder: (name) => elderIds.has(nameToId(name)),
        log,
        metrics,
      });
      await host.serve('data', tag, (bytes, from) => service.handle(bytes, from.name));
      adultServices.push(service);
    }

    const elderServices: ElderService[] = [];
    let records: readonly Uint8Array[] = [];
    const shared = { signed, addresses: () => records, log, metrics };
    for (const { identity, host } of elders) {
      const secretShare = secretShares.get(nameToId(identity.name));
      if (secretShare === undefined) throw folderProblem('broken', folder.path);
      const facts: FactStore = openFacts(join(identity.folder, 'facts'));
      stops.push(facts.close);
      const request: ElderOptions['request'] = (holder, bytes) =>
        host.request({ name: holder, addresses: addressesOf(holder) }, 'data', tag, bytes, {
          timeoutMs: adultTimeoutMs,
        });
      const { label, seed, name } = identity;
      const options = {
        label,
        name,
        identitySeed: seed,
        secretShare,
        facts,
        jobs,
        request,
        ...shared,
      };
      const service = await createElderService(options);
      stops.push(service.stop);
      elderServices.push(service);
      await host.serve('client', tag, service.handle);
    }
    const bootstrapService = createBootstrapService({
      label: labels.bootstrap,
      name: bootstrap.identity.name,
      ...shared,
    });
    await bootstrap.host.serve('client', tag, bootstrapService.handle);
    records = elders.map((elder) => addressRecord(elder, authority.networkId));

    return {
      file,
      authority,
      faucetSeed: born.faucetSeed,
      bootstrapFolder: bootstrap.identity.folder,
      jobs,
      bootstrapPeerId: bootstrap.host.peerId,
      bootstrapWsPort: bootstrap.ports.ws ?? 0,
      adults: adultServices,
      elders: elderServices,
      client: {
        request: (elder, bytes) =>
          bootstrap.host.request(
            { name: elder, addresses: addressesOf(elder) },
            'client',
            tag,
            bytes,
            {
              timeoutMs: elderTimeoutMs,
            },
          ),
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Hosts of one process: ports settled one after the other, remembered together. */
function createHosts(folder: DataFolder, log: Log) {
  const remembered = readPorts(folder);
  const taken = new Set<number>();
  const running: { readonly label: string; readonly ports: NodePorts; readonly host: NodeHost }[] =
    [];
  return {
    start: async (
      label: string,
      role: 'bootstrap' | 'elder' | 'adult',
      relay: { readonly tcpAddress: string } | null,
    ): Promise<RunningNode> => {
      const identity = await openIdentity(folder.node(label), label);
      const needs = { ws: role !== 'adult', rtc: role === 'elder' };
      const ports = await settlePorts(remembered[label], needs, taken);
      const host = await createNodeHost({
        identitySeed: identity.seed,
        role,
        tcpPort: ports.tcp,
        wsPort: ports.ws,
        rtcDirectPort: ports.rtc,
        ...(needs.rtc ? { rtcCertificate: openRtcCertificate(identity.folder) } : {}),
        bootstrap: relay,
        log: (line) => log.write({ event: 'host', ...line, node: label }),
      });
      running.push({ label, ports, host });
      return { identity, host, ports };
    },
    rememberPorts: (): void => {
      const ports = Object.fromEntries(running.map((each) => [each.label, each.ports]));
      folder.writeText(portsFile, `${JSON.stringify(ports, null, 2)}\n`);
    },
    stop: async (): Promise<void> => {
      await Promise.allSettled(running.map(({ host }) => host.stop()));
    },
  };
}

/** Remembered ports are a convenience: an unreadable file only costs new ones. */
function readPorts(folder: DataFolder): Readonly<Record<string, NodePorts | undefined>> {
  try {
    const value: unknown = JSON.parse(folder.readText(portsFile) ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, NodePorts>) : {};
  } catch {
    return {};
  }
}

/** How many adults this folder already has; 0 when the network is new. */
function adultsIn(folder: DataFolder): number {
  if (folder.readText('network.json') === null) return 0;
  return readdirSync(join(folder.path, 'nodes')).filter((name) => /^adult-\d+$/.test(name)).length;
}

function addressRecord({ identity, host }: RunningNode, networkId: Uint8Array): Uint8Array {
  const addresses = host
    .addresses()
    .filter(
      (address) => address.length <= maxAddressCharacters && !address.includes('/p2p-circuit'),
    )
    .slice(0, maxAddresses);
  const counter = nextAddressCounter(identity.folder);
  return encodeAddressRecord(signAddressRecord(identity.seed, networkId, counter, addresses));
}

/** For logs: which network this is. */
export const showNetwork = (authority: SectionAuthority): string =>
  toHex(authority.networkId.subarray(0, 8));
