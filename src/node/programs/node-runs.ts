/** The runs of one node, one per name: a relocating node starts again under its new name. */
import { join } from 'node:path';
import { EMPTY_PREFIX, showPrefix } from '#address/prefix.ts';
import { ageOf } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import {
  decodeRelocationCertificate,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { FileProblem, folderProblem, Problem } from '#storage/node/problem.ts';
import {
  activateNextIdentity,
  openIdentity,
  openRtcCertificate,
  readNextIdentity,
  type NextIdentity,
  type NodeIdentity,
} from '../data-folder/node-identity.ts';
import { loadNetwork, loadPorts, savePorts } from '../data-folder/saved-network.ts';
import { loadGenesis } from '../genesis/genesis-result.ts';
import { findNetwork } from './find-network.ts';
import { nodeLabel, type NodeProgram, type NodeRun, type Relocation } from './node-program.ts';
import { queryLobby, type JoinPoint } from '../joining/network-join.ts';
import { prepareRelocation } from '../joining/prepare-relocation.ts';
import { createStateRequests } from '../joining/state-search.ts';
import { openNodeFacts, startNode, type NodeOptions } from '../node.ts';
import { createAddressBook, type AddressBook } from '../peers/address-book.ts';
import { choosePorts, listenOn, toListenProblem, type NodePorts } from '../peers/listen-ports.ts';
import { ownAddress } from '../peers/own-addresses.ts';
import type { OpenSection } from '../section/section-handle.ts';
import { certificateFor } from '../section/section-runner.ts';
import { progress, type Stops } from './program-lifecycle.ts';

const label = nodeLabel;
const askTimeoutMs = 10_000;

/** Never resolves: a node runs until its process ends. Errors: rejects when a run ends with one. */
export async function runUnderNames(program: NodeProgram): Promise<never> {
  const { folder, command, stops } = program;
  const nodeFolder = folder.node(label);
  for (;;) {
    const identity = await openIdentity(nodeFolder, label, command.joinPrefix);
    const next = readNextIdentity(nodeFolder);
    const runStops: Stops = [];
    const endRun = async (): Promise<void> => {
      for (const each of runStops.splice(0).reverse()) await each();
    };
    stops.push(endRun);
    const current = next === null ? identity : { ...identity, seed: next.seed, name: next.name };
    await runUnderName(program, current, next === null ? null : { old: identity, next }, runStops);
    stops.splice(stops.indexOf(endRun), 1);
    await endRun();
  }
}

/** Runs one name, from its host to its section. Resolves when the node must take another name. */
async function runUnderName(
  program: NodeProgram,
  identity: NodeIdentity,
  relocation: Relocation | null,
  stops: Stops,
): Promise<void> {
  const { command, folder, log, joinPoint, current } = program;
  current.identity = identity;
  progress(`This is node ${shortName(identity)}, age ${ageOf(identity.name)}.`);
  const host = await startHost(program, identity);
  stops.push(host.stop);
  const facts = openNodeFacts(identity);
  stops.push(facts.close);
  const run: NodeRun = { program, identity, relocation, host, facts, stops };

  const { file, records } = await findNetwork(run);
  const anchor = loadNetwork(folder)?.anchor;
  if (anchor === undefined) throw folderProblem('broken', folder.path);
  const book = createAddressBook(anchor.networkId, join(identity.folder, 'addresses'), {
    onError: (error) =>
      log.write({ event: 'addressesNotSaved', node: label, error: String(error) }),
  });
  for (const record of records) book.offer(record);
  const end = createRunEnd();
  const started = await startNode({
    ...{ identity, host, anchor, file, facts, book, log },
    jobs: program.jobs,
    metrics: program.metrics,
    dataLimitBytes: command.dataLimitBytes,
    openSection: sectionOf(run, anchor, book),
    ...standingCallbacks(run, end),
  });
  current.node = started;
  stops.push(started.stop);
  const exchangeAddresses = async (): Promise<void> => {
    if (joinPoint !== null) await waitForAddresses(host, joinPoint, book);
    await started.peerExchange.exchangeWithAll();
  };
  // Regular exchanges continue without it.
  exchangeAddresses().catch((error: unknown) =>
    log.write({ event: 'addressExchangeFailed', node: label, error: String(error) }),
  );
  await Promise.race([started.settled, end.ended]);
  process.stdout.write(`Safe node ${shortName(identity)} is ready: ${ownAddress(host)}\n`);
  await end.ended;
}

/** How a run ends: under another name, or with a problem when the node was voted out. */
interface RunEnd {
  readonly ended: Promise<void>;
  readonly relocated: () => void;
  readonly votedOut: () => void;
}

function createRunEnd(): RunEnd {
  let relocated: () => void = () => undefined;
  let votedOut: () => void = () => undefined;
  const ended = new Promise<void>((done, failed) => {
    relocated = () => done();
    votedOut = () => failed(new Problem('broken', votedOutSentence));
  });
  ended.catch(() => undefined); // It may reject before it is awaited.
  return { ended, relocated, votedOut };
}

function sectionOf(run: NodeRun, anchor: TrustAnchor, book: AddressBook): OpenSection {
  const { program, identity, relocation, host, facts } = run;
  const { jobs, metrics, joinPoint, parts, current } = program;
  const tag = networkTag(anchor.networkId);
  const genesis = loadGenesis(identity, anchor, productionSuites.threshold);
  let searches = 0;
  const requestStates = createStateRequests({
    own: identity.name,
    trusted: book.pinned,
    names: book.names,
    request: (name, request) =>
      host.request({ name, addresses: book.addressesOf(name) }, 'client', tag, request, {
        timeoutMs: askTimeoutMs,
      }),
  });
  return parts.runSection({
    ...{ identity, anchor, facts, jobs, metrics, genesis },
    suites: productionSuites,
    requestStates: async () => {
      const answers = await requestStates();
      searches += 1;
      // No known node answers, or none leads to our state: the join point may know others by now.
      const isFruitless = answers.length === 0 || searches % searchesPerJoinPoint === 0;
      if (isFruitless && joinPoint !== null) await addRecordsFrom(host, joinPoint, book);
      return answers;
    },
    records: (records) => {
      for (const record of records) book.offer(record);
    },
    certificate: relocation === null ? null : certificateOf(anchor.networkId, relocation),
    reach: async (name) => (await current.node?.peerExchange.reach(name)) ?? false,
  });
}

type StandingCallbacks = Required<
  Pick<NodeOptions, 'onRemoved' | 'onStandingChange' | 'onRefused' | 'onRelocate'>
>;

function standingCallbacks(
  { program, identity, relocation }: NodeRun,
  end: RunEnd,
): StandingCallbacks {
  const { current, log } = program;
  let shown = '';
  let isRemoved = false;
  return {
    onRemoved: () => {
      isRemoved = true;
      progress('The section has voted this node out.');
    },
    onStandingChange: ({ role, signed }) => {
      // N29: an elder stays one until the key is replaced, even when it is no longer a member.
      if (isRemoved && role === 'outsider') return end.votedOut();
      // Admitted under the new name: activate it.
      if (relocation !== null && role !== 'outsider') activateNextIdentity(identity.folder);
      const standing = `${role} ${toHex(signed.authority.key)}`;
      if (standing === shown) return;
      shown = standing;
      const { prefix, generation } = signed.authority;
      progress(`Role: ${role} in section ${showPrefix(prefix)}, generation ${generation}.`);
    },
    onRefused: progress,
    onRelocate: ({ certificate, age, destination }) => {
      progress(`The section relocates this node, with age ${age}: it takes a new name.`);
      const { folder } = identity;
      const prefix = current.node?.prefixOf(destination) ?? EMPTY_PREFIX;
      const onError = (error: unknown): void =>
        log.write({ event: 'relocationFailed', node: label, error: String(error) });
      void prepareRelocation({ folder, certificate, age, destination, prefix, onError }).then(
        end.relocated,
      );
    },
  };
}

const votedOutSentence =
  'This node is no longer a member: start a new one in another folder with --data DIR.';

/** N38: the relocation certificate, with the new name signed by the old key. */
function certificateOf(
  networkId: Uint8Array,
  { old, next }: { readonly old: NodeIdentity; readonly next: NextIdentity },
): RelocationCertificate {
  const certificate = decodeRelocationCertificate(next.certificate);
  if (!certificate.ok) throw new FileProblem('broken', 'The relocation certificate is damaged.');
  return certificateFor(networkId, certificate.value, old.seed, next.name);
}

const shortName = (identity: NodeIdentity): string => toHex(identity.name).slice(0, 12);

async function startHost(
  { command, folder, joinPoint, parts }: NodeProgram,
  identity: NodeIdentity,
): Promise<NodeHost> {
  const remembered = loadPorts(folder)[label];
  const wanted =
    command.port === null
      ? remembered
      : { tcp: command.port, ws: remembered?.ws ?? null, rtc: remembered?.rtc ?? null };
  const choose = async (lost: ReadonlySet<number>): Promise<NodePorts> => {
    const ports = await choosePorts(wanted, { ws: true, rtc: true }, new Set(lost), command.listen);
    if (command.port !== null && ports.tcp !== command.port) {
      throw new Problem(
        'portTaken',
        `Port ${command.port} is taken by another program: stop it, or choose another port with --port.`,
      );
    }
    return ports;
  };
  const listen = (ports: NodePorts): Promise<NodeHost> =>
    parts.createHost({
      identitySeed: identity.seed,
      role: 'elder',
      listen: command.listen,
      tcpPort: ports.tcp,
      wsPort: ports.ws,
      rtcDirectPort: ports.rtc,
      rtcCertificate: openRtcCertificate(identity.folder),
      bootstrap: { tcpAddress: joinPoint?.address ?? null },
    });
  try {
    const { ports, listening: host } = await listenOn(choose, listen);
    savePorts(folder, { [label]: ports });
    return host;
  } catch (error) {
    throw toListenProblem(error, command.listen);
  }
}

async function addRecordsFrom(host: NodeHost, at: JoinPoint, book: AddressBook): Promise<void> {
  const reply = await queryLobby(host, at, { kind: 'describe' });
  if (reply?.kind === 'network') for (const record of reply.records) book.offer(record);
}

/** A node that is not a member queries its join point again after this many searches. */
const searchesPerJoinPoint = 8;

/** A join point may still run genesis; without one a returning node has its own address book. */
async function waitForAddresses(host: NodeHost, at: JoinPoint, book: AddressBook): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    await addRecordsFrom(host, at, book);
    if (book.names().length > 1) return;
    await new Promise((go) => setTimeout(go, 500).unref());
  }
}
