/** `safe node`: one node in a process of its own, from its first knock to its last breath. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { EMPTY_PREFIX, showPrefix } from '#address/prefix.ts';
import { ageOf, nameToId, toXorName } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { createNodeHost, PortTaken, type NodeHost } from '#network/node-host.ts';
import { realSuites } from '#protocol/dkg/index.ts';
import { decodeTicketProof, type TicketProof } from '#protocol/membership/index.ts';
import {
  decodeAddressRecord,
  decodeSignedAuthority,
  ELDER_COUNT,
  encodeSignedAuthority,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import type { GenesisConfig } from '#roles/genesis/index.ts';
import { decodeClientReply, encodeClientRequest } from '#roles/wire/client.ts';
import { decodeInvitation, encodeInvitation, type Invitation } from '#roles/wire/lobby.ts';
import { networkTag } from '#network/protocols.ts';
import { createJobPool, type JobPool } from '#runtime/jobs/pool-node.ts';
import { openDataFolder, replaceFile, type DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem, Problem } from '#storage/node/problem.ts';
import { createAddressBook, type AddressBook } from './address-book.ts';
import { arrive, askLobby, parseJoinPoint, type JoinPoint } from './arrival.ts';
import { startFounder, type Founder } from './founder.ts';
import { startFront, type JsonHandler } from './http-front.ts';
import { openLog, type Log } from './log.ts';
import { genesisState, machineSection, ticketFor } from './machine-section.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { makeNetworkFile, parseNetworkFile, type KeptNetworkFile } from './network-file.ts';
import {
  openIdentity,
  openNextIdentity,
  openRtcCertificate,
  readNextIdentity,
  readSecret,
  takeNextIdentity,
  writeSecret,
  type NextIdentity,
  type NodeIdentity,
} from './node-folder.ts';
import { openNodeFacts, startNode, type RunningNode } from './node.ts';
import { settlePorts, type NodePorts } from './ports.ts';
import { createStop, progress, surviveOthers } from './program.ts';
import type { Command } from './safe-args.ts';
import { cutSwitch, memoryAfterCollection, nodeSwitch, storageSwitch } from './test-controls.ts';

type NodeCommand = Extract<Command, { kind: 'node' }>;
type Stops = (() => Promise<void> | void)[];

const label = 'self';
const portsFile = 'ports.json';
const joinFile = 'join';
const invitationFile = 'invitation';
const networkFile = 'network.json';
const shareFile = 'share.key';
const authorityFile = 'authority';
export const numbersEveryMs = 30_000;
const gossipEveryMs = 500;
const askTimeoutMs = 10_000;

export async function runNode(command: NodeCommand): Promise<void> {
  const stops: Stops = [];
  const stop = createStop(stops);
  const folder = openDataFolder(command.data, { fresh: false });
  stops.push(folder.close);
  const log = openLog(join(folder.path, 'log'));
  stops.push(log.close);
  surviveOthers(log);
  const metrics = createMetrics();
  stops.push(metrics.stop);

  const joinPoint = joinPointOf(command, folder);
  const nodeFolder = folder.node(label);
  const jobs = createJobPool(availableParallelism());
  stops.push(jobs.stop);
  const posts: Record<string, JsonHandler> = {};
  const program: Program = { command, folder, log, metrics, joinPoint, jobs, posts, now: {} };
  const first = await openIdentity(nodeFolder, label, command.joinPrefix);
  if (command.metricsPort !== null) {
    const status = (): object => statusOf(program.now.identity ?? first, program.now.node);
    const front = await startMetrics(command.metricsPort, metrics, posts, status);
    stops.push(front.close);
  }
  if (command.testControls) posts['/test/memory'] = memoryAfterCollection();
  const timer = setInterval(
    () => log.write({ event: 'numbers', node: label, numbers: metrics.toNumbers() }),
    numbersEveryMs,
  );
  stops.push(() => clearInterval(timer));
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

interface Program {
  readonly command: NodeCommand;
  readonly folder: DataFolder;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly joinPoint: JoinPoint | null;
  readonly jobs: JobPool;
  readonly posts: Record<string, JsonHandler>;
  /** For whoever asks how the node stands. */
  readonly now: { identity?: NodeIdentity; node?: RunningNode };
}

/** One name's life: from its host to its section. Resolves when the node has to take another name. */
async function live(
  program: Program,
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
  let file = keptFile(folder);
  let invitation = keptInvitation(folder);
  let records: readonly Uint8Array[] = [];
  if (file === null && invitation === null) {
    const arrived = await arrive(identity, host, needed(joinPoint), progress);
    if (arrived.kind === 'founding') invitation = keepInvitation(folder, arrived.invitation);
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
  folder.writeText(networkFile, `${JSON.stringify(file, null, 2)}\n`);
  if (!isFounder) rmSync(join(folder.path, invitationFile), { force: true });

  const { anchor } = parseNetworkFile(JSON.stringify(file)) ?? {};
  if (anchor === undefined) throw folderProblem('broken', folder.path);
  const book = createAddressBook(anchor.networkId, join(identity.folder, 'addresses'));
  for (const record of records) book.offer(record);
  const secretShare = readSecret(identity.folder, shareFile);
  const founded = keptAuthority(identity);
  const elder = founded?.authority.elders.find(
    ({ name }) => nameToId(name) === nameToId(identity.name),
  );
  let shown = '';
  let moved: () => void = () => undefined;
  let votedOut: () => void = () => undefined;
  const over = new Promise<void>((done, failed) => {
    moved = () => done();
    votedOut = () => failed(new Problem('broken', votedOutSentence));
  });
  over.catch(() => undefined); // It may fail before anybody waits for it.
  let isRemoved = false;
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
      founded:
        secretShare === null || elder === undefined || founded === null
          ? null
          : { sealed: genesisState(founded), secretShare, index: elder.index },
      ask: () => askAuthority(host, book.names(), book.addressesOf, networkTag(anchor.networkId)),
      ticket: move === null ? null : ticketOf(anchor.networkId, move),
      reach: async (name) => (await now.node?.greeter.greet(name)) ?? false,
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
      openNextIdentity(identity.folder, ticket, age, prefix).then(moved, (error: unknown) =>
        log.write({ event: 'moveFailed', node: label, error: String(error) }),
      );
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
  void meet();
  await Promise.race([started.settled, over]);
  process.stdout.write(`Safe node ${shortName(identity)} is ready: ${own(host)}\n`);
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

const own = (host: NodeHost): string =>
  host
    .addresses()
    .find((each) => each.includes('/tcp/') && !each.includes('/ws') && !each.includes('circuit')) ??
  '';

function joinPointOf(command: NodeCommand, folder: DataFolder): JoinPoint | null {
  const text = command.join ?? folder.readText(joinFile)?.trim() ?? null;
  if (text === null) {
    if (folder.readText(networkFile) !== null) return null;
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
  const remembered = rememberedPorts(folder);
  const wanted =
    command.port === null
      ? remembered
      : { tcp: command.port, ws: remembered?.ws ?? null, rtc: remembered?.rtc ?? null };
  const ports = await settlePorts(wanted, { ws: true, rtc: true }, new Set());
  if (command.port !== null && ports.tcp !== command.port) {
    throw new Problem(
      'portTaken',
      `Port ${command.port} is taken by another program: stop it, or choose another port with --port.`,
    );
  }
  folder.writeText(portsFile, `${JSON.stringify({ [label]: ports }, null, 2)}\n`);
  try {
    return await createNodeHost({
      identitySeed: identity.seed,
      role: 'elder',
      listen: command.listen,
      tcpPort: ports.tcp,
      wsPort: ports.ws,
      rtcDirectPort: ports.rtc,
      rtcCertificate: openRtcCertificate(identity.folder),
      bootstrap: { tcpAddress: joinPoint?.address ?? null },
      log: () => undefined,
    });
  } catch (error) {
    if (!(error instanceof PortTaken)) throw error;
    throw new Problem(
      'portTaken',
      `${command.listen} cannot be listened on at port ${ports.tcp}: choose an address of this machine with --listen, or another --port.`,
    );
  }
}

function rememberedPorts(folder: DataFolder): NodePorts | undefined {
  try {
    const value = JSON.parse(folder.readText(portsFile) ?? '{}') as Record<string, NodePorts>;
    return value[label];
  } catch {
    return undefined; // Only new ports are lost.
  }
}

const keptFile = (folder: DataFolder): KeptNetworkFile | null => {
  const text = folder.readText(networkFile);
  if (text === null) return null;
  const parsed = parseNetworkFile(text);
  if (parsed === undefined) throw folderProblem('broken', folder.path);
  return parsed.file;
};

const keptInvitation = (folder: DataFolder): Invitation | null => {
  const text = folder.readText(invitationFile);
  if (text === null) return null;
  const bytes = fromHex(text.trim());
  const invitation = bytes.ok ? decodeInvitation(bytes.value) : bytes;
  if (!invitation.ok) throw folderProblem('broken', folder.path);
  return invitation.value;
};

const keepInvitation = (folder: DataFolder, invitation: Invitation): Invitation => {
  folder.writeText(invitationFile, `${toHex(encodeInvitation(invitation))}\n`);
  return invitation;
};

function keptAuthority(identity: NodeIdentity): SignedAuthority | null {
  const path = join(identity.folder, authorityFile);
  if (!existsSync(path)) return null;
  const decoded = decodeSignedAuthority(new Uint8Array(readFileSync(path)));
  return decoded.ok ? decoded.value : null;
}

/** The share first, the network's file last: without that there is no birth. */
function keepBirth(
  folder: DataFolder,
  identity: NodeIdentity,
  invitation: Invitation,
  born: { readonly signed: SignedAuthority; readonly secretShare: Uint8Array },
): KeptNetworkFile {
  writeSecret(identity.folder, shareFile, born.secretShare);
  replaceFile(join(identity.folder, authorityFile), encodeSignedAuthority(born.signed), 0o600);
  const supply = invitation.genesisOutput?.amount ?? 0n;
  const file = makeNetworkFile(invitation.networkName, born.signed.authority.key, supply);
  folder.writeText(networkFile, `${JSON.stringify(file, null, 2)}\n`);
  return file;
}

/** Until all seven are born somebody may need our answers; then what the birth needed is erased. */
async function tellBirth(
  host: NodeHost,
  at: JoinPoint,
  signed: SignedAuthority,
  founder: Founder,
  folder: DataFolder,
): Promise<void> {
  const authority = encodeSignedAuthority(signed);
  for (;;) {
    const reply = await askLobby(host, at, { kind: 'born', authority });
    if (reply?.kind === 'heard' && reply.count === ELDER_COUNT) break;
    await new Promise((go) => setTimeout(go, 1_000).unref());
  }
  founder.stop();
  await founder.forget();
  rmSync(join(folder.path, invitationFile), { force: true });
}

const namesIn = (invitation: Invitation): readonly Uint8Array[] =>
  invitation.elders.map(({ record }) => nameInRecord(record));

function nameInRecord(bytes: Uint8Array): Uint8Array {
  const record = decodeAddressRecord(bytes);
  if (!record.ok) throw new Problem('broken', 'The invitation is damaged: start again elsewhere.');
  return record.value.name;
}

function addressesIn(invitation: Invitation): (name: Uint8Array) => readonly string[] {
  const known = new Map(
    invitation.elders.map(({ record }) => {
      const decoded = decodeAddressRecord(record);
      return [nameToId(nameInRecord(record)), decoded.ok ? decoded.value.addresses : []] as const;
    }),
  );
  return (name) => known.get(nameToId(name)) ?? [];
}

/** The same for all seven, from the invitation alone (genesis README). */
export const genesisConfigOf = (
  invitation: Invitation,
): Omit<GenesisConfig, 'self' | 'identitySeed' | 'sharingSecret'> => ({
  candidates: namesIn(invitation).map(toXorName),
  adults: invitation.adults.map(({ record }) => toXorName(nameInRecord(record))),
  sharingKeys: new Map(
    [...invitation.elders, ...invitation.adults].map(({ record, sharingKey }) => [
      nameToId(toXorName(nameInRecord(record))),
      sharingKey,
    ]),
  ),
  networkName: invitation.networkName,
  nonce: invitation.nonce,
  genesisOutput: invitation.genesisOutput,
  gossipEveryMs,
  suites: realSuites,
});

/** Asks the nodes we know, in turn, for the newest signed state. */
async function askAuthority(
  host: NodeHost,
  names: readonly Uint8Array[],
  addressesOf: (name: Uint8Array) => readonly string[],
  tag: string,
): Promise<Uint8Array | null> {
  for (const name of names) {
    const to = { name, addresses: addressesOf(name) };
    const request = encodeClientRequest({ kind: 'authority' });
    const answer = await host.request(to, 'client', tag, request, { timeoutMs: askTimeoutMs });
    const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
    if (reply?.ok === true && reply.value.kind === 'authority') return reply.value.authority;
  }
  return null;
}

/** A join point may still be busy being born; without one a returning node has its own book. */
async function learnAddresses(host: NodeHost, at: JoinPoint, book: AddressBook): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    const reply = await askLobby(host, at, { kind: 'which' });
    if (reply?.kind === 'network') for (const record of reply.records) book.offer(record);
    if (book.names().length > 1) return;
    await new Promise((go) => setTimeout(go, 500).unref());
  }
}

export const startMetrics = (
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
