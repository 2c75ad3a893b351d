/**
 * A whole network in one process: a bootstrap node, seven elders, adults; each its own libp2p host
 * and its own folder. The same services run one by one on machines of their own later.
 */
import { availableParallelism } from 'node:os';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { err } from '#core/result.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { createNodeHost, PortTaken, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { realSuites } from '#protocol/dkg/index.ts';
import {
  ELDER_COUNT,
  encodeSignedAuthority,
  verifySignedAuthority,
  type SectionAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { genesisState } from '#roles/section-node/first-hint.ts';
import { createJobPool, type JobPool } from '#runtime/jobs/pool-node.ts';
import { folderProblem } from '#storage/node/problem.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { createAddressBook } from './address-book.ts';
import { openBootstrapGuide } from './bootstrap-guide.ts';
import type { Log } from './log.ts';
import { machineSection } from './machine-section.ts';
import type { Metrics } from './metrics.ts';
import { openBirth, type Born } from './network-birth.ts';
import type { KeptNetworkFile } from './network-file.ts';
import { keepPorts, keptNetwork, keptPorts } from './network-folder.ts';
import { openIdentity, openRtcCertificate, type NodeIdentity } from './node-folder.ts';
import { announce, openNodeFacts, startNode, type RunningNode } from './node.ts';
import { listenOn, settlePorts, type NodePorts } from './ports.ts';

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
  /** The newest state that the bootstrap node has verified. */
  readonly signed: SignedAuthority;
  readonly anchor: TrustAnchor;
  /** Of the network's first coin. */
  readonly faucetSeed: Uint8Array;
  readonly bootstrapFolder: string;
  readonly jobs: JobPool;
  readonly bootstrapPeerId: string;
  readonly bootstrapWsPort: number;
  /** The nodes that were founding adults and founding elders. */
  readonly adults: readonly RunningNode[];
  readonly elders: readonly RunningNode[];
  /** A host and the elders' addresses for a program of this process that is a client (faucet). */
  readonly client: ElderClient;
  readonly stop: () => Promise<void>;
}

export interface ElderClient {
  readonly request: (elder: Uint8Array, request: Uint8Array) => ReturnType<NodeHost['request']>;
  /** Takes signed address records of elders it has heard of. */
  readonly records: (records: readonly Uint8Array[]) => void;
}

interface StartedHost {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly ports: NodePorts;
}

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
    const hosts = createHosts(folder);
    stops.push(hosts.stop);
    progress('Starting the bootstrap node …');
    const bootstrap = await hosts.start(labels.bootstrap, 'bootstrap', null);
    const relay = {
      tcpAddress: `/ip4/127.0.0.1/tcp/${bootstrap.ports.tcp}/p2p/${bootstrap.host.peerId}`,
    };
    progress(`Starting ${ELDER_COUNT} elders and ${adultCount} adults …`);
    const elders: StartedHost[] = [];
    for (const label of labels.elders) elders.push(await hosts.start(label, 'elder', relay));
    const adults: StartedHost[] = [];
    for (const label of labels.adults) adults.push(await hosts.start(label, 'adult', relay));
    hosts.rememberPorts();

    const born: Born = await openBirth({
      folder,
      bootstrapFolder: bootstrap.identity.folder,
      elders,
      adults: adults.map(({ identity }) => identity),
      jobs,
      progress,
      log,
      metrics,
    });
    const { signed, file, secretShares, anchor } = born;
    // What lies on our own disk is checked like anybody else's word.
    if (!verifySignedAuthority(blsSuite, anchor, signed).ok)
      throw folderProblem('broken', folder.path);
    const { authority } = signed;
    const tag = networkTag(authority.networkId);

    // One book for the process: its nodes need not be introduced to each other.
    const book = createAddressBook(authority.networkId, null);
    announce(bootstrap.identity, bootstrap.host, authority.networkId, book);
    const nodes: RunningNode[] = [];
    const running = new Map<string, RunningNode>();
    for (const { identity, host } of [...elders, ...adults]) {
      const facts = openNodeFacts(identity);
      stops.push(facts.close);
      const secretShare = secretShares.get(nameToId(identity.name));
      const index = authority.elders.find(
        ({ name }) => nameToId(name) === nameToId(identity.name),
      )?.index;
      const node = await startNode({
        identity,
        host,
        anchor,
        file,
        facts,
        book,
        jobs,
        log,
        metrics,
        dataLimitBytes: Number.POSITIVE_INFINITY,
        openSection: machineSection({
          identity,
          anchor,
          facts,
          jobs,
          metrics,
          suites: realSuites,
          founded:
            secretShare === undefined || index === undefined
              ? null
              : { sealed: genesisState(signed), secretShare, index },
          ask: async () => [
            { authority: encodeSignedAuthority(signed), ask: async () => err('no other node') },
          ],
          records: () => undefined,
          ticket: null,
          reach: async (name) =>
            (await running.get(nameToId(identity.name))?.greeter.reach(name)) ?? false,
        }),
      });
      running.set(nameToId(identity.name), node);
      stops.push(node.stop);
      nodes.push(node);
    }
    await Promise.all(nodes.map((node) => node.settled));
    const request = (name: Uint8Array, bytes: Uint8Array) =>
      bootstrap.host.request({ name, addresses: book.addressesOf(name) }, 'client', tag, bytes, {
        timeoutMs: elderTimeoutMs,
      });
    const records = (list: readonly Uint8Array[]): void => {
      for (const record of list) book.offer(record);
    };
    const guide = await openBootstrapGuide({
      identity: bootstrap.identity,
      host: bootstrap.host,
      anchor,
      born: signed,
      book,
      jobs,
      request,
      log,
      metrics,
    });
    stops.push(guide.stop);

    return {
      file,
      authority,
      get signed() {
        return guide.sections.signed();
      },
      anchor,
      faucetSeed: born.faucetSeed,
      bootstrapFolder: bootstrap.identity.folder,
      jobs,
      bootstrapPeerId: bootstrap.host.peerId,
      bootstrapWsPort: bootstrap.ports.ws ?? 0,
      adults: nodes.slice(elders.length),
      elders: nodes.slice(0, elders.length),
      client: { records, request },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Hosts of one process: ports settled one after the other, remembered together. */
function createHosts(folder: DataFolder) {
  const remembered = keptPorts(folder);
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
        (lost) => settlePorts(remembered[label], needs, new Set([...taken(), ...lost])),
        (at) =>
          createNodeHost({
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
      keepPorts(folder, ports);
    },
    stop: async (): Promise<void> => {
      await Promise.allSettled(running.map(({ host }) => host.stop()));
    },
  };
}

/** How many adults this folder already has; 0 when the network is new. */
function adultsIn(folder: DataFolder): number {
  if (keptNetwork(folder) === null) return 0;
  return readdirSync(join(folder.path, 'nodes')).filter((name) => /^adult-\d+$/.test(name)).length;
}

/** For logs: which network this is. */
export const showNetwork = (authority: SectionAuthority): string =>
  toHex(authority.networkId.subarray(0, 8));
