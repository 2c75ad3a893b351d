/**
 * The money of a key that ends: performs what the handover asks (R6, N22, N23, N27). Lists of
 * entries are kept by their root, page by page, and an epoch's money begins from those before it.
 */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import { bytesUpTo, listOf } from '#core/codec/shape.ts';
import type { NodeId } from '#core/machine.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  checkEntries,
  entriesOfPages,
  entriesRoot,
  maxSealedEntryBytes,
  mergeSnapshots,
  snapshotPages,
  type SealedEntry,
} from '#money/snapshot.ts';
import { inheritFrom, supersededBy, type SealedArchive } from '#protocol/handover/index.ts';
import {
  decodeSuccessor,
  encodeSuccessor,
  type SectionAuthority,
  type SignedAuthority,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import type { SectionNodeInput } from '#roles/section-node/state.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { ElderMoney, MoneyPast } from './elder-money.ts';
import type { Log } from './log.ts';
import type { MoneyOutput } from './section-port.ts';

export interface MoneyEnding {
  /** Performs one wish of the handover; every answer is safe to hear twice. */
  readonly perform: (output: MoneyOutput, answer: (input: SectionNodeInput) => void) => void;
  /** Remembers the links of a verified state: they name the epochs before it. */
  readonly heard: (signed: SignedAuthority) => Promise<void>;
  /** What an elder of this state begins with. Errors: rejects when an epoch before is missing. */
  readonly pastOf: (authority: SectionAuthority) => Promise<MoneyPast>;
  readonly stop: () => void;
}

export interface MoneyEndingOptions {
  readonly label: string;
  readonly facts: FactStore;
  /** The money of the key this node is an elder of now. */
  readonly money: () => ElderMoney | null;
  /** The state of that key. */
  readonly authority: () => SectionAuthority | null;
  readonly log: Log;
}

const listMachine = 'sealed-list';
const linkMachine = 'links';
const askEveryMs = 1_500;
const maxEntriesPerPage = 4096;
const pageShape = listOf(bytesUpTo(maxSealedEntryBytes), maxEntriesPerPage);

interface Fetching {
  readonly root: Uint8Array;
  readonly from: readonly NodeId[];
  readonly pages: Map<number, readonly Uint8Array[]>;
  total: number;
  tries: number;
  readonly done: ((entries: readonly SealedEntry[]) => void)[];
}

export function createMoneyEnding(options: MoneyEndingOptions): MoneyEnding {
  const { facts, log, label } = options;
  const fetching = new Map<string, Fetching>();
  let stopped = false;
  let say: (key: Uint8Array, to: readonly NodeId[], fetch: Fetching) => void = () => undefined;
  let lastKey: Uint8Array = new Uint8Array(96);

  const timer = setInterval(() => {
    for (const fetch of fetching.values()) say(lastKey, fetch.from, fetch);
  }, askEveryMs);

  const listOfRoot = async (root: Uint8Array): Promise<readonly SealedEntry[] | null> => {
    const pages = (await facts.load(listMachine, toHex(root))).map((bytes) => {
      const value = decodeCbor(bytes);
      return (value.ok ? pageShape(value.value) : undefined) ?? [];
    });
    if (pages.length === 0) return null;
    const entries = entriesOfPages(root, pages);
    return entries.ok ? entries.value : null;
  };

  const keep = async (entries: readonly SealedEntry[]): Promise<Uint8Array> => {
    const root = entriesRoot(entries);
    if ((await listOfRoot(root)) !== null) return root;
    // What a crash left half written is thrown away first.
    await facts.erase(listMachine, toHex(root));
    for (const page of snapshotPages(entries)) {
      await facts.append(listMachine, toHex(root), encodeCbor(page));
    }
    return root;
  };

  const obtain = async (
    root: Uint8Array,
    from: readonly NodeId[],
  ): Promise<readonly SealedEntry[]> => {
    const held = await listOfRoot(root);
    if (held !== null) return held;
    return new Promise((done) => {
      const id = toHex(root);
      const known = fetching.get(id);
      const fetch: Fetching = known ?? {
        root,
        from,
        pages: new Map(),
        total: 1,
        tries: 0,
        done: [],
      };
      fetch.done.push(done);
      fetching.set(id, fetch);
      say(lastKey, from, fetch);
    });
  };

  const takePage = async (from: NodeId, page: Extract<MoneyOutput, { kind: 'page' }>['page']) => {
    const fetch = fetching.get(toHex(page.root));
    if (fetch === undefined || page.page >= page.pages) return;
    fetch.total = page.pages;
    fetch.pages.set(page.page, page.entries);
    if (fetch.pages.size < fetch.total) return say(lastKey, fetch.from, fetch);
    const ordered = [...fetch.pages].sort(([a], [b]) => a - b).map(([, entries]) => entries);
    const entries = entriesOfPages(page.root, ordered);
    if (!entries.ok) {
      log.write({ event: 'snapshotRefused', node: label, peer: from, rule: entries.error });
      fetch.pages.clear();
      return;
    }
    fetching.delete(toHex(page.root));
    await keep(entries.value);
    for (const done of fetch.done) done(entries.value);
  };

  const links = async (): Promise<readonly SignedSuccessor[]> => {
    const found: SignedSuccessor[] = [];
    for (const key of await facts.keys(linkMachine)) {
      const [bytes] = await facts.load(linkMachine, key);
      const link = bytes === undefined ? undefined : decodeSuccessor(bytes);
      if (link?.ok === true) found.push(link.value);
    }
    return found.sort((a, b) => Number(a.record.epoch - b.record.epoch));
  };

  /** The links that lead to this key, oldest first. */
  const lineOf = async (key: Uint8Array): Promise<readonly SignedSuccessor[]> => {
    const all = await links();
    const line: SignedSuccessor[] = [];
    for (let at = key; ;) {
      const parent = all.find(({ record }) =>
        record.children.some((child) => equalBytes(child.key, at)),
      );
      if (parent === undefined) return line;
      line.unshift(parent);
      at = parent.record.parentKey;
    }
  };

  const pastOf = async (authority: SectionAuthority): Promise<MoneyPast> => {
    const line = await lineOf(authority.key);
    assert(line.length === Number(authority.epoch), 'an elder knows the way to its key');
    const archives: SealedArchive[] = [];
    for (const { record } of line) {
      const entries = await listOfRoot(record.sealedRoot);
      if (entries === null) throw new Error(`the money of epoch ${record.epoch} is not here`);
      archives.push({ epoch: record.epoch, sealedRoot: record.sealedRoot, entries });
    }
    const superseded = line.flatMap(({ record }) => supersededBy(record) ?? []);
    const { networkId, genesisOutput } = authority;
    const ended = (await facts.load('ending', toHex(authority.key))).length > 0;
    return {
      known: { networkId, genesisOutput, current: [authority], superseded },
      inheritance: inheritFrom(archives, authority.prefix),
      sealed: ended,
    };
  };

  const act = async (
    output: MoneyOutput,
    answer: (input: SectionNodeInput) => void,
  ): Promise<void> => {
    lastKey = output.key;
    const { key } = output;
    say = (under, to, { root, pages, total, ...fetch }) => {
      // One peer at a time, the next one at each turn.
      const peer = to[fetch.tries % Math.max(1, to.length)];
      const open = fetching.get(toHex(root));
      if (open !== undefined) open.tries += 1;
      if (peer === undefined || stopped) return;
      for (let page = 0, asked = 0; page < total && asked < 4; page++) {
        if (pages.has(page)) continue;
        asked += 1;
        answer({ kind: 'say', key: under, to: [peer], message: { kind: 'askPage', root, page } });
      }
    };
    switch (output.kind) {
      case 'sealMoney': {
        const money = options.money();
        if (money === null) return log.write({ event: 'noMoneyToSeal', node: label });
        return answer({ kind: 'moneySealed', key, root: await keep(await money.seal()) });
      }
      case 'fetch': {
        const { root, elder, from } = output;
        const entries = await obtain(root, from);
        const authority = options.authority();
        if (elder === null) {
          for (const { record } of await lineOf(key)) await obtain(record.sealedRoot, from);
          return answer({ kind: 'inherited', key, sealedRoot: root });
        }
        if (authority === null || !equalBytes(authority.key, key)) return;
        const { known } = await pastOf(authority);
        const checked = checkEntries(authority, known, blsSuite, entries);
        if (checked.ok) return answer({ kind: 'snapshotHeld', key, elder, root });
        return log.write({ event: 'snapshotRefused', node: label, rule: checked.error });
      }
      case 'serve': {
        const { to, root, page } = output;
        const stored = await facts.load(listMachine, toHex(root));
        const value = decodeCbor(stored[page] ?? new Uint8Array());
        const entries = value.ok ? pageShape(value.value) : undefined;
        if (entries === undefined) return;
        const message = { kind: 'page', root, page, pages: stored.length, entries } as const;
        return answer({ kind: 'say', key, to: [to], message });
      }
      case 'page':
        return takePage(output.from, output.page);
      case 'merge': {
        const { snapshots } = output;
        const lists = await Promise.all(
          snapshots.map(async ({ elder, root }) => ({ elder, entries: await listOfRoot(root) })),
        );
        const held = lists.flatMap(({ elder, entries }) =>
          entries === null ? [] : [{ elder, entries }],
        );
        if (held.length < snapshots.length) return;
        const merged = mergeSnapshots(held);
        const root = await keep(merged.entries);
        return answer({ kind: 'merged', key, snapshots, root });
      }
      case 'release':
        return; // Merged lists stay: they prove certificates of their epoch (N34).
    }
  };

  return {
    perform: (output, answer) => {
      act(output, answer).catch((error: unknown) =>
        log.write({ event: 'moneyFailed', node: label, kind: output.kind, error: String(error) }),
      );
    },
    heard: async ({ chain }) => {
      for (const link of chain) {
        const key = toHex(link.record.parentKey);
        if ((await facts.load(linkMachine, key)).length > 0) continue;
        await facts.append(linkMachine, key, encodeSuccessor(link));
      }
    },
    pastOf,
    stop: () => {
      stopped = true;
      clearInterval(timer);
    },
  };
}
