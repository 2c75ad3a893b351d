/**
 * One node: its doors, its section, and the service that fits its role, which changes while it
 * runs. The same whether it has a process of its own or shares one with a whole local network.
 */
import { join } from 'node:path';
import { EMPTY_PREFIX, matches, showPrefix, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import {
  emptyTree,
  encodeAddressRecord,
  learn,
  maxAddressCharacters,
  maxAddresses,
  proofOf,
  signAddressRecord,
  storedUpdate,
  type SignedAuthority,
  type VerifiedUpdate,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { lookAtStorage, noStorageNeed } from '#roles/storage-need.ts';
import { decodeNodeRequest, encodeNodeReply, type NodeReply } from '#roles/wire/node.ts';
import type { Lane } from '#roles/load.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import type { AddressBook } from './address-book.ts';
import type { AdultMode } from './adult-service.ts';
import { createBlameLog } from './blame-log.ts';
import { createClientDoor, refused } from './client-door.ts';
import {
  createElderService,
  createGuideService,
  type ClientService,
  type ElderService,
} from './elder-service.ts';
import { createGate } from './gate.ts';
import { createGreeter, type Greeter } from './greeter.ts';
import { createKnownMembers } from './known-members.ts';
import { serveLobby } from './lobby.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { KeptNetworkFile } from './network-file.ts';
import { nextAddressCounter, type NodeIdentity } from './node-folder.ts';
import { openHandoverMoney } from './handover-money.ts';
import { createSectionNews } from './handover-money-news.ts';
import { createOutbox } from './outbox.ts';
import type { NodeRole, OpenSection, SectionPort, SectionPorts, Standing } from './section-port.ts';
import { createRoleChanges } from './role-changes.ts';
import { openStoring } from './storing.ts';

export interface NodeOptions {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly anchor: TrustAnchor;
  readonly file: KeptNetworkFile;
  readonly facts: FactStore;
  readonly book: AddressBook;
  readonly jobs: JobPool;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly openSection: OpenSection;
  /** Chunks beyond this are refused as "full". */
  readonly dataLimitBytes: number;
  readonly onStanding?: (standing: Standing) => void;
  readonly onRefused?: (sentence: string) => void;
  readonly onRemoved?: SectionPorts['removed'];
  readonly onRelocate?: SectionPorts['relocate'];
}

export interface RunningNode {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly role: () => NodeRole;
  /** Null until this node knows a verified state. */
  readonly signed: () => SignedAuthority | null;
  /** Resolves when the first standing is in force. */
  readonly settled: Promise<void>;
  readonly greeter: Greeter;
  /** The longest prefix we know of a section that covers this name. */
  readonly prefixOf: (name: Uint8Array) => Prefix;
  /** N39: this node sees a need of so many join places, or for null of none. */
  readonly storage: (places: number | null) => void;
  /** For tests only (README). */
  readonly setAdultMode: (mode: AdultMode) => void;
  readonly setRegistering: (on: boolean) => void;
  readonly stop: () => Promise<void>;
}

/** An adult answers from its disk; a silent one must not hold up a client's own deadline. */
const adultTimeoutMs = 6_000;

const storageLookMs = 5_000;

/** The address to give to others: TCP, and one that is not only this machine's if there is one. */
export function ownAddress(host: NodeHost): string {
  const tcp = host
    .addresses()
    .filter((each) => each.includes('/tcp/') && !/\/ws|\/p2p-circuit/.test(each));
  return tcp.find((each) => !/^\/ip[46]\/(127\.|::1\/)/.test(each)) ?? tcp[0] ?? '';
}

/** Signs where this node can be dialled now, and puts it into the book. */
export function announce(
  identity: NodeIdentity,
  host: NodeHost,
  networkId: Uint8Array,
  book: AddressBook,
): Uint8Array {
  const addresses = host
    .addresses()
    .filter((each) => each.length <= maxAddressCharacters && !each.includes('/p2p-circuit'))
    .slice(0, maxAddresses);
  const counter = nextAddressCounter(identity.folder);
  const record = encodeAddressRecord(
    signAddressRecord(identity.seed, networkId, counter, addresses),
  );
  book.offerOwn(record);
  return record;
}

export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { identity, host, anchor, facts, book, jobs, log, metrics } = options;
  const { label, name } = identity;
  const tag = networkTag(anchor.networkId);
  const gate = createGate(metrics);
  const outbox = createOutbox(host, book, tag, metrics);
  announce(identity, host, anchor.networkId, book);

  let standing: Standing | null = null;
  let service: ClientService | null = null;
  let elder: ElderService | null = null;
  let adultMode: AdultMode = 'ok';
  let registering = true;
  let members: ReadonlySet<string> = new Set();
  let elders: ReadonlySet<string> = new Set();
  /** Of the last state under the key before. */
  let membersBefore: readonly string[] = [];

  /** Newest states of other sections, by prefix. */
  const others = new Map<string, SignedAuthority>();
  const known = createKnownMembers();
  const laneOf = (from: Uint8Array | null): Lane =>
    from !== null && known.has(nameToId(from)) ? 'system' : 'outside';
  const pinKnown = (): void => {
    known.follow([...others.values()].map(({ authority }) => authority));
    const elsewhere = [...others.values()].flatMap(({ authority }) =>
      authority.elders.map((each) => nameToId(each.name)),
    );
    // As long as it is no member it keeps what the join point named.
    if (!members.has(nameToId(name))) return;
    // After a split the other half's members are known from before, until its own state is.
    book.pin(new Set([...members, ...elsewhere, ...membersBefore, nameToId(name)]));
  };

  host.know((each) => known.has(nameToId(each)));
  const blamed = createBlameLog({ label, log, metrics, isMember: known.has });

  /** What clients are led by: every state that came out of the section's machine is verified. */
  let tree = emptyTree(anchor);
  const learnFrom = (verified: SignedAuthority): void => {
    ({ tree } = learn(tree, storedUpdate(proofOf(verified))));
  };

  const signed = (): SignedAuthority | null => standing?.signed ?? null;
  const memberNames = (): readonly Uint8Array[] =>
    signed()?.authority.members.map((member) => member.name) ?? [];
  const elderRecords = (): readonly Uint8Array[] =>
    (signed()?.authority.elders ?? []).flatMap(({ name: each }) => book.recordOf(each) ?? []);

  const guide = (role: 'adult' | 'outsider'): ClientService =>
    createGuideService({ label, name, role, signed, addresses: elderRecords, log, metrics });

  const dataOutbox = createOutbox(host, book, tag, metrics, 'replication');
  const requestData = (holder: Uint8Array, bytes: Uint8Array) =>
    host.request({ name: holder, addresses: book.addressesOf(holder) }, 'data', tag, bytes, {
      timeoutMs: adultTimeoutMs,
    });
  const { adult, replication, auditor } = await openStoring(options, {
    isElder: (each) => elders.has(nameToId(each)),
    send: dataOutbox.send,
    request: requestData,
    section: () => (elder === null ? null : (standing?.signed.authority ?? null)),
    behind: (peer) => {
      // Of our own section we hear every round; nobody tells us of another one.
      const known = fromHex(peer);
      if (known.ok && !members.has(peer)) void seekNews(known.value);
    },
    misbehaved: (culprit, issue) => section?.misbehaved(culprit, issue),
    blamed,
  });
  const tellReplication = (): void => {
    if (standing === null) return;
    const { authority } = standing.signed;
    void replication.adopted(
      authority,
      [...others.values()].map((each) => each.authority),
    );
  };

  /** The newest state of all, also while its role is still being opened. */
  let newest: Standing | null = null;
  const ending = await openHandoverMoney({
    label,
    self: nameToId(name),
    facts,
    jobs,
    authority: () => newest?.signed.authority ?? null,
    others: () => [...others.values()],
    tell: (input) => section?.tell(input),
    unknownKey: (slot) => void seekNews(slot),
    ready: () => {
      if (newest !== null) changes.to(newest);
    },
    log,
  });
  const hearOther = (other: SignedAuthority): void => {
    learnFrom(other);
    others.set(showPrefix(other.authority.prefix), other);
    pinKnown();
    tellReplication();
  };
  const hearUpdate = (update: VerifiedUpdate): void => {
    ({ tree } = learn(tree, update));
    const { authority, links } = update.proof;
    ending.learned(links);
    if (authority !== null) hearOther({ ...authority, chain: links });
  };
  const seekNews = createSectionNews({
    tree: () => tree,
    request: (elder, bytes) =>
      host.request({ name: elder, addresses: book.addressesOf(elder) }, 'client', tag, bytes, {
        timeoutMs: adultTimeoutMs,
      }),
    jobs,
    records: (records) => {
      for (const record of records) book.offer(record);
    },
    learned: (update) => hearUpdate(update),
  });

  const adopt = async (next: Standing): Promise<void> => {
    const { authority } = next.signed;
    const keyOf = (each: Standing | null): string =>
      each === null || each.share === null ? '' : nameToId(each.signed.authority.key);
    const sameElder = elder !== null && keyOf(standing) === keyOf(next);
    members = new Set(authority.members.map((member) => nameToId(member.name)));
    elders = new Set(authority.elders.map((each) => nameToId(each.name)));
    membersBefore = (next.previous?.members ?? []).map((member) => nameToId(member.name));
    known.adopted(authority, next.previous);
    pinKnown();
    await ending.heard(next.signed.chain);
    const changed = standing?.role !== next.role;
    standing = next;
    tellReplication();
    if (changed) log.write({ event: 'role', node: label, kind: next.role });
    if (!sameElder) {
      service?.stop();
      elder = null;
      service = guide(next.role === 'adult' ? 'adult' : 'outsider');
      if (next.role === 'elder' && next.share !== null) {
        const past = await ending.pastOf(authority);
        if (past === null) return options.onStanding?.(next); // It comes back when all is here.
        elder = await createElderService({
          label,
          name,
          identitySeed: identity.seed,
          secretShare: next.share.secretShare,
          past,
          unknownKey: (slot) => void seekNews(slot),
          signed: () => standing?.signed ?? next.signed,
          facts,
          jobs,
          addresses: elderRecords,
          request: requestData,
          full: replication.full,
          repair: replication.repair,
          onStored: auditor.noticed,
          misbehaved: (holder, issue) => section?.misbehaved(holder, issue),
          log,
          metrics,
        });
        elder.setRegistering(registering);
        service = elder;
      }
    }
    options.onStanding?.(next);
  };

  let need = noStorageNeed;
  const storageTimer = setInterval(() => {
    const adults = [...members].filter((id) => !elders.has(id));
    const [next, places] = lookAtStorage(need, adults, replication.full());
    need = next;
    if (places !== null) section?.storage(places, 'once');
  }, storageLookMs);

  let settle: () => void = () => undefined;
  const settled = new Promise<void>((done) => {
    settle = done;
  });
  const changes = createRoleChanges({
    adopt,
    done: settle,
    failed: (error) => log.write({ event: 'roleFailed', node: label, error: String(error) }),
  });
  const ports: SectionPorts = {
    send: outbox.send,
    adopted: (next) => {
      learnFrom(next.signed);
      newest = next;
      changes.to(next);
    },
    refusedJoin: (sentence) => {
      log.write({ event: 'joinRefused', node: label, error: sentence });
      options.onRefused?.(sentence);
    },
    removed: () => {
      log.write({ event: 'votedOut', node: label });
      options.onRemoved?.();
    },
    forgot: () =>
      log.write({
        event: 'memoryLost',
        node: label,
        error:
          "This node's memory is older than what it said: it stays silent until its section has the next key.",
      }),
    relocate: (move) => options.onRelocate?.(move),
    money: ending.perform,
    learned: hearUpdate,
    happened: (kind, generation) =>
      log.write({ event: 'decided', node: label, kind, count: Number(generation) }),
    failed: (error) => {
      // A machine broke an invariant: nothing it says from now on may be relied on.
      log.write({ event: 'machineFailed', node: label, error: String(error) });
      setImmediate(() => {
        throw error;
      });
    },
    blamed,
  };

  let section: SectionPort | null = null;
  const greeter = createGreeter({
    host,
    book,
    tag,
    wanted: memberNames,
  });

  const answerSection = async (
    bytes: Uint8Array,
    { name: from, address, invalid }: Remote,
  ): Promise<NodeReply> => {
    const request = decodeNodeRequest(bytes);
    if (!request.ok) {
      invalid();
      return refusedNode({ kind: 'malformed', what: 'request' });
    }
    if (from === null) return refusedNode({ kind: 'notAllowed', rule: 'nodesOnly' });
    const { value } = request;
    const kind = `section/${value.kind}`;
    metrics.count('safe_messages_in_total', kind);
    metrics.count('safe_bytes_in_total', kind, bytes.length);
    if (value.kind === 'greet') return greeter.answer(value, from, address);
    if (value.kind !== 'deliver' || value.protocol !== 'section' || section === null) {
      return refusedNode({ kind: 'notAllowed', rule: 'sectionProtocol' });
    }
    outbox.heard(from);
    if (await section.receive(nameToId(from), value.message)) return { kind: 'taken' };
    invalid();
    return refusedNode({ kind: 'malformed', what: 'message' });
  };

  const door = createClientDoor({
    label,
    answer: async (request, invalid) =>
      service?.answer(request, invalid) ?? refused({ kind: 'busy', afterMs: 1_000 }),
    view: () => (standing === null ? null : { tree, own: standing.signed }),
    records: (names) => names.flatMap((each) => book.recordOf(each) ?? []),
    log,
    metrics,
    gate,
  });
  await host.serve('client', tag, door);
  await host.serve('data', tag, async (bytes, from) => {
    metrics.count('safe_bytes_in_total', 'data', bytes.length);
    const answered = await gate.enter(laneOf(from.name), from, bytes.length, () =>
      adult.handle(bytes, from.name, from.invalid),
    );
    const reply = answered.ok ? answered.value : encodeNodeReply(refusedNode(answered.error));
    metrics.count('safe_bytes_out_total', 'data', reply.length);
    return reply;
  });
  await host.serve('section', tag, async (bytes, from) => {
    const answered = await gate.enter(laneOf(from.name), from, bytes.length, () =>
      answerSection(bytes, from),
    );
    return encodeNodeReply(answered.ok ? answered.value : refusedNode(answered.error));
  });
  // Whoever knows this node may come in through it.
  await serveLobby(host, gate, {
    network: () => ({ file: options.file, records: book.records(64, memberNames(), 'pinned') }),
  });

  section = await options.openSection(ports);
  const opened = section;
  metrics.gauge('safe_generation', () => Number(signed()?.authority.generation ?? 0n));
  metrics.gauge('safe_members', () => members.size);
  metrics.gauge('safe_known_nodes', () => book.names().length);
  metrics.gauge('safe_connections', host.connections);
  metrics.gauge('safe_is_elder', () => Number(standing?.role === 'elder'));

  return {
    identity,
    host,
    role: () => standing?.role ?? 'outsider',
    signed,
    settled,
    greeter,
    prefixOf: (target) =>
      [...others.values(), ...(standing === null ? [] : [standing.signed])]
        .map(({ authority }) => authority.prefix)
        .filter((prefix) => matches(prefix, target))
        .sort((a, b) => b.bitCount - a.bitCount)[0] ?? EMPTY_PREFIX,
    storage: opened.storage,
    setAdultMode: (mode) => {
      adultMode = mode;
      adult.setMode(adultMode);
    },
    setRegistering: (on) => {
      registering = on;
      elder?.setRegistering(on);
    },
    stop: async () => {
      clearInterval(storageTimer);
      await greeter.stop();
      opened.stop();
      ending.stop();
      outbox.stop();
      dataOutbox.stop();
      await changes.stop();
      auditor.stop();
      await replication.stop();
      service?.stop();
    },
  };
}

const refusedNode = (
  refusal: (NodeReply & { readonly kind: 'refused' })['refusal'],
): NodeReply => ({
  kind: 'refused',
  refusal,
});

/** Facts of a node, in its own folder. */
export const openNodeFacts = (identity: NodeIdentity): FactStore =>
  openFacts(join(identity.folder, 'facts'));
