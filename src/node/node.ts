/**
 * One node: its request handlers, its section's machine, and the service of its current role. The
 * same in a process of its own or within a local network in one process.
 */
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import type { Prefix } from '#address/prefix.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { NodeHost } from '#network/node-host.ts';
import type {
  SectionAuthority,
  SignedAuthority,
  TrustAnchor,
  VerifiedUpdate,
} from '#protocol/section/index.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { watchStorageNeed } from './chunk-storage/storage-need-watch.ts';
import { openStorageRole, type StorageRole } from './chunk-storage/storage-role.ts';
import type { SavedNetworkFile } from '#roles/wire/network-file.ts';
import type { NodeIdentity } from './data-folder/node-identity.ts';
import { endOnMachineFailure } from './machine-failure.ts';
import { openHandoverMoney, type HandoverMoney } from './money/handover-money.ts';
import { createBlameLog } from './monitoring/blame-log.ts';
import type { Log } from './monitoring/log.ts';
import type { Metrics } from './monitoring/metrics.ts';
import type { AddressBook } from './peers/address-book.ts';
import { createNodeLinks, type NodeLinks } from './peers/node-links.ts';
import { signAddresses } from './peers/own-addresses.ts';
import { createPeerExchange, type PeerExchange } from './peers/peer-exchange.ts';
import { createElderService } from './requests/elder-service.ts';
import { serveNode } from './requests/node-handlers.ts';
import { createNodeRole, type CurrentRole } from './section/node-role.ts';
import { createNodeSections, type NodeSections } from './section/node-sections.ts';
import { createRoleChanges, type RoleChanges } from './section/role-changes.ts';
import type {
  NodeRole,
  NodeStanding,
  OpenSection,
  SectionCallbacks,
  SectionSlot,
} from './section/section-handle.ts';
import { createSectionUpdates } from './section/section-updates.ts';

export interface NodeOptions {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly anchor: TrustAnchor;
  readonly file: SavedNetworkFile;
  readonly facts: FactStore;
  readonly book: AddressBook;
  readonly jobs: JobPool;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly openSection: OpenSection;
  /** Chunks beyond this are refused as "full". */
  readonly dataLimitBytes: number;
  readonly onStandingChange?: (standing: NodeStanding) => void;
  readonly onRefused?: (sentence: string) => void;
  readonly onRemoved?: SectionCallbacks['onRemoved'];
  readonly onRelocate?: SectionCallbacks['onRelocate'];
}

export interface RunningNode {
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly role: () => NodeRole;
  /** Null until this node knows a verified state. */
  readonly signed: () => SignedAuthority | null;
  /** Resolves when the first standing is in force. */
  readonly settled: Promise<void>;
  readonly peerExchange: PeerExchange;
  /** The longest known prefix of a section that covers this name. */
  readonly prefixOf: (name: Uint8Array) => Prefix;
  readonly stop: () => Promise<void>;
}

/** What a node's parts share, before any of them is open. */
interface Base {
  readonly options: NodeOptions;
  readonly links: NodeLinks;
  readonly sections: NodeSections;
  readonly section: SectionSlot;
  readonly blamed: (kind: string, culprit: NodeId) => void;
  /** Encoded address records of this section's elders. */
  readonly elderRecords: () => readonly Uint8Array[];
  /** Asks the section of this name for its newest state. */
  readonly lookUpSection: (name: Uint8Array) => void;
}

/** The parts that the section's machine calls. */
interface Parts {
  readonly role: CurrentRole;
  readonly storage: StorageRole;
  readonly money: HandoverMoney;
  readonly changes: RoleChanges<NodeStanding>;
}

export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { identity, host, anchor, book } = options;
  signAddresses(identity, host, anchor.networkId, book);
  const base = createBase(options, {
    signed: () => role.standing()?.signed ?? null,
    onUpdate: (update) => applyUpdate(base, parts, update),
  });
  const { links, sections, section } = base;
  host.setMembership((name) => sections.isKnown(nameToId(name)));

  /** The newest state, also while its role is still being opened. */
  let newest: NodeStanding | null = null;
  const role = createRole(base, () => parts);
  const storage = await openStorage(base, role.servedSection);
  const money = await openMoney(base, {
    authority: () => newest?.signed.authority ?? null,
    onReady: () => {
      if (newest !== null) changes.request(newest);
    },
  });
  const stopWatch = watchStorageNeed(sections.adults, storage.replication.full, (vacancies) =>
    section.handle?.setVacancies(vacancies, 'once'),
  );
  const settled = Promise.withResolvers<void>();
  const changes = createRoleChanges<NodeStanding>({
    adopt: (next) => adopt(base, parts, next),
    onDone: settled.resolve,
    onError: (error) =>
      options.log.write({ event: 'roleFailed', node: identity.label, error: String(error) }),
  });
  const parts: Parts = { role, storage, money, changes };
  const peerExchange = createPeerExchange({
    ...{ host, book, tag: links.tag },
    wanted: () => role.standing()?.signed.authority.members.map(({ name }) => name) ?? [],
  });

  const { adult } = storage;
  const { service } = role;
  const signed = (): SignedAuthority | null => role.standing()?.signed ?? null;
  const { label } = identity;
  await serveNode({
    ...options,
    label,
    links,
    sections,
    section,
    adult,
    peerExchange,
    service,
    signed,
  });
  section.handle = await options.openSection({
    ...sectionCallbacks(base, parts),
    onAdopted: (next) => {
      sections.addState(next.signed);
      newest = next;
      changes.request(next);
    },
  });
  addGauges(base, role);
  return {
    ...{ identity, host, signed, peerExchange, settled: settled.promise },
    role: () => role.standing()?.role ?? 'outsider',
    prefixOf: (name) => sections.prefixOf(name, signed()),
    stop: async () => {
      stopWatch();
      await stopParts(base, parts, peerExchange);
    },
  };
}

function createBase(
  options: NodeOptions,
  given: {
    readonly signed: () => SignedAuthority | null;
    readonly onUpdate: (update: VerifiedUpdate) => void;
  },
): Base {
  const { identity, host, anchor, book, jobs, log, metrics } = options;
  const sections = createNodeSections(identity.name, anchor, book);
  const links = createNodeLinks(host, book, anchor.networkId, metrics);
  const lookUp = createSectionUpdates({
    tree: sections.tree,
    request: (elder, bytes) => links.request(elder, 'client', bytes),
    jobs,
    records: (records) => {
      for (const record of records) book.offer(record);
    },
    onUpdate: given.onUpdate,
  });
  return {
    ...{ options, links, sections, section: { handle: null } },
    blamed: createBlameLog({ label: identity.label, log, metrics, isMember: sections.isKnown }),
    elderRecords: () =>
      (given.signed()?.authority.elders ?? []).flatMap(({ name }) => book.recordOf(name) ?? []),
    lookUpSection: (name) => void lookUp(name),
  };
}

const openStorage = (
  { options, links, sections, section, blamed, lookUpSection }: Base,
  servedSection: () => SectionAuthority | null,
): Promise<StorageRole> =>
  openStorageRole(options, {
    isElder: (name) => sections.isElder(nameToId(name)),
    send: links.replication.send,
    request: (holder, bytes) => links.request(holder, 'data', bytes),
    section: servedSection,
    behind: (peer) => {
      // Updates of our own section arrive every round; those of another one must be looked up.
      const name = fromHex(peer);
      if (name.ok && !sections.members().has(peer)) lookUpSection(name.value);
    },
    misbehaved: (culprit, issue) => section.handle?.misbehaved(culprit, issue),
    blamed,
  });

const openMoney = (
  { options: { identity, facts, jobs, log }, sections, section, lookUpSection }: Base,
  given: { readonly authority: () => SectionAuthority | null; readonly onReady: () => void },
): Promise<HandoverMoney> =>
  openHandoverMoney({
    ...{ label: identity.label, self: nameToId(identity.name), facts, jobs, log, ...given },
    others: sections.others,
    input: (input) => section.handle?.input(input),
    onUnknownKey: lookUpSection,
  });

function createRole(base: Base, parts: () => Parts): CurrentRole {
  const { options, links, section, elderRecords, lookUpSection } = base;
  const { identity, facts, jobs, log, metrics } = options;
  const own = { label: identity.label, name: identity.name, addresses: elderRecords, log, metrics };
  return createNodeRole({
    ...own,
    inheritedFor: (authority) => parts().money.inheritedFor(authority),
    openElder: (elder) => {
      const { replication, auditor } = parts().storage;
      return createElderService({
        ...{ ...own, ...elder, facts, jobs, identitySeed: identity.seed },
        onUnknownKey: lookUpSection,
        request: (holder, bytes) => links.request(holder, 'data', bytes),
        full: replication.full,
        repair: replication.repair,
        onStored: auditor.addStored,
        misbehaved: (holder, issue) => section.handle?.misbehaved(holder, issue),
      });
    },
  });
}

/** Puts a standing in force: members, links, replication, then the service of its role. */
async function adopt(base: Base, parts: Parts, next: NodeStanding): Promise<void> {
  const { log, identity, onStandingChange } = base.options;
  const { role, money } = parts;
  base.sections.setOwn(next);
  await money.addLinks(next.signed.chain);
  const isNewRole = role.standing()?.role !== next.role;
  role.set(next);
  updateReplication(base, parts);
  if (isNewRole) log.write({ event: 'role', node: identity.label, kind: next.role });
  await role.open(next);
  onStandingChange?.(next);
}

function applyUpdate(base: Base, parts: Parts, update: VerifiedUpdate): void {
  const isNewState = base.sections.addUpdate(update);
  parts.money.addLinksWithRetry(update.proof.links);
  if (isNewState) updateReplication(base, parts);
}

function updateReplication({ sections }: Base, { role, storage }: Parts): void {
  const standing = role.standing();
  if (standing === null) return;
  const others = sections.others().map(({ authority }) => authority);
  void storage.replication.adoptState(standing.signed.authority, others);
}

const lostStateSentence =
  'This node lost state that it had signed: it abstains until its section has the next key.';

function sectionCallbacks(base: Base, parts: Parts): Omit<SectionCallbacks, 'onAdopted'> {
  const { options, links, blamed } = base;
  const { identity, log } = options;
  const node = identity.label;
  return {
    send: links.section.send,
    onJoinRefused: (sentence) => {
      log.write({ event: 'joinRefused', node, error: sentence });
      options.onRefused?.(sentence);
    },
    onRemoved: () => {
      log.write({ event: 'votedOut', node });
      options.onRemoved?.();
    },
    onStateLost: () => log.write({ event: 'stateLost', node, error: lostStateSentence }),
    onRelocate: (move) => options.onRelocate?.(move),
    money: parts.money.perform,
    onUpdate: (update) => applyUpdate(base, parts, update),
    onEvent: (kind, generation) =>
      log.write({ event: 'sectionEvent', node, kind, count: Number(generation) }),
    onFailure: (error) => endOnMachineFailure(log, node, error),
    blamed,
  };
}

function addGauges({ options, sections }: Base, role: CurrentRole): void {
  const { metrics, book, host } = options;
  metrics.gauge('safe_generation', () =>
    Number(role.standing()?.signed.authority.generation ?? 0n),
  );
  metrics.gauge('safe_members', () => sections.members().size);
  metrics.gauge('safe_known_nodes', () => book.names().length);
  metrics.gauge('safe_connections', host.connections);
  metrics.gauge('safe_is_elder', () => Number(role.standing()?.role === 'elder'));
}

/** In this order: what receives and decides, what it sends by, then what stores. */
async function stopParts(base: Base, parts: Parts, peerExchange: PeerExchange): Promise<void> {
  const { storage, money, changes, role } = parts;
  await peerExchange.stop();
  base.section.handle?.stop();
  money.stop();
  base.links.stop();
  await changes.stop();
  storage.auditor.stop();
  await storage.replication.stop();
  role.stop();
}

/** A node's facts, in its own folder. */
export const openNodeFacts = (identity: NodeIdentity): FactStore =>
  openFacts(join(identity.folder, 'facts'));
