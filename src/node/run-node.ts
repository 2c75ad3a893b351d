/** `safe node`: one node in a process of its own, from its first knock to its last breath. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { EMPTY_PREFIX, showPrefix } from '#address/prefix.ts';
import { ageOf, nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { realSuites } from '#protocol/dkg/index.ts';
import { decodeTicketProof, type TicketProof } from '#protocol/membership/index.ts';
import { createJobPool, type JobPool } from '#runtime/jobs/pool-node.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem, Problem } from '#storage/node/problem.ts';
import { createAddressBook, type AddressBook } from './address-book.ts';
import { arrive, askLobby, parseJoinPoint, type JoinPoint } from './arrival.ts';
import { createStateAsking } from './first-state.ts';
import { startFounder } from './founder.ts';
import {
  addressesIn,
  genesisConfigOf,
  keepBirth,
  keptBirth,
  namesIn,
  tellBirth,
} from './founding.ts';
import { beginMove } from './begin-move.ts';
import { createGate } from './gate.ts';
import { startFront, type JsonHandler } from './http-front.ts';
import { machineSection, ticketFor } from './machine-section.ts';
import type { Metrics } from './metrics.ts';
import {
  forgetInvitation,
  keepInvitation,
  keepNetwork,
  keepPorts,
  keptInvitation,
  keptNetwork,
  keptPorts,
} from './network-folder.ts';
import {
  openIdentity,
  openRtcCertificate,
  readNextIdentity,
  takeNextIdentity,
  type NextIdentity,
  type NodeIdentity,
} from './node-folder.ts';
import { openNodeFacts, ownAddress, startNode, type RunningNode } from './node.ts';
import { asListenProblem, listenOn, settlePorts, type NodePorts } from './ports.ts';
import { logNumbers, progress, startProgram, type Program, type Stops } from './program.ts';
import type { Command } from './safe-args.ts';
import { cutSwitch, memoryAfterCollection, nodeSwitch, storageSwitch } from './test-controls.ts';

type NodeCommand = Extract<Command, { kind: 'node' }>;

const label = 'self';
const joinFile = 'join';
const askTimeoutMs = 10_000;

export async function runNode(command: NodeCommand): Promise<void> {
  const begun = startProgram(command.data, { fresh: false });
  const { folder, metrics, stops, stop } = begun;
  const joinPoint = joinPointOf(command, folder);
  const nodeFolder = folder.node(label);
  const jobs = createJobPool(availableParallelism());
  stops.push(jobs.stop);
  const posts: Record<string, JsonHandler> = {};
  const program: NodeProgram = { ...begun, command, joinPoint, jobs, posts, now: {} };
  const first = await openIdentity(nodeFolder, label, command.joinPrefix);
  if (command.metricsPort !== null) {
    const status = (): object => statusOf(program.now.identity ?? first, program.now.node);
    const front = await startMetrics(command, command.metricsPort, metrics, posts, status);
    stops.push(front.close);
  }
  if (command.testControls) posts['/test/memory'] = memoryAfterCollection();
  logNumbers(begun, label);
  stop.whenAsked();

  // One life after the other: a node that has to move starts again under its new name.
  for (;;) {
    const identity = await openIdentity(nodeFolder, label, command.joinPrefix);
    const next = readNextIdentity(nodeFolder);
    const lifeStops: Stops = [];
    const endLife = async (): Promise<void> => {
      for (const each of lifeStops.splice(0).reverse()) await each();
    };
    stops.push(endLife);
    const life = next === null ? identity : { ...identity, seed: next.seed, name: next.name };
    await live(program, life, next === null ? null : { old: identity, next }, lifeStops);
    stops.splice(stops.indexOf(endLife), 1);
    await endLife();
  }
}

interface NodeProgram extends Program {
  readonly command: NodeCommand;
  readonly joinPoint: JoinPoint | null;
  readonly jobs: JobPool;
  readonly posts: Record<string, JsonHandler>;
  /** For whoever asks how the node stands. */
  readonly now: { identity?: NodeIdentity; node?: RunningNode };
}

/** One name's life: from its host to its section. Resolves when the node has to take another name. */
async function live(
  program: NodeProgram,
  identity: NodeIdentity,
  move: { readonly old: NodeIdentity; readonly next: NextIdentity } | null,
  stops: Stops,
): Promise<void> {
  const { command, folder, log, metrics, joinPoint, jobs, posts, now } = program;
  now.identity = identity;
  progress(`This is node ${shortName(identity)}, age ${ageOf(identity.name)}.`);
  const host = await startHost(command, folder, identity, joinPoint);
  stops.push(host.stop);
  const facts = openNodeFacts(identity);
  stops.push(facts.close);
  if (command.testControls) posts['/test/cut'] = cutSwitch(host);

  // Whatever was learnt or made is on disk before it is used: a restart goes on from there.
  let file = keptNetwork(folder)?.file ?? null;
  let invitation = keptInvitation(folder);
  let records: readonly Uint8Array[] = [];
  if (file === null && invitation === null) {
    const arrived = await arrive(identity, host, needed(joinPoint), progress);
    if (arrived.kind === 'founding') keepInvitation(folder, (invitation = arrived.invitation));
    else ({ file, records } = arrived);
  }
  const founders = invitation === null ? [] : namesIn(invitation);
  const isFounder = founders.some((name) => nameToId(name) === nameToId(identity.name));
  if (invitation !== null && isFounder) {
    progress(
      file === null ? 'Founding the network: seven founders make its key …' : 'Founded before.',
    );
    const founder = await startFounder({
      config: genesisConfigOf(invitation),
      identity,
      host,
      addressesOf: addressesIn(invitation),
      facts,
      jobs,
      log,
      gate: createGate(metrics),
    });
    stops.push(founder.stop);
    const born = await founder.born;
    file = keepBirth(folder, identity, invitation, born);
    void tellBirth(host, needed(joinPoint), born.signed, founder, folder);
  } else if (file === null) {
    const arrived = await arrive(identity, host, needed(joinPoint), progress, 'network');
    if (arrived.kind !== 'network') throw new Error('invariant broken: waited for a network');
    ({ file, records } = arrived);
  }
  if (file === null) throw new Error('invariant broken: there is a network now');
  keepNetwork(folder, file);
  if (!isFounder) forgetInvitation(folder);

  const anchor = keptNetwork(folder)?.anchor;
  if (anchor === undefined) throw folderProblem('broken', folder.path);
  const book = createAddressBook(anchor.networkId, join(identity.folder, 'addresses'), {
    failed: (error) => log.write({ event: 'addressesNotKept', node: label, error: String(error) }),
  });
  for (const record of records) book.offer(record);
  const founded = keptBirth(identity, anchor, realSuites.threshold);
  let shown = '';
  let moved: () => void = () => undefined;
  let votedOut: () => void = () => undefined;
  const over = new Promise<void>((done, failed) => {
    moved = () => done();
    votedOut = () => failed(new Problem('broken', votedOutSentence));
  });
  over.catch(() => undefined); // It may fail before anybody waits for it.
  let isRemoved = false;
  const tag = networkTag(anchor.networkId);
  let searches = 0;
  const askState = createStateAsking({
    own: identity.name,
    trusted: book.pinned,
    names: book.names,
    request: (name, request) =>
      host.request({ name, addresses: book.addressesOf(name) }, 'client', tag, request, {
        timeoutMs: askTimeoutMs,
      }),
  });
  const started = await startNode({
    identity,
    host,
    anchor,
    file,
    facts,
    book,
    jobs,
    log,
    metrics,
    dataLimitBytes: command.dataLimitBytes,
    openSection: machineSection({
      identity,
      anchor,
      facts,
      jobs,
      metrics,
      suites: realSuites,
      founded,
      ask: async () => {
        const told = await askState();
        searches += 1;
        // Nobody of those it knows is there, or they lead nowhere: the join point may know others by now.
        const isVain = told.length === 0 || searches % searchesPerJoinPoint === 0;
        if (isVain && joinPoint !== null) await learnFrom(host, joinPoint, book);
        return told;
      },
      records: (records) => {
        for (const record of records) book.offer(record);
      },
      ticket: move === null ? null : ticketOf(anchor.networkId, move),
      reach: async (name) => (await now.node?.greeter.reach(name)) ?? false,
    }),
    onRemoved: () => {
      isRemoved = true;
      progress('The section has voted this node out.');
    },
    onStanding: ({ role, signed }) => {
      // N29: an elder stays one until the key is replaced, even when it is no member any more.
      if (isRemoved && role === 'outsider') return votedOut();
      // Taken in under the new name: from now on that is the node's.
      if (move !== null && role !== 'outsider') takeNextIdentity(identity.folder);
      const standing = `${role} ${toHex(signed.authority.key)}`;
      if (standing === shown) return;
      shown = standing;
      const { prefix, generation } = signed.authority;
      progress(`Role: ${role} in section ${showPrefix(prefix)}, generation ${generation}.`);
    },
    onRefused: progress,
    onRelocate: ({ ticket, age, destination }) => {
      progress(`The section moves this node on, with age ${age}: it takes a new name.`);
      const prefix = now.node?.prefixOf(destination) ?? EMPTY_PREFIX;
      const failed = (error: unknown): void =>
        log.write({ event: 'moveFailed', node: label, error: String(error) });
      void beginMove({ folder: identity.folder, ticket, age, prefix, failed }).then(moved);
    },
  });
  now.node = started;
  stops.push(started.stop);
  if (command.testControls) {
    posts['/test/adult'] = nodeSwitch(started);
    posts['/test/storage'] = storageSwitch(started);
  }
  const meet = async (): Promise<void> => {
    if (joinPoint !== null) await learnAddresses(host, joinPoint, book);
    await started.greeter.greetAll();
  };
  // The rounds of the greeter go on without it.
  meet().catch((error: unknown) =>
    log.write({ event: 'meetFailed', node: label, error: String(error) }),
  );
  await Promise.race([started.settled, over]);
  process.stdout.write(`Safe node ${shortName(identity)} is ready: ${ownAddress(host)}\n`);
  await over;
}

const votedOutSentence =
  'This node is no member any more: start a new one in another folder with --data DIR.';

/** N38: the ticket, with the new name signed by the old one. */
function ticketOf(
  networkId: Uint8Array,
  { old, next }: { readonly old: NodeIdentity; readonly next: NextIdentity },
): TicketProof {
  const ticket = decodeTicketProof(next.ticket);
  if (!ticket.ok) throw new Problem('broken', 'The ticket of this move is damaged.');
  return ticketFor(networkId, ticket.value, old.seed, next.name);
}

const shortName = (identity: NodeIdentity): string => toHex(identity.name).slice(0, 12);

function joinPointOf(command: NodeCommand, folder: DataFolder): JoinPoint | null {
  const text = command.join ?? folder.readText(joinFile)?.trim() ?? null;
  if (text === null) {
    if (keptNetwork(folder) !== null) return null;
    throw new Problem(
      'broken',
      `This folder belongs to no network yet: say where to come in with --join MULTIADDR.`,
    );
  }
  const point = parseJoinPoint(text);
  if (point === undefined) {
    throw new Problem(
      'broken',
      `"${text}" is not the address of a node: copy the line that "safe network create" printed, for --join MULTIADDR.`,
    );
  }
  folder.writeText(joinFile, `${text}\n`);
  return point;
}

function needed(point: JoinPoint | null): JoinPoint {
  if (point !== null) return point;
  throw new Problem('broken', 'Say where to come in: --join MULTIADDR.');
}

async function startHost(
  command: NodeCommand,
  folder: DataFolder,
  identity: NodeIdentity,
  joinPoint: JoinPoint | null,
): Promise<NodeHost> {
  const remembered = keptPorts(folder)[label];
  const wanted =
    command.port === null
      ? remembered
      : { tcp: command.port, ws: remembered?.ws ?? null, rtc: remembered?.rtc ?? null };
  const choose = async (lost: ReadonlySet<number>): Promise<NodePorts> => {
    const ports = await settlePorts(wanted, { ws: true, rtc: true }, new Set(lost), command.listen);
    if (command.port !== null && ports.tcp !== command.port) {
      throw new Problem(
        'portTaken',
        `Port ${command.port} is taken by another program: stop it, or choose another port with --port.`,
      );
    }
    return ports;
  };
  const listen = (ports: NodePorts): Promise<NodeHost> =>
    createNodeHost({
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
    keepPorts(folder, { [label]: ports });
    return host;
  } catch (error) {
    throw asListenProblem(error, command.listen);
  }
}

async function learnFrom(host: NodeHost, at: JoinPoint, book: AddressBook): Promise<void> {
  const reply = await askLobby(host, at, { kind: 'which' });
  if (reply?.kind === 'network') for (const record of reply.records) book.offer(record);
}

/** A node that is no member after so many searches asks its join point once more. */
const searchesPerJoinPoint = 8;

/** A join point may still be busy being born; without one a returning node has its own book. */
async function learnAddresses(host: NodeHost, at: JoinPoint, book: AddressBook): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    await learnFrom(host, at, book);
    if (book.names().length > 1) return;
    await new Promise((go) => setTimeout(go, 500).unref());
  }
}

const startMetrics = (
  { hostNames }: NodeCommand,
  port: number,
  metrics: Metrics,
  posts: Record<string, JsonHandler>,
  status: () => object,
) =>
  startFront({
    port,
    files: { answer: () => ({ status: 404, headers: {}, body: Buffer.from('Not found.\n') }) },
    networkFile: () => '',
    wsPort: () => null,
    metrics: metrics.toText,
    posts,
    jsons: { '/status.json': status },
    hostNames,
    count: () => undefined,
  });

function statusOf(identity: NodeIdentity, node: RunningNode | undefined): object {
  const authority = node?.signed()?.authority;
  return {
    name: toHex(identity.name),
    age: ageOf(identity.name),
    role: node?.role() ?? 'arriving',
    prefix: authority === undefined ? null : showPrefix(authority.prefix),
    key: authority === undefined ? null : toHex(authority.key),
    generation: authority === undefined ? null : Number(authority.generation),
    members: authority?.members.length ?? 0,
  };
}
