/**
 * Archives of the epochs before a key: the merged lists that its chain's sealed roots name. Read page
 * by page; missing ones are fetched from the key's other elders, until all are here.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { addPage, type Inheritance } from '#protocol/handover/index.ts';
import type { Registration } from '#protocol/mint/index.ts';
import type { SectionAuthority, SignedSuccessor } from '#protocol/section/index.ts';
import type { InheritedSlot } from '#protocol/spentbook/index.ts';
import { logUnreadable, type SnapshotOptions } from './handover-snapshots.ts';
import type { MoneyKeyChain } from './money-key-chain.ts';
import { inRequestOrder, type PageCheck, type SnapshotFetches } from './snapshot-fetch.ts';
import type { SnapshotStore } from './snapshot-store.ts';

export interface ArchiveOptions extends Pick<
  SnapshotOptions,
  'label' | 'self' | 'jobs' | 'authority' | 'log'
> {
  readonly onReady: () => void;
  /** For tests: the pause before an archive that no peer sent is requested again. */
  readonly archiveRetryMs?: number;
}

export interface Archives {
  readonly options: ArchiveOptions;
  readonly lists: SnapshotStore;
  readonly fetches: SnapshotFetches;
  readonly keyChain: MoneyKeyChain;
  readonly isStopped: () => boolean;
  /** All elders of a key hold the same archives: one that lacks an archive asks the others. */
  waitingFor: SectionAuthority | null;
  isFetching: boolean;
  /** Hex of the key whose archives were last found complete. */
  readyFor: string | null;
}

export const archiveRetryMs = 5_000;

/** What an elder of this state inherits; null, and a search, while an archive is incomplete. */
export async function inheritanceOf(
  archives: Archives,
  authority: SectionAuthority,
): Promise<Inheritance | null> {
  const { options, keyChain } = archives;
  const chain = keyChain.chainTo(authority.key, authority.epoch);
  const slots = new Map<string, InheritedSlot>();
  const outputs = new Map<string, Registration>();
  let read = 0;
  for (const { record } of chain ?? []) {
    if (!(await readArchive(archives, record, authority.prefix, slots, outputs))) break;
    read += 1;
  }
  if (chain === null || read < chain.length) {
    const count = Number(authority.epoch);
    options.log.write({ event: 'inheritedMoneyMissing', node: options.label, count });
    archives.waitingFor = authority;
    void fetchMissingArchives(archives);
    return null;
  }
  archives.waitingFor = null;
  return { slots, outputs };
}

/** A list named by a sealed root: from the disk, else from these peers. */
export async function ensureArchive(
  { options, lists, fetches }: Archives,
  key: Uint8Array,
  root: Uint8Array,
  from: readonly NodeId[],
): Promise<boolean> {
  if (await lists.has(root)) return true;
  return fetches.fetch(key, root, inRequestOrder(options.self, root, from), acceptPage);
}

const acceptPage = async (): Promise<PageCheck> => 'good'; // The root proves each page.

export async function ensureArchives(
  archives: Archives,
  key: Uint8Array,
  chain: readonly SignedSuccessor[],
  from: readonly NodeId[],
): Promise<boolean> {
  for (const { record } of chain) {
    if (!(await ensureArchive(archives, key, record.sealedRoot, from))) return false;
  }
  return true;
}

/**
 * Reads all payments of an epoch page by page; each page is proven in a thread, so that messages are
 * answered in between. @returns false when the list is incomplete; unreadable pages are invalidated.
 */
async function readArchive(
  { options, lists }: Archives,
  { epoch, sealedRoot: root }: SignedSuccessor['record'],
  prefix: SectionAuthority['prefix'],
  slots: Map<string, InheritedSlot>,
  outputs: Map<string, Registration>,
): Promise<boolean> {
  if (!(await lists.has(root))) return false;
  let start = 0;
  for (let count = 1; start < count;) {
    const page = await lists.page(root, start);
    const result =
      page && (await options.jobs.run('snapshot', { kind: 'inherit', root, page, prefix }));
    if (page === null || result?.kind !== 'inherited' || result.page === null) {
      // Else it would count as complete and never be requested.
      logUnreadable(options, 'archive');
      await lists.invalidate(root);
      return false;
    }
    addPage(slots, outputs, epoch, result.page);
    start += page.entries.length;
    count = page.count;
  }
  return true;
}

/** Serves the key now in force, which may change during each wait. */
async function fetchMissingArchives(archives: Archives): Promise<void> {
  const { options, isStopped } = archives;
  if (archives.isFetching) return;
  archives.isFetching = true;
  let paused = archives.waitingFor !== null && toHex(archives.waitingFor.key) === archives.readyFor;
  while (!isStopped() && archives.waitingFor !== null) {
    // The archives were complete and then unreadable: give the disk time.
    if (paused) await pause(options);
    paused = false;
    const authority: SectionAuthority = archives.waitingFor;
    const isWhole = await fetchArchives(archives, authority).catch((error: unknown) => {
      options.log.write({
        ...{ event: 'moneyFailed', node: options.label, kind: 'archive', error: String(error) },
      });
      return false;
    });
    const isStill = archives.waitingFor === authority;
    if (isWhole && isStill) {
      archives.waitingFor = null;
      archives.readyFor = toHex(authority.key);
      options.onReady();
    } else if (isStill) {
      await pause(options);
      const now = options.authority();
      const isSuperseded = now !== null && !equalBytes(now.key, authority.key);
      if (archives.waitingFor === authority && isSuperseded) archives.waitingFor = null;
    }
  }
  archives.isFetching = false;
}

const pause = (options: ArchiveOptions): Promise<unknown> =>
  new Promise((go) => setTimeout(go, options.archiveRetryMs ?? archiveRetryMs).unref());

async function fetchArchives(archives: Archives, authority: SectionAuthority): Promise<boolean> {
  const { options, keyChain } = archives;
  const chain = keyChain.chainTo(authority.key, authority.epoch);
  const from = authority.elders
    .map(({ name }) => toHex(name))
    .filter((peer) => peer !== options.self);
  return chain !== null && ensureArchives(archives, authority.key, chain, from);
}
