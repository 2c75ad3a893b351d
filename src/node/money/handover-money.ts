/**
 * The money of a key during its handover: performs the handover's requests (HANDOVER-R6, N22, N23, N27), and
 * prepares what the next key inherits. Every answer is idempotent and the same after a crash.
 */
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import type { SectionAuthority, SignedSuccessor } from '#protocol/section/index.ts';
import type { SectionNodeInput } from '#roles/section-node/state.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { MoneyOutput } from '../section/section-handle.ts';
import { eraseMoneyFacts, type InheritedMoney } from './elder-money.ts';
import {
  fetchSnapshot,
  keysKnownTo,
  mergeHeldSnapshots,
  sealSnapshot,
  snapshotsMachine,
  type SnapshotOptions,
  type Snapshots,
} from './handover-snapshots.ts';
import {
  archiveRetryMs,
  ensureArchive,
  ensureArchives,
  inheritanceOf,
  type ArchiveOptions,
  type Archives,
} from './inherited-archives.ts';
import { openMoneyKeyChain, type MoneyKeyChain } from './money-key-chain.ts';
import { createSnapshotFetches } from './snapshot-fetch.ts';
import { openSnapshotStore, type SnapshotStore } from './snapshot-store.ts';

export interface HandoverMoney {
  /** Performs one request of the handover. */
  readonly perform: (output: MoneyOutput, answer: (input: SectionNodeInput) => void) => void;
  /** Stores verified successor records: they name the epochs before a key. */
  readonly addLinks: (links: readonly SignedSuccessor[]) => Promise<void>;
  /** The same without a caller to inform: retries after a disk error. */
  readonly addLinksWithRetry: (links: readonly SignedSuccessor[]) => void;
  /**
   * What an elder of this state inherits. Null while an earlier epoch is incomplete here: it is
   * requested from the other elders, and `onReady` is called when it is complete.
   */
  readonly inheritedFor: (authority: SectionAuthority) => Promise<InheritedMoney | null>;
  readonly stop: () => void;
}

export interface HandoverMoneyOptions extends SnapshotOptions, ArchiveOptions {
  /** Gives an input to the section's machine. */
  readonly input: (input: SectionNodeInput) => void;
  /** For tests: how long a peer may be unresponsive. */
  readonly unresponsiveMs?: number;
}

/** The money of these keys is frozen; an instance's key is the hex of the section key. */
const frozenMachine = 'ending';
const releasedMachine = 'sealed-released';
const stateWaitMs = 50;

interface Parts {
  readonly options: HandoverMoneyOptions;
  readonly lists: SnapshotStore;
  readonly fetches: ReturnType<typeof createSnapshotFetches>;
  readonly keyChain: MoneyKeyChain;
  readonly snapshots: Snapshots;
  readonly archives: Archives;
  /** Hex of keys whose money is frozen. */
  readonly frozenKeys: Set<string>;
  /** Keys whose snapshot is being made. */
  readonly beingSealed: Set<string>;
  readonly isStopped: () => boolean;
}

export async function openHandoverMoney(options: HandoverMoneyOptions): Promise<HandoverMoney> {
  let stopped = false;
  const parts = await openParts(options, () => stopped);
  const { keyChain, archives, frozenKeys, fetches } = parts;
  const { label, log } = options;
  return {
    addLinksWithRetry: (records) => addLinksWithRetry(parts, records),
    addLinks: (records) => addLinks(parts, records),
    perform: (output, answer) => {
      execute(parts, output).then(
        (input) => {
          if (input !== null && !stopped) answer(input);
        },
        (error: unknown) =>
          log.write({ event: 'moneyFailed', node: label, kind: output.kind, error: String(error) }),
      );
    },
    inheritedFor: async (authority) => {
      const inheritance = await inheritanceOf(archives, authority);
      if (inheritance === null) return null;
      const name = toHex(authority.key);
      return {
        known: () => keysKnownTo({ options, keyChain }, authority),
        inheritance,
        isFrozen: () => frozenKeys.has(name),
      };
    },
    stop: () => {
      stopped = true;
      fetches.stop();
    },
  };
}

async function openParts(options: HandoverMoneyOptions, isStopped: () => boolean): Promise<Parts> {
  const { facts, label, log, input } = options;
  const lists = openSnapshotStore(facts);
  const keyChain = await openMoneyKeyChain(facts, (peer) =>
    log.write({ event: 'moneyFailed', node: label, peer, kind: 'link', error: 'unreadable' }),
  );
  const frozenKeys = new Set(await facts.keys(frozenMachine));
  const fetches = createSnapshotFetches({
    lists,
    requestPage: (key, to, root, start) =>
      input({ kind: 'sendHandover', key, to: [to], message: { kind: 'requestPage', root, start } }),
    ...(options.unresponsiveMs === undefined ? {} : { unresponsiveMs: options.unresponsiveMs }),
    blame: (peer, rule) => log.write({ event: 'snapshotRefused', node: label, peer, rule }),
  });
  const shared = { options, lists, fetches, keyChain };
  return {
    ...shared,
    snapshots: { ...shared, verifiedHashes: new Map() },
    archives: { ...shared, isStopped, waitingFor: null, isFetching: false, readyFor: null },
    frozenKeys,
    beingSealed: new Set(),
    isStopped,
  };
}

async function execute(parts: Parts, output: MoneyOutput): Promise<SectionNodeInput | null> {
  const { key } = output;
  const { facts } = parts.options;
  switch (output.kind) {
    case 'sealMoney':
      parts.frozenKeys.add(toHex(key)); // Synchronously, before any other step.
      return sealMoney(parts, key);
    case 'fetch':
      return output.elder === null
        ? fetchInherited(parts, output)
        : fetchSnapshot(parts.snapshots, output, output.elder);
    case 'serve': {
      const { to, root, start } = output;
      const held = await parts.lists.page(root, start);
      if (held === null) return null;
      const message = { ...held, kind: 'page', root } as const;
      return { kind: 'sendHandover', key, to: [to], message };
    }
    case 'page':
      await parts.fetches.receive(output.from, output.page);
      return null;
    case 'merge': {
      const { snapshots } = output;
      const failed = { kind: 'unmerged', key, snapshots } as const;
      return (await mergeHeldSnapshots(parts.snapshots, output).catch(() => null)) ?? failed;
    }
    case 'release':
      await facts.append(releasedMachine, toHex(key), Uint8Array.of(1));
      await deleteReleased(parts, key);
      return null;
  }
}

async function sealMoney(parts: Parts, key: Uint8Array): Promise<SectionNodeInput | null> {
  const { options, beingSealed, snapshots } = parts;
  if (beingSealed.has(toHex(key))) return null; // Repeated request: the answer is in progress.
  beingSealed.add(toHex(key));
  try {
    const section = await waitForAuthority(parts, key);
    if (section === null) return null;
    await freezeMoney(options.facts, parts.frozenKeys, key);
    return { kind: 'moneySealed', key, root: await sealSnapshot(snapshots, section) };
  } finally {
    beingSealed.delete(toHex(key));
  }
}

/** N22: from now on no step of this key's money writes or signs anything. */
async function freezeMoney(
  facts: FactStore,
  frozenKeys: Set<string>,
  key: Uint8Array,
): Promise<void> {
  const name = toHex(key);
  frozenKeys.add(name);
  // Writes of earlier steps reach the disk before this mark.
  if ((await facts.load(frozenMachine, name)).length > 0) return;
  await facts.append(frozenMachine, name, Uint8Array.of(1));
}

/** After a restart the request may arrive before the state it belongs to. */
async function waitForAuthority(
  { options, keyChain, isStopped }: Parts,
  key: Uint8Array,
): Promise<SectionAuthority | null> {
  while (!isStopped()) {
    const section = options.authority();
    if (section !== null && equalBytes(section.key, key)) return section;
    // The key already has a successor: a late answer would be ignored.
    if (section !== null && keyChain.successorOf(key) !== undefined) return null;
    await new Promise((go) => setTimeout(go, stateWaitMs).unref());
  }
  return null;
}

async function fetchInherited(
  { options, keyChain, archives }: Parts,
  { key, root, from }: MoneyOutput & { readonly kind: 'fetch' },
): Promise<SectionNodeInput | null> {
  const section = options.authority();
  const isOurs = section !== null && equalBytes(section.key, key);
  const epoch = isOurs ? section.epoch : keyChain.successorOf(key)?.record.epoch;
  const chain = epoch === undefined ? null : keyChain.chainTo(key, epoch);
  const whole =
    chain !== null &&
    (await ensureArchive(archives, key, root, from)) &&
    (await ensureArchives(archives, key, chain, from));
  return whole ? { kind: 'inherited', key, sealedRoot: root } : null;
}

/** Deletes a key's snapshots once its incoming elders have all; its record's root stays (N34). */
async function deleteReleased(
  { options: { facts }, keyChain, lists, snapshots }: Parts,
  key: Uint8Array,
): Promise<void> {
  const name = toHex(key);
  const record = keyChain.successorOf(key)?.record;
  if (record === undefined) return;
  const isReleased = (await facts.load(releasedMachine, name)).length > 0;
  // A child key that has a successor had everything: this handover is long over.
  const isPast = record.children.some((child) => keyChain.successorOf(child.key) !== undefined);
  if (!isReleased && !isPast) return;
  const kept = new Set(keyChain.all().map(({ record }) => toHex(record.sealedRoot)));
  for (const root of await facts.load(snapshotsMachine, name)) {
    if (!kept.has(toHex(root))) await lists.delete(root);
  }
  await facts.erase(snapshotsMachine, name);
  // The entries of the key's elders are in its sealed root.
  await eraseMoneyFacts(facts, { epoch: record.epoch, key });
  snapshots.verifiedHashes.delete(name);
}

async function addLinks(parts: Parts, records: readonly SignedSuccessor[]): Promise<void> {
  const { keyChain, options } = parts;
  const fresh = records.filter(
    ({ record }) => keyChain.successorOf(record.parentKey) === undefined,
  );
  await keyChain.add(fresh);
  if (fresh.length === 0) return;
  for (const name of await options.facts.keys(snapshotsMachine)) {
    const key = fromHex(name);
    if (key.ok) await deleteReleased(parts, key.value);
  }
}

function addLinksWithRetry(parts: Parts, records: readonly SignedSuccessor[]): void {
  const { options, isStopped } = parts;
  addLinks(parts, records).catch((error: unknown) => {
    const { label, log } = options;
    log.write({ event: 'moneyFailed', node: label, kind: 'links', error: String(error) });
    if (!isStopped())
      setTimeout(
        () => !isStopped() && addLinksWithRetry(parts, records),
        options.archiveRetryMs ?? archiveRetryMs,
      ).unref();
  });
}
