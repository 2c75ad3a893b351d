/**
 * Goal: a peer that sends a list of snapshot entries can fill neither memory nor disk with anything
 * else, and cannot prolong the fetch for hours; pages stored before a restart are not requested again.
 * Method: the fetcher with real lists on disk and peers that the test plays.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import {
  decodeSnapshotEntry,
  encodeSnapshotEntry,
  snapshotRoot,
  isShortPage,
  verifyPage,
  restOfPage,
  merkleLeafOf,
  provenPages,
  type SnapshotEntry,
  type ProvenPage,
} from '#money/snapshot.ts';
import { addressOf } from '#money/wallet-address.ts';
import { merkleLeafHash, rangeProofs } from '#money/inclusion-proof.ts';
import { createSnapshotFetches, inRequestOrder } from '#node/money/snapshot-fetch.ts';
import { openSnapshotStore } from '#node/money/snapshot-store.ts';
import { addCoin, emptyWallet, genesisCoin, planPayment, spendable } from '#safe/wallet/index.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { toyScalars, toySuite } from '../../../sim/toys/toy-suite.ts';
import {
  certify,
  faucet,
  keysOf,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from '../../money/fixtures.ts';

const section = makeSection(toySuite, toyScalars, toyName);
const first = genesisCoin(faucet, section.section);
if (first === null) throw new Error('the first coin');
const planned = planPayment({
  ...{ keys: faucet, networkId, amount: 700n, memo: new Uint8Array() },
  coins: spendable(addCoin(emptyWallet, first.coin, first.source, 0)),
  address: addressOf(keysOf('alice')),
  entropy: seedOf('entropy'),
});
if (!planned.ok) throw new Error(planned.error.kind);
const { transaction } = planned.value.bundle;
const body = decodeTransaction(transaction);
if (!body.ok) throw new Error('a transaction');
const [certificate] = certify(section, toySuite, 'COMMIT', body.value);
if (certificate === undefined) throw new Error('a certificate');
const bytes = encodeSnapshotEntry({
  ...{ kind: 'output', key: new Uint8Array(32), txid: txidOf(body.value), transaction, index: 0 },
  certificates: Array.from({ length: 8 }, () => certificate),
});
/** Entries that differ only in their name. */
const entriesOf = (count: number, salt = 0): readonly SnapshotEntry[] =>
  Array.from({ length: count }, (_, at) => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(1, at + salt);
    const entry = decodeSnapshotEntry(copy);
    if (!entry.ok) throw new Error('an entry');
    return entry.value;
  });

const key = new Uint8Array(96).fill(1);
const entries = entriesOf(1_500);
const root = snapshotRoot(entries);
const pages = provenPages(entries);
const good = async () => 'good' as const;

let folder: string;
let facts: FactStore;
const open: { readonly stop: () => void }[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-fetch-'));
  facts = openFacts(join(folder, 'facts'));
});
afterEach(() => {
  for (const each of open.splice(0)) each.stop();
  facts.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A peer's answer to a request for the entries from a position on. */
type Peer = (start: number) => ProvenPage | null;
/** A peer that made the list itself: its pages, and the rest of the one that contains the position. */
const honest: Peer = (start) => {
  const page = pages.find((each) => start < each.start + each.entries.length);
  if (page === undefined || page.start === start) return page ?? null;
  return restOfPage(page, start);
};
const leaves = entries.map((entry) => merkleLeafHash(merkleLeafOf(entry)));
/** This many valid entries, with a valid proof. */
const rangeOf = (start: number, length: number): ProvenPage => {
  const [siblings = []] = rangeProofs(leaves, [{ start, length }]);
  const encoded = entries.slice(start, start + length).map(encodeSnapshotEntry);
  return { start, count: entries.length, siblings, entries: encoded };
};
const perPage = pages[0]?.entries.length ?? 0;
/** Cuts each page short by one entry: too full for one more of the largest, yet not a page of ours. */
const cutter: Peer = (start) => rangeOf(start, Math.min(perPage - 1, entries.length - start));

/** Every peer answers immediately with its page. */
function fetcher(peers: Readonly<Record<string, Peer>>, turnMs = 20_000, delayMs = 0) {
  const asked: string[] = [];
  const blamed: string[] = [];
  const lists = openSnapshotStore(facts);
  const fetches = createSnapshotFetches({
    ...{ lists, unresponsiveMs: 60, turnMs },
    requestPage: (_, to, wanted, start) => {
      asked.push(`${to} ${start}`);
      const answer = peers[to]?.(start) ?? null;
      if (answer === null) return;
      const message = { ...answer, kind: 'page', root: wanted } as const;
      setTimeout(() => void fetches.receive(to, message), delayMs);
    },
    blame: (peer, rule) => blamed.push(`${peer} ${rule}`),
  });
  open.push(fetches);
  return { fetches, lists, asked, blamed };
}

test('a list of several pages arrives complete, and each page is requested once', async () => {
  const { fetches, lists, asked, blamed } = fetcher({ a: honest });
  expect(pages.length).toBeGreaterThan(3);
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(await lists.load(root)).toEqual(entries);
  expect(asked).toEqual(pages.map(({ start }) => `a ${start}`));
  expect(blamed).toEqual([]);
});

test('pages of another list are refused one by one, and none is stored', async () => {
  const other = provenPages(entriesOf(2_000, 10_000));
  const liar: Peer = (start) => other.find((each) => each.start === start) ?? null;
  const { fetches, lists, asked, blamed } = fetcher({ liar, a: honest });
  expect(await fetches.fetch(key, root, ['liar', 'a'], good)).toBe(true);
  expect(blamed).toEqual(['liar otherRoot']);
  expect(asked.filter((each) => each.startsWith('liar'))).toHaveLength(1);
  expect(await lists.load(root)).toEqual(entries);
});

test('a peer that sends single entries is refused at the first one', async () => {
  const single: Peer = (start) => rangeOf(start, 1);
  const { fetches, blamed } = fetcher({ single, a: honest });
  expect(await fetches.fetch(key, root, ['single', 'a'], good)).toBe(true);
  expect(blamed).toEqual(['single short']);
});

test('a peer that drips valid pages is skipped after its turn, and its pages stay', async () => {
  let dripped = 0;
  const drip: Peer = (start) => {
    dripped += 1;
    return dripped > 1 ? null : honest(start);
  };
  const { fetches, asked, blamed } = fetcher({ drip, a: honest });
  expect(await fetches.fetch(key, root, ['drip', 'a'], good)).toBe(true);
  expect(blamed).toEqual([]);
  expect(asked).not.toContain('a 0');
});

test('a slow peer gets one turn only', async () => {
  const { fetches, asked } = fetcher({ slow: honest, b: honest }, 45, 25);
  expect(await fetches.fetch(key, root, ['slow', 'b'], good)).toBe(true);
  expect(new Set(asked.map((each) => each.split(' ')[0]))).toEqual(new Set(['slow', 'b']));
});

test('after a restart stored pages are not requested again', async () => {
  const before = fetcher({ a: (start) => (start < 2 * perPage ? honest(start) : null) });
  expect(await before.fetches.fetch(key, root, ['a'], good)).toBe(false);
  before.fetches.stop();
  expect(await before.lists.has(root)).toBe(false);
  const { fetches, asked, lists } = fetcher({ a: honest });
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(asked[0]).toBe(`a ${2 * perPage}`);
  expect(await lists.load(root)).toEqual(entries);
});

test('a list whose last page arrived right before a restart is complete without further requests', async () => {
  const before = fetcher({ a: honest });
  for (const page of pages) await before.lists.savePage(root, page);
  expect(await before.lists.has(root)).toBe(false);
  const { fetches, asked, lists } = fetcher({ a: honest });
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(asked).toEqual([]);
  expect(await lists.load(root)).toEqual(entries);
});

test('a peer that cuts each page a little short stops no fetch: others continue from the missing entry', async () => {
  let sent = 0;
  const liar: Peer = (start) => (++sent > 3 ? null : cutter(start));
  const { fetches, lists, asked, blamed } = fetcher({ liar, a: honest });
  expect(isShortPage(rangeOf(0, perPage - 1))).toBe(false);
  expect(await fetches.fetch(key, root, ['liar', 'a'], good)).toBe(true);
  expect(blamed).toEqual([]);
  expect(await lists.load(root)).toEqual(entries);
  // Its pages stay: nothing is requested twice.
  const [first] = asked.filter((each) => each.startsWith('a'));
  expect(first).toBe(`a ${3 * (perPage - 1)}`);
  // A node that fetched them serves them on, from any position.
  const again = openSnapshotStore(facts);
  for (const start of [0, 1, perPage - 1, perPage, entries.length - 1]) {
    const page = await again.page(root, start);
    if (page === null) throw new Error(`no page from ${start}`);
    const opened = verifyPage(root, page);
    expect(opened.ok && opened.value[0]).toEqual(entries[start]);
    expect(page.start).toBe(start);
  }
  expect(await again.page(root, entries.length)).toBe(null);
});

test('nor after a restart between its pages and those of others', async () => {
  let sent = 0;
  const before = fetcher({ liar: (start) => (++sent > 2 ? null : cutter(start)) });
  expect(await before.fetches.fetch(key, root, ['liar'], good)).toBe(false);
  before.fetches.stop();
  const { fetches, lists, asked, blamed } = fetcher({ a: honest });
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(asked[0]).toBe(`a ${2 * (perPage - 1)}`);
  expect(blamed).toEqual([]);
  expect(await lists.load(root)).toEqual(entries);
});

test('only the first page of a turn may be the rest of another: single entries are refused', async () => {
  const single: Peer = (start) => rangeOf(start, 1);
  const begun = fetcher({ drop: (start) => (start === 0 ? cutter(0) : null) });
  expect(await begun.fetches.fetch(key, root, ['drop'], good)).toBe(false);
  begun.fetches.stop();
  const { fetches, lists, blamed, asked } = fetcher({ single, a: honest });
  expect(await fetches.fetch(key, root, ['single', 'a'], good)).toBe(true);
  expect(blamed).toEqual(['single short']);
  expect(asked.filter((each) => each.startsWith('single'))).toHaveLength(2);
  expect(await lists.load(root)).toEqual(entries);
});

test('a list that this node makes itself during the fetch is complete, with its own pages', async () => {
  const begun = fetcher({ liar: (start) => (start < perPage ? cutter(start) : null) });
  expect(await begun.fetches.fetch(key, root, ['liar'], good)).toBe(false);
  expect(await begun.lists.save(entries)).toEqual(root);
  expect(await begun.lists.load(root)).toEqual(entries);
  expect(await begun.lists.page(root, perPage)).toEqual(pages[1]);
  await begun.lists.delete(root);
  expect(await begun.lists.has(root)).toBe(false);
  expect(await begun.lists.progress(root)).toEqual({ start: 0, last: null, count: null });
});

/** A page that does not decode, and one that decodes to another list's entries. */
const damages = {
  'does not decode': () => Uint8Array.of(0xff, 1, 2, 3),
  'is another list’s': (page: ProvenPage) => {
    const { start, count, siblings } = page;
    const other = entriesOf(page.entries.length, 100_000).map(encodeSnapshotEntry);
    return encodeCbor({ start, count, siblings, entries: other });
  },
};
async function damage(source: 'pages' | 'fetched', page: ProvenPage, bytes: Uint8Array) {
  const machine = `sealed-${source}/${toHex(root)}`;
  await facts.erase(machine, String(page.start));
  await facts.append(machine, String(page.start), bytes);
}

test.each(Object.entries(damages))(
  'a list with a page that %s keeps its good pages, and only that page is requested again',
  async (_what, damaged) => {
    const { fetches, lists, asked, blamed } = fetcher({ honest });
    const bad = pages[1];
    if (bad === undefined) throw new Error('a list of several pages');
    await lists.save(entries);
    await damage('pages', bad, damaged(bad));
    expect(await lists.load(root)).toBeNull();
    await lists.invalidate(root);
    expect(await lists.has(root)).toBe(false);
    // No peer has it now: the good pages are still stored and served.
    expect(await fetches.fetch(key, root, ['silent'], good)).toBe(false);
    for (const page of pages) {
      if (page !== bad) expect(await lists.page(root, page.start)).toEqual(page);
    }
    asked.length = 0;
    expect(await fetches.fetch(key, root, ['honest'], good)).toBe(true);
    expect(asked).toEqual([`honest ${bad.start}`]);
    expect(await lists.has(root)).toBe(true);
    expect(await lists.load(root)).toEqual(entries);
    for (const page of pages) expect(await lists.page(root, page.start)).toEqual(page);
    expect(blamed).toEqual([]);
    const again = openSnapshotStore(facts);
    expect(await again.load(root)).toEqual(entries);
  },
);

test('differently divided pages replace an unreadable one, and are read in its place', async () => {
  const { fetches, lists, asked } = fetcher({ cutter });
  await lists.save(entries);
  const bad = pages[1];
  if (bad === undefined) throw new Error('a list of several pages');
  await damage('pages', bad, Uint8Array.of(0xff));
  await lists.invalidate(root);
  expect(await fetches.fetch(key, root, ['cutter'], good)).toBe(true);
  // One page is short of one entry; after it this node's own pages follow.
  expect(asked).toEqual([bad.start, bad.start + perPage - 1].map((start) => `cutter ${start}`));
  expect(await lists.load(root)).toEqual(entries);
});

test('a fetch continues from the pages before an unreadable one', async () => {
  const before = fetcher({});
  for (const page of pages.slice(0, 2)) await before.lists.savePage(root, page);
  const bad = pages[1];
  if (bad === undefined) throw new Error('a list of several pages');
  await damage('fetched', bad, Uint8Array.of(0xff));
  const { fetches, lists, asked } = fetcher({ honest });
  expect(await fetches.fetch(key, root, ['honest'], good)).toBe(true);
  expect(asked).toEqual(pages.slice(1).map(({ start }) => `honest ${start}`));
  expect(await lists.load(root)).toEqual(entries);
});

test('no name can be ground to be asked first: the order depends on requester and list', () => {
  const peers = ['01', '02', '03', '04', '05', '06', '07'].map((byte) => byte.repeat(32));
  const firsts = new Set(
    Array.from(
      { length: 40 },
      (_, n) => inRequestOrder(toHex(seedOf(`node ${n}`)), root, peers)[0],
    ),
  );
  expect(firsts.size).toBeGreaterThan(4);
  expect([...inRequestOrder('aa'.repeat(32), root, peers)].sort()).toEqual(peers);
});
