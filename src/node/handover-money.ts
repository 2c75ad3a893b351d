/**
 * The money of a key that ends: performs what the handover asks (R6, N22, N23, N27), and knows what
 * the next key begins with. Every answer is safe to hear twice, and is the same after a crash.
 */
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { keyAt, type SectionKeys } from '#money/certificate.ts';
import { sealedLeafHash, type SealedLeaf } from '#money/sealed.ts';
import { decodeTransaction, slotName } from '#money/transaction.ts';
import { sealedLeafOf, snapshotsRequired, type SealedEntry } from '#money/snapshot.ts';
import { addPage } from '#protocol/handover/index.ts';
import type { Registration } from '#protocol/mint/index.ts';
import type {
  SectionAuthority,
  SignedAuthority,
  SignedSuccessor,
} from '#protocol/section/index.ts';
import type { InheritedSlot } from '#protocol/spentbook/index.ts';
import type { SectionNodeInput } from '#roles/section-node/state.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { eraseMoneyFacts, sealedEntriesOf, type MoneyPast } from './elder-money.ts';
import { createFetches, inAskingOrder, type Judgement } from './handover-money-fetch.ts';
import { openMoneyLinks } from './handover-money-links.ts';
import { openSealedLists } from './handover-money-lists.ts';
import type { Log } from './log.ts';
import type { MoneyOutput } from './section-port.ts';

export interface HandoverMoney {
  /** Performs one wish of the handover. */
  readonly perform: (output: MoneyOutput, answer: (input: SectionNodeInput) => void) => void;
  /** Remembers verified records: they name the epochs before a key. */
  readonly heard: (links: readonly SignedSuccessor[]) => Promise<void>;
  /** The same where nobody waits: what the disk refused is tried again. */
  readonly learned: (links: readonly SignedSuccessor[]) => void;
  /**
   * What an elder of this state begins with. Null while an epoch before it is not here whole: it is
   * asked for from the other elders, and `ready` is called when it came.
   */
  readonly pastOf: (authority: SectionAuthority) => Promise<MoneyPast | null>;
  readonly stop: () => void;
}

export interface HandoverMoneyOptions {
  readonly label: string;
  /** Hex of this node's name. */
  readonly self: NodeId;
  readonly facts: FactStore;
  readonly jobs: Pick<JobPool, 'run'>;
  /** The newest state of this node's section; null while it knows none. */
  readonly authority: () => SectionAuthority | null;
  /** Newest states of other sections. */
  readonly others: () => readonly SignedAuthority[];
  /** Hands an input to the section's machine. */
  readonly tell: (input: SectionNodeInput) => void;
  /** A certificate cites a key that this node has not heard of: somebody there has to be asked. */
  readonly unknownKey: (slot: Uint8Array) => void;
  readonly ready: () => void;
  readonly log: Log;
  /** For tests: how long a peer may be silent. */
  readonly silentMs?: number;
  /** For tests: how long until an archive that nobody had is asked for again. */
  readonly pastRetryMs?: number;
}

/** Money of these keys has stopped; the key of an instance is the hex of the section key. */
const endingMachine = 'ending';
/** Roots that the hand-over of a key gathered, to be deleted with it. */
const gatheredMachine = 'sealed-gathered';
const releasedMachine = 'sealed-released';
const pastRetryMs = 5_000;
const stateWaitMs = 50;

export async function openHandoverMoney(options: HandoverMoneyOptions): Promise<HandoverMoney> {
  const { facts, jobs, label, log, tell } = options;
  const lists = openSealedLists(facts);
  const links = await openMoneyLinks(facts, (peer) =>
    log.write({ event: 'moneyFailed', node: label, peer, kind: 'link', error: 'unreadable' }),
  );
  const ended = new Set(await facts.keys(endingMachine));
  /** Hashes of entries that were found good under a key: snapshots differ in few. */
  const proven = new Map<string, Set<string>>();
  /** Keys whose snapshot is being made. */
  const sealing = new Set<string>();
  let stopped = false;

  const fetches = createFetches({
    lists,
    ask: (key, to, root, start) =>
      tell({ kind: 'say', key, to: [to], message: { kind: 'askPage', root, start } }),
    ...(options.silentMs === undefined ? {} : { silentMs: options.silentMs }),
    blame: (peer, rule) => log.write({ event: 'snapshotRefused', node: label, peer, rule }),
  });

  const known = (own: SectionAuthority): SectionKeys =>
    links.view(
      own,
      options.others().map(({ authority }) => authority),
    );

  /** N22: from this moment no step of this key's money writes or signs anything. */
  const close = async (key: Uint8Array): Promise<void> => {
    const name = toHex(key);
    ended.add(name);
    // What earlier steps hand to the disk stands in front of this mark.
    if ((await facts.load(endingMachine, name)).length > 0) return;
    await facts.append(endingMachine, name, Uint8Array.of(1));
  };

  /** After a start the wish may be heard before the state it belongs to. */
  const authorityOf = async (key: Uint8Array): Promise<SectionAuthority | null> => {
    while (!stopped) {
      const section = options.authority();
      if (section !== null && equalBytes(section.key, key)) return section;
      // The section has gone on without us: what we would say now nobody waits for.
      if (section !== null && links.successorOf(key) !== undefined) return null;
      await new Promise((go) => setTimeout(go, stateWaitMs).unref());
    }
    return null;
  };

  const gathered = async (key: Uint8Array, root: Uint8Array): Promise<void> => {
    const before = await facts.load(gatheredMachine, toHex(key));
    if (before.some((each) => equalBytes(each, root))) return;
    await facts.append(gatheredMachine, toHex(key), root);
  };

  const sealMoney = async (authority: SectionAuthority): Promise<Uint8Array> => {
    const { key } = authority;
    await close(key);
    const entries = await sealedEntriesOf(facts, authority);
    const good = provenUnder(key);
    for (const entry of entries) good.add(hashOf(entry)); // Each was verified before it was written.
    const root = await lists.keep(entries);
    await gathered(key, root);
    return root;
  };

  const provenUnder = (key: Uint8Array): Set<string> => {
    const name = toHex(key);
    const before = proven.get(name);
    if (before !== undefined) return before;
    proven.clear(); // One key ends at a time.
    const set = new Set<string>();
    proven.set(name, set);
    return set;
  };

  /** N23: is every entry proven? What is unknown is asked for, never blamed. */
  const judge = async (
    section: SectionAuthority,
    entries: readonly SealedEntry[],
  ): Promise<Judgement> => {
    const good = provenUnder(section.key);
    const fresh = entries.filter((entry) => !good.has(hashOf(entry)));
    if (fresh.length === 0) return 'good';
    const keys = known(section);
    const job = { kind: 'check', section, known: keys, entries: fresh } as const;
    const result = await jobs.run('snapshot', job);
    if (result.kind !== 'checked') return 'later';
    if (result.problem === 'unknownKey') {
      for (const slot of unknownSlots(keys, fresh)) options.unknownKey(slot);
      return 'later';
    }
    if (result.problem !== null) return 'bad';
    for (const entry of fresh) good.add(hashOf(entry));
    return 'good';
  };

  const anything = async (): Promise<Judgement> => 'good'; // Each page is proven by the root.

  /** A list that a sealed root names: from the disk, else from these peers. */
  const obtain = async (
    key: Uint8Array,
    root: Uint8Array,
    from: readonly NodeId[],
  ): Promise<boolean> => {
    if (await lists.has(root)) return true;
    return fetches.fetch(key, root, inAskingOrder(options.self, root, from), anything);
  };

  const obtainLine = async (
    key: Uint8Array,
    line: readonly SignedSuccessor[],
    from: readonly NodeId[],
  ): Promise<boolean> => {
    for (const { record } of line) {
      if (!(await obtain(key, record.sealedRoot, from))) return false;
    }
    return true;
  };

  /** A snapshot from the disk; one that is not there, or cannot be read, from these peers. */
  const entriesOf = async (
    section: SectionAuthority,
    root: Uint8Array,
    from: readonly NodeId[],
  ): Promise<readonly SealedEntry[] | null> => {
    const before = await lists.load(root);
    if (before !== null) return before;
    const peers = from.filter((peer) => peer !== options.self);
    if (await lists.has(root)) {
      unreadable('snapshot');
      await lists.renew(root);
    }
    const isHere =
      (await lists.has(root)) ||
      (await fetches.fetch(section.key, root, peers, (each) => judge(section, each)));
    return isHere ? lists.load(root) : null;
  };
  const unreadable = (kind: string): void =>
    log.write({ event: 'moneyFailed', node: label, kind, error: 'unreadable' });

  const fetchSnapshot = async (
    { key, root, from }: MoneyOutput & { readonly kind: 'fetch' },
    elder: number,
  ): Promise<SectionNodeInput | null> => {
    const section = options.authority();
    if (section === null || !equalBytes(section.key, key)) return null;
    // The elder itself has it; whom else to ask first nobody can choose.
    const [elderId = '', ...others] = from;
    const sources = [elderId, ...inAskingOrder(options.self, root, others)];
    const entries = await entriesOf(section, root, sources);
    if (entries === null) return null;
    // A list may be here for another reason, and be no snapshot of this key.
    if ((await judge(section, entries)) !== 'good') return null;
    await gathered(key, root);
    return { kind: 'snapshotHeld', key, elder, root };
  };

  const merge = async ({
    key,
    snapshots,
  }: MoneyOutput & { readonly kind: 'merge' }): Promise<SectionNodeInput | null> => {
    const elders = new Set(snapshots.map(({ elder }) => elder));
    if (elders.size < snapshotsRequired || elders.size !== snapshots.length) return null;
    const section = options.authority();
    const peers = (section?.elders ?? []).map(({ name }) => toHex(name));
    const held = await Promise.all(
      snapshots.map(async ({ elder, root }) => {
        const isOurs = section !== null && equalBytes(section.key, key);
        const entries = isOurs
          ? await entriesOf(section, root, inAskingOrder(options.self, root, peers))
          : await lists.load(root);
        return entries === null ? [] : [{ elder, entries }];
      }),
    );
    if (held.flat().length < snapshots.length) return null;
    const result = await jobs.run('snapshot', { kind: 'merge', snapshots: held.flat() });
    if (result.kind !== 'merged') return null;
    const root = await lists.keep(result.entries);
    await gathered(key, root);
    return { kind: 'merged', key, snapshots, root };
  };

  /** Snapshots of a key go when its heirs have everything; what its record names stays (N34). */
  const sweep = async (key: Uint8Array): Promise<void> => {
    const name = toHex(key);
    const record = links.successorOf(key)?.record;
    if (record === undefined) return;
    const isReleased = (await facts.load(releasedMachine, name)).length > 0;
    // An heir that has handed over itself had everything: then this hand-over is long over.
    const isPast = record.children.some((child) => links.successorOf(child.key) !== undefined);
    if (!isReleased && !isPast) return;
    const kept = new Set(links.all().map(({ record }) => toHex(record.sealedRoot)));
    for (const root of await facts.load(gatheredMachine, name)) {
      if (!kept.has(toHex(root))) await lists.drop(root);
    }
    await facts.erase(gatheredMachine, name);
    // What the key's elders wrote is in its sealed root.
    await eraseMoneyFacts(facts, { epoch: record.epoch, key });
    proven.delete(name);
  };

  const act = async (output: MoneyOutput): Promise<SectionNodeInput | null> => {
    const { key } = output;
    switch (output.kind) {
      case 'sealMoney': {
        ended.add(toHex(key)); // Now, before anything else has its turn.
        if (sealing.has(toHex(key))) return null; // Asked for again: the answer is on its way.
        sealing.add(toHex(key));
        try {
          const section = await authorityOf(key);
          return section === null
            ? null
            : { kind: 'moneySealed', key, root: await sealMoney(section) };
        } finally {
          sealing.delete(toHex(key));
        }
      }
      case 'fetch': {
        const { elder, root, from } = output;
        if (elder !== null) return fetchSnapshot(output, elder);
        const section = options.authority();
        const isOurs = section !== null && equalBytes(section.key, key);
        const epoch = isOurs ? section.epoch : links.successorOf(key)?.record.epoch;
        const line = epoch === undefined ? null : links.lineOf(key, epoch);
        const whole =
          line !== null && (await obtain(key, root, from)) && (await obtainLine(key, line, from));
        return whole ? { kind: 'inherited', key, sealedRoot: root } : null;
      }
      case 'serve': {
        const { to, root, start } = output;
        const held = await lists.page(root, start);
        if (held === null) return null;
        const message = { ...held, kind: 'page', root } as const;
        return { kind: 'say', key, to: [to], message };
      }
      case 'page':
        await fetches.take(output.from, output.page);
        return null;
      case 'merge': {
        const { snapshots } = output;
        const failed = { kind: 'unmerged', key, snapshots } as const;
        return (await merge(output).catch(() => null)) ?? failed;
      }
      case 'release':
        await facts.append(releasedMachine, toHex(key), Uint8Array.of(1));
        await sweep(key);
        return null;
    }
  };

  /**
   * All payments of an epoch, page by page: each is proven in a thread, and messages are answered
   * between two of them. @returns false when it is not here whole; what cannot be read goes.
   */
  const readArchive = async (
    { epoch, sealedRoot: root }: SignedSuccessor['record'],
    prefix: SectionAuthority['prefix'],
    slots: Map<string, InheritedSlot>,
    outputs: Map<string, Registration>,
  ): Promise<boolean> => {
    if (!(await lists.has(root))) return false;
    let start = 0;
    for (let count = 1; start < count;) {
      const page = await lists.page(root, start);
      const result = page && (await jobs.run('snapshot', { kind: 'inherit', root, page, prefix }));
      if (page === null || result?.kind !== 'inherited' || result.page === null) {
        // Else it would be taken for whole, and nobody would be asked for it.
        unreadable('archive');
        await lists.renew(root);
        return false;
      }
      addPage(slots, outputs, epoch, result.page);
      start += page.entries.length;
      count = page.count;
    }
    return true;
  };

  /** Elders of one key hold the same archives: whoever lacks one asks the others. */
  let wanted: SectionAuthority | null = null;
  let seeking = false;
  /** Hex of the key whose past was last found to be here. */
  let readyFor: string | null = null;
  const pause = (): Promise<unknown> =>
    new Promise((go) => setTimeout(go, options.pastRetryMs ?? pastRetryMs).unref());
  const seekOnce = async (authority: SectionAuthority): Promise<boolean> => {
    const line = links.lineOf(authority.key, authority.epoch);
    const from = authority.elders
      .map(({ name }) => toHex(name))
      .filter((peer) => peer !== options.self);
    return line !== null && obtainLine(authority.key, line, from);
  };
  /** For the key that is in force now, which may be another one after each wait. */
  const seekPast = async (): Promise<void> => {
    if (seeking) return;
    seeking = true;
    let paused = wanted !== null && toHex(wanted.key) === readyFor;
    while (!stopped && wanted !== null) {
      // It was all here a moment ago, and could not be read then: the disk is given time.
      if (paused) await pause();
      paused = false;
      const sought: SectionAuthority = wanted;
      const isWhole = await seekOnce(sought).catch((error: unknown) => {
        log.write({ event: 'moneyFailed', node: label, kind: 'past', error: String(error) });
        return false;
      });
      const isStill = wanted === sought;
      if (isWhole && isStill) {
        wanted = null;
        readyFor = toHex(sought.key);
        options.ready();
      } else if (isStill) {
        await pause();
        const now = options.authority();
        if (wanted === sought && now !== null && !equalBytes(now.key, sought.key)) wanted = null;
      }
    }
    seeking = false;
  };

  const heard = async (records: readonly SignedSuccessor[]): Promise<void> => {
    const fresh = records.filter(({ record }) => links.successorOf(record.parentKey) === undefined);
    await links.add(fresh);
    if (fresh.length === 0) return;
    for (const name of await facts.keys(gatheredMachine)) {
      const key = fromHex(name);
      if (key.ok) await sweep(key.value);
    }
  };
  const learned = (records: readonly SignedSuccessor[]): void => {
    heard(records).catch((error: unknown) => {
      log.write({ event: 'moneyFailed', node: label, kind: 'links', error: String(error) });
      if (!stopped)
        setTimeout(() => !stopped && learned(records), options.pastRetryMs ?? pastRetryMs).unref();
    });
  };

  return {
    learned,
    heard,
    perform: (output, answer) => {
      act(output).then(
        (input) => {
          if (input !== null && !stopped) answer(input);
        },
        (error: unknown) =>
          log.write({ event: 'moneyFailed', node: label, kind: output.kind, error: String(error) }),
      );
    },
    pastOf: async (authority) => {
      const line = links.lineOf(authority.key, authority.epoch);
      const slots = new Map<string, InheritedSlot>();
      const outputs = new Map<string, Registration>();
      let read = 0;
      for (const { record } of line ?? []) {
        if (!(await readArchive(record, authority.prefix, slots, outputs))) break;
        read += 1;
      }
      if (line === null || read < line.length) {
        log.write({ event: 'pastMissing', node: label, count: Number(authority.epoch) });
        wanted = authority;
        void seekPast();
        return null;
      }
      wanted = null;
      const name = toHex(authority.key);
      return {
        known: () => known(authority),
        inheritance: { slots, outputs },
        sealed: () => ended.has(name),
      };
    },
    stop: () => {
      stopped = true;
      fetches.stop();
    },
  };
}

const hashOf = (entry: SealedEntry): string => {
  const leaf: SealedLeaf = sealedLeafOf(entry);
  return toHex(sealedLeafHash(leaf));
};

/** Slots whose certificates cite a key that is not known. */
function unknownSlots(keys: SectionKeys, entries: readonly SealedEntry[]): readonly Uint8Array[] {
  return entries.flatMap((entry) => {
    if (entry.kind === 'decided') return [];
    const decoded = decodeTransaction(entry.transaction);
    if (!decoded.ok) return [];
    const certificates = entry.kind === 'bound' ? entry.prepared : entry.certificates;
    return decoded.value.inputs.flatMap(({ keyImage }, index) => {
      const slot = slotName(keyImage);
      const epoch = certificates[index]?.epoch;
      return epoch === undefined || keyAt(keys, slot, epoch) !== undefined ? [] : [slot];
    });
  });
}
