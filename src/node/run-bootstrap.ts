/**
 * `safe network create`: brings seven founders together, hears that the network is born, and from
 * then on leads whoever comes to the nodes. It holds no key share; the network lives without it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { genesisKeyPair } from '#money/keys.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { lobbyTag, networkTag } from '#network/protocols.ts';
import {
  decodeSignedAuthority,
  ELDER_COUNT,
  networkIdOf,
  SHARES_REQUIRED,
  verifySignedAuthority,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest } from '#roles/wire/client.ts';
import type { Invitation, LobbyReply } from '#roles/wire/lobby.ts';
import { decodeNodeRequest, encodeNodeReply } from '#roles/wire/node.ts';
import { createJobPool } from '#runtime/jobs/pool-node.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { openFacts } from '#storage/node/facts.ts';
import { folderProblem } from '#storage/node/problem.ts';
import { createAddressBook, type AddressBook } from './address-book.ts';
import { createGuideService } from './elder-service.ts';
import { openFaucet } from './faucet.ts';
import { createGate } from './gate.ts';
import { createGreeter } from './greeter.ts';
import { startFront, type JsonHandler } from './http-front.ts';
import { answerLobby, createGathering } from './lobby.ts';
import type { Log } from './log.ts';
import { bootstrapAddress, makeNetworkFile, type KeptNetworkFile } from './network-file.ts';
import {
  keepAuthority,
  keepInvitation,
  keepNetwork,
  keepPorts,
  keptAuthority,
  keptInvitation,
  keptNetwork,
  keptPorts,
  recordIn,
} from './network-folder.ts';
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
/** A billion units. */
const supply = 1_000_000_000n * PARTS_PER_UNIT;
const refreshEveryMs = 10_000;
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
  await host.serve('section', lobbyTag, (bytes, from) =>
    answerLobby(
      bytes,
      {
        network: () => {
          const born = founding.network();
          if (born === null || book === null) return null;
          const elders = born.signed.authority.elders.map(({ name }) => name);
          return { file: born.file, records: book.records(64, elders) };
        },
        arrive: founding.arrive,
        born: founding.born,
      },
      from.name,
    ),
  );
  if (founding.network() === null) {
    progress(`Waiting for ${command.elders + command.adults} founders. Start each with:`);
    process.stdout.write(`safe node --data DIR --join ${address}\n`);
  }
  const born = await founding.whenBorn;
  const { file, anchor } = born;
  let signed = born.signed;

  const tag = networkTag(anchor.networkId);
  book = createAddressBook(anchor.networkId, join(identity.folder, 'addresses'));
  const known = book;
  announce(identity, host, anchor.networkId, known);
  const elderNames = (): readonly Uint8Array[] => signed.authority.elders.map(({ name }) => name);
  const service = createGuideService({
    label,
    name: identity.name,
    role: 'bootstrap',
    signed: () => signed,
    addresses: () => elderNames().flatMap((name) => known.recordOf(name) ?? []),
    log,
    metrics,
  });
  await host.serve('client', tag, service.handle);
  const greeter = createGreeter({
    host,
    book: known,
    tag,
    wanted: () => signed.authority.members.map(({ name }) => name),
  });
  stops.push(greeter.stop);
  const gate = createGate(metrics);
  await host.serve('section', tag, async (bytes, from) => {
    const answered = await gate.enter('system', from.peerId, bytes.length, async () => {
      const request = decodeNodeRequest(bytes);
      if (!request.ok || request.value.kind !== 'greet' || from.name === null) return notHere;
      return greeter.answer(request.value, from.name);
    });
    return encodeNodeReply(
      answered.ok ? answered.value : { kind: 'refused', refusal: answered.error },
    );
  });

  const request = (name: Uint8Array, bytes: Uint8Array) =>
    host.request({ name, addresses: known.addressesOf(name) }, 'client', tag, bytes, {
      timeoutMs: requestTimeoutMs,
    });
  const refresh = setInterval(() => {
    const names = elderNames();
    const name = names[Math.floor(Date.now() / refreshEveryMs) % names.length];
    if (name === undefined) return;
    void newestFrom(request(name, encodeClientRequest({ kind: 'authority' }))).then((newest) => {
      if (newest === null || newest.authority.generation <= signed.authority.generation) return;
      if (!verifySignedAuthority(blsSuite, anchor, newest).ok) return;
      signed = newest;
      keepAuthority(identity, signed);
    });
  }, refreshEveryMs);
  stops.push(() => clearInterval(refresh));
  logNumbers(program, label);

  const jobs = createJobPool(availableParallelism());
  stops.push(jobs.stop);
  const facts = openFacts(join(identity.folder, 'facts'));
  stops.push(facts.close);
  const faucet = await openFaucet({
    anchor,
    signed,
    records: (records) => {
      for (const record of records) known.offer(record);
    },
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

const notHere = {
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule: 'sectionProtocol' },
} as const;

interface BornNetwork {
  readonly file: KeptNetworkFile;
  readonly anchor: { readonly genesisKey: Uint8Array; readonly networkId: Uint8Array };
  readonly signed: SignedAuthority;
}

/** The founding as this program sees it: who came, who was invited, who says it is born. */
function found(
  command: CreateCommand,
  folder: DataFolder,
  identity: NodeIdentity,
  faucetSeed: Uint8Array,
  log: Log,
) {
  let network = bornNetwork(folder, identity);
  let settle: (born: BornNetwork) => void = () => undefined;
  const whenBorn = new Promise<BornNetwork>((done) => {
    settle = done;
  });
  if (network !== null) settle(network);
  const foundersByKey = new Map<string, Set<string>>();

  const gathering = createGathering({
    kept: keptInvitation(folder),
    elders: command.elders,
    adults: command.adults,
    make: (elders, adults): Invitation => ({
      networkName: command.name ?? `local-${randomBytes(3).toString('hex')}`,
      nonce: new Uint8Array(randomBytes(32)),
      elders,
      adults,
      genesisOutput: { oneTimeKey: genesisKeyPair(faucetSeed).oneTimeKey, amount: supply },
    }),
    keep: (invitation) => {
      keepInvitation(folder, invitation);
      progress('All founders are here: they make the key of the network …');
    },
    onArrival: (arrived, wanted) => {
      log.write({ event: 'arrived', count: arrived });
      progress(`${arrived} of ${wanted} founders are here.`);
    },
  });

  const born = async (bytes: Uint8Array, from: Uint8Array): Promise<LobbyReply> => {
    const invitation = gathering.invitation();
    const decoded = decodeSignedAuthority(bytes);
    if (invitation === null || !decoded.ok) return refusedBirth('malformed');
    const { authority } = decoded.value;
    const invited = invitation.elders.map(({ record }) => nameToId(recordIn(record).name));
    const isFounder = (name: string): boolean => invited.includes(name);
    if (!isFounder(nameToId(from))) return refusedBirth('notInvited');
    const key = toHex(authority.key);
    if (!foundersByKey.has(key)) {
      // The anchor of a newborn network is its own word; that five founders say the same makes it one.
      const networkId = networkIdOf(authority.key, invitation.networkName);
      const anchor = { genesisKey: authority.key, networkId };
      const fits =
        verifySignedAuthority(blsSuite, anchor, decoded.value).ok &&
        authority.elders.every(({ name }) => isFounder(nameToId(name)));
      if (!fits) return refusedBirth('wrongBirth');
    }
    const founders = (foundersByKey.get(key) ?? new Set()).add(nameToId(from));
    foundersByKey.set(key, founders);
    if (network === null && founders.size >= SHARES_REQUIRED) {
      const file = makeNetworkFile(invitation.networkName, authority.key, supply);
      keepAuthority(identity, decoded.value);
      keepNetwork(folder, file);
      network = bornNetwork(folder, identity);
      if (network !== null) settle(network);
    }
    return { kind: 'heard', count: Math.min(founders.size, ELDER_COUNT) };
  };

  return { arrive: gathering.arrive, born, network: () => network, whenBorn };
}

const refusedBirth = (rule: string): LobbyReply => ({
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule },
});

/** A network has both: its file, and a state that is of this network. */
function bornNetwork(folder: DataFolder, identity: NodeIdentity): BornNetwork | null {
  const network = keptNetwork(folder);
  if (network === null) return null;
  const signed = keptAuthority(identity);
  if (signed === null || !equalBytes(signed.authority.networkId, network.anchor.networkId)) {
    throw folderProblem('broken', folder.path);
  }
  return { ...network, signed };
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

async function newestFrom(
  answer: ReturnType<NodeHost['request']>,
): Promise<SignedAuthority | null> {
  const bytes = await answer;
  const reply = bytes.ok ? decodeClientReply(bytes.value) : undefined;
  if (reply?.ok !== true || reply.value.kind !== 'authority') return null;
  const signed = decodeSignedAuthority(reply.value.authority);
  return signed.ok ? signed.value : null;
}
