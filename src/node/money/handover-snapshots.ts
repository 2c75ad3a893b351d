/**
 * Snapshots of a key in handover: sealed from this elder's own money, fetched from other elders,
 * checked entry by entry (N23), and merged.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { merkleLeafHash } from '#money/inclusion-proof.ts';
import { merkleLeafOf, snapshotsRequired, type SnapshotEntry } from '#money/snapshot.ts';
import { signingKeyFor, type SectionKeys } from '#money/spend-certificate.ts';
import { decodeTransaction, slotName } from '#money/transaction.ts';
import type { SectionAuthority, SignedAuthority } from '#protocol/section/index.ts';
import type { SectionNodeInput } from '#roles/section-node/state.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { Log } from '../monitoring/log.ts';
import type { MoneyOutput } from '../section/section-handle.ts';
import { snapshotEntriesOf } from './elder-money.ts';
import type { MoneyKeyChain } from './money-key-chain.ts';
import { inRequestOrder, type PageCheck, type SnapshotFetches } from './snapshot-fetch.ts';
import type { SnapshotStore } from './snapshot-store.ts';

export interface SnapshotOptions {
  readonly label: string;
  /** Hex of this node's name. */
  readonly self: NodeId;
  readonly facts: FactStore;
  readonly jobs: Pick<JobPool, 'run'>;
  /** The newest state of this node's section; null while it knows none. */
  readonly authority: () => SectionAuthority | null;
  /** Newest states of other sections. */
  readonly others: () => readonly SignedAuthority[];
  /** A certificate names a key that this node does not know: its section must be looked up. */
  readonly onUnknownKey: (slot: Uint8Array) => void;
  readonly log: Log;
}

export interface Snapshots {
  readonly options: SnapshotOptions;
  readonly lists: SnapshotStore;
  readonly fetches: SnapshotFetches;
  readonly keyChain: MoneyKeyChain;
  /** Hashes of entries that verified under a key: snapshots differ in few. */
  readonly verifiedHashes: Map<string, Set<string>>;
}

/** Snapshot roots collected in a key's handover, deleted after it. */
export const snapshotsMachine = 'sealed-gathered';

export const keysKnownTo = (
  { options, keyChain }: Pick<Snapshots, 'options' | 'keyChain'>,
  own: SectionAuthority,
): SectionKeys =>
  keyChain.sectionKeys(
    own,
    options.others().map(({ authority }) => authority),
  );

/** The snapshot of this elder's own money, which must be frozen. @returns its root. */
export async function sealSnapshot(
  snapshots: Snapshots,
  authority: SectionAuthority,
): Promise<Uint8Array> {
  const { options, lists } = snapshots;
  const entries = await snapshotEntriesOf(options.facts, authority);
  const good = verifiedUnder(snapshots, authority.key);
  for (const entry of entries) good.add(hashOf(entry)); // Each was verified before it was stored.
  const root = await lists.save(entries);
  await recordRoot(snapshots, authority.key, root);
  return root;
}

export async function fetchSnapshot(
  snapshots: Snapshots,
  { key, root, from }: MoneyOutput & { readonly kind: 'fetch' },
  elder: number,
): Promise<SectionNodeInput | null> {
  const { options } = snapshots;
  const section = options.authority();
  if (section === null || !equalBytes(section.key, key)) return null;
  // The elder itself has it; the order of the others must not be anyone's choice.
  const [elderId = '', ...others] = from;
  const sources = [elderId, ...inRequestOrder(options.self, root, others)];
  const entries = await loadSnapshot(snapshots, section, root, sources);
  if (entries === null) return null;
  // The list may be here for another reason, and not be a snapshot of this key.
  if ((await checkEntries(snapshots, section, entries)) !== 'good') return null;
  await recordRoot(snapshots, key, root);
  return { kind: 'snapshotHeld', key, elder, root };
}

export async function mergeHeldSnapshots(
  snapshots: Snapshots,
  { key, snapshots: named }: MoneyOutput & { readonly kind: 'merge' },
): Promise<SectionNodeInput | null> {
  const { options, lists } = snapshots;
  const elders = new Set(named.map(({ elder }) => elder));
  if (elders.size < snapshotsRequired || elders.size !== named.length) return null;
  const section = options.authority();
  const peers = (section?.elders ?? []).map(({ name }) => toHex(name));
  const held = await Promise.all(
    named.map(async ({ elder, root }) => {
      const isOurs = section !== null && equalBytes(section.key, key);
      const entries = isOurs
        ? await loadSnapshot(snapshots, section, root, inRequestOrder(options.self, root, peers))
        : await lists.load(root);
      return entries === null ? [] : [{ elder, entries }];
    }),
  );
  if (held.flat().length < named.length) return null;
  const result = await options.jobs.run('snapshot', { kind: 'merge', snapshots: held.flat() });
  if (result.kind !== 'merged') return null;
  const root = await lists.save(result.entries);
  await recordRoot(snapshots, key, root);
  return { kind: 'merged', key, snapshots: named, root };
}

async function recordRoot(
  { options: { facts } }: Snapshots,
  key: Uint8Array,
  root: Uint8Array,
): Promise<void> {
  const before = await facts.load(snapshotsMachine, toHex(key));
  if (before.some((each) => equalBytes(each, root))) return;
  await facts.append(snapshotsMachine, toHex(key), root);
}

function verifiedUnder({ verifiedHashes }: Snapshots, key: Uint8Array): Set<string> {
  const name = toHex(key);
  const before = verifiedHashes.get(name);
  if (before !== undefined) return before;
  verifiedHashes.clear(); // Only one key is handed over at a time.
  const set = new Set<string>();
  verifiedHashes.set(name, set);
  return set;
}

/** N23: is every entry proven? An entry under an unknown key is looked up, never blamed. */
async function checkEntries(
  snapshots: Snapshots,
  section: SectionAuthority,
  entries: readonly SnapshotEntry[],
): Promise<PageCheck> {
  const { options } = snapshots;
  const good = verifiedUnder(snapshots, section.key);
  const fresh = entries.filter((entry) => !good.has(hashOf(entry)));
  if (fresh.length === 0) return 'good';
  const keys = keysKnownTo(snapshots, section);
  const job = { kind: 'check', section, known: keys, entries: fresh } as const;
  const result = await options.jobs.run('snapshot', job);
  if (result.kind !== 'checked') return 'later';
  if (result.problem === 'unknownKey') {
    for (const slot of unknownSlots(keys, fresh)) options.onUnknownKey(slot);
    return 'later';
  }
  if (result.problem !== null) return 'bad';
  for (const entry of fresh) good.add(hashOf(entry));
  return 'good';
}

/** A snapshot from the disk, or from these peers if it is missing or unreadable. */
async function loadSnapshot(
  snapshots: Snapshots,
  section: SectionAuthority,
  root: Uint8Array,
  from: readonly NodeId[],
): Promise<readonly SnapshotEntry[] | null> {
  const { options, lists, fetches } = snapshots;
  const before = await lists.load(root);
  if (before !== null) return before;
  const peers = from.filter((peer) => peer !== options.self);
  if (await lists.has(root)) {
    logUnreadable(options, 'snapshot');
    await lists.invalidate(root);
  }
  const isHere =
    (await lists.has(root)) ||
    (await fetches.fetch(section.key, root, peers, (each) =>
      checkEntries(snapshots, section, each),
    ));
  return isHere ? lists.load(root) : null;
}

export const logUnreadable = (
  { label, log }: Pick<SnapshotOptions, 'label' | 'log'>,
  kind: string,
): void => log.write({ event: 'moneyFailed', node: label, kind, error: 'unreadable' });

const hashOf = (entry: SnapshotEntry): string => toHex(merkleLeafHash(merkleLeafOf(entry)));

/** Slots whose certificates name an unknown key. */
function unknownSlots(keys: SectionKeys, entries: readonly SnapshotEntry[]): readonly Uint8Array[] {
  return entries.flatMap((entry) => {
    if (entry.kind === 'decided') return [];
    const decoded = decodeTransaction(entry.transaction);
    if (!decoded.ok) return [];
    const certificates = entry.kind === 'bound' ? entry.prepared : entry.certificates;
    return decoded.value.inputs.flatMap(({ keyImage }, index) => {
      const slot = slotName(keyImage);
      const epoch = certificates[index]?.epoch;
      return epoch === undefined || signingKeyFor(keys, slot, epoch) !== undefined ? [] : [slot];
    });
  });
}
