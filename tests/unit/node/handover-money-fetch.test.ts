/**
 * Goal: whoever is asked for a list of sealed entries can neither fill this node's memory or disk
 * with anything but that list, nor feed it for hours, and what came before a restart is not asked
 * for again. Method: the fetcher with real lists on disk and peers that the test plays.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import {
  decodeSealedEntry,
  encodeSealedEntry,
  entriesRoot,
  isShortPage,
  openSealedPage,
  restOfPage,
  sealedLeafOf,
  sealedPages,
  type SealedEntry,
  type SealedPage,
} from '#money/snapshot.ts';
import { addressOf } from '#money/address.ts';
import { sealedLeafHash, sealedRanges } from '#money/sealed.ts';
import { createFetches, inAskingOrder } from '#node/handover-money-fetch.ts';
import { openSealedLists } from '#node/handover-money-lists.ts';
import { addCoin, emptyWallet, genesisCoin, planPayment, spendable } from '#safe/wallet/index.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { toyScalars, toySuite } from '../../sim/toy-suite.ts';
import {
  certify,
  faucet,
  keysOf,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from '../money/fixtures.ts';

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
const bytes = encodeSealedEntry({
  ...{ kind: 'output', key: new Uint8Array(32), txid: txidOf(body.value), transaction, index: 0 },
  certificates: Array.from({ length: 8 }, () => certificate),
});
/** Entries that differ in their name alone. */
const entriesOf = (count: number, salt = 0): readonly SealedEntry[] =>
  Array.from({ length: count }, (_, at) => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(1, at + salt);
    const entry = decodeSealedEntry(copy);
    if (!entry.ok) throw new Error('an entry');
    return entry.value;
  });

const key = new Uint8Array(96).fill(1);
const entries = entriesOf(1_500);
const root = entriesRoot(entries);
const pages = sealedPages(entries);
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

/** What a peer answers who is asked for the entries from a place on. */
type Peer = (start: number) => SealedPage | null;
/** As whoever made the list itself: its pages, and what is left of the one that holds the place. */
const honest: Peer = (start) => {
  const page = pages.find((each) => start < each.start + each.entries.length);
  if (page === undefined || page.start === start) return page ?? null;
  return restOfPage(page, start);
};
const leaves = entries.map((entry) => sealedLeafHash(sealedLeafOf(entry)));
/** True entries, as many as this, with a true proof. */
const rangeOf = (start: number, length: number): SealedPage => {
  const [siblings = []] = sealedRanges(leaves, [{ start, length }]);
  const encoded = entries.slice(start, start + length).map(encodeSealedEntry);
  return { start, count: entries.length, siblings, entries: encoded };
};
const perPage = pages[0]?.entries.length ?? 0;
/** Cuts each page short by one entry: too full for a further one of the largest, and no page of ours. */
const cutter: Peer = (start) => rangeOf(start, Math.min(perPage - 1, entries.length - start));

/** Every peer answers at once with what it says of a page. */
function fetcher(peers: Readonly<Record<string, Peer>>, turnMs = 20_000, delayMs = 0) {
  const asked: string[] = [];
  const blamed: string[] = [];
  const lists = openSealedLists(facts);
  const fetches = createFetches({
    ...{ lists, silentMs: 60, turnMs },
    ask: (_, to, wanted, start) => {
      asked.push(`${to} ${start}`);
      const answer = peers[to]?.(start) ?? null;
      if (answer === null) return;
      const message = { ...answer, kind: 'page', root: wanted } as const;
      setTimeout(() => void fetches.take(to, message), delayMs);
    },
    blame: (peer, rule) => blamed.push(`${peer} ${rule}`),
  });
  open.push(fetches);
  return { fetches, lists, asked, blamed };
}

test('a list of several pages comes whole, and its sender is asked for each page once', async () => {
  const { fetches, lists, asked, blamed } = fetcher({ a: honest });
  expect(pages.length).toBeGreaterThan(3);
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(await lists.load(root)).toEqual(entries);
  expect(asked).toEqual(pages.map(({ start }) => `a ${start}`));
  expect(blamed).toEqual([]);
});

test('pages of another list are refused one by one, and nothing of them is kept', async () => {
  const other = sealedPages(entriesOf(2_000, 10_000));
  const liar: Peer = (start) => other.find((each) => each.start === start) ?? null;
  const { fetches, lists, asked, blamed } = fetcher({ liar, a: honest });
  expect(await fetches.fetch(key, root, ['liar', 'a'], good)).toBe(true);
  expect(blamed).toEqual(['liar otherRoot']);
  expect(asked.filter((each) => each.startsWith('liar'))).toHaveLength(1);
  expect(await lists.load(root)).toEqual(entries);
});

test('who deals a list out by single entries is refused at the first of them', async () => {
  const single: Peer = (start) => rangeOf(start, 1);
  const { fetches, blamed } = fetcher({ single, a: honest });
  expect(await fetches.fetch(key, root, ['single', 'a'], good)).toBe(true);
  expect(blamed).toEqual(['single short']);
});

test('who drips true pages is passed over in its turn, and what it sent stays', async () => {
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

test('a slow peer has its turn and no more', async () => {
  const { fetches, asked } = fetcher({ slow: honest, b: honest }, 45, 25);
  expect(await fetches.fetch(key, root, ['slow', 'b'], good)).toBe(true);
  expect(new Set(asked.map((each) => each.split(' ')[0]))).toEqual(new Set(['slow', 'b']));
});

test('after a restart the pages that came are not asked for again', async () => {
  const before = fetcher({ a: (start) => (start < 2 * perPage ? honest(start) : null) });
  expect(await before.fetches.fetch(key, root, ['a'], good)).toBe(false);
  before.fetches.stop();
  expect(await before.lists.has(root)).toBe(false);
  const { fetches, asked, lists } = fetcher({ a: honest });
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(asked[0]).toBe(`a ${2 * perPage}`);
  expect(await lists.load(root)).toEqual(entries);
});

test('a list whose last page came right before a restart is whole, and nobody is asked for more', async () => {
  const before = fetcher({ a: honest });
  for (const page of pages) await before.lists.keepPage(root, page);
  expect(await before.lists.has(root)).toBe(false);
  const { fetches, asked, lists } = fetcher({ a: honest });
  expect(await fetches.fetch(key, root, ['a'], good)).toBe(true);
  expect(asked).toEqual([]);
  expect(await lists.load(root)).toEqual(entries);
});

test('who cuts each page a little short stops nobody: others go on from the entry that is lacking', async () => {
  let sent = 0;
  const liar: Peer = (start) => (++sent > 3 ? null : cutter(start));
  const { fetches, lists, asked, blamed } = fetcher({ liar, a: honest });
  expect(isShortPage(rangeOf(0, perPage - 1))).toBe(false);
  expect(await fetches.fetch(key, root, ['liar', 'a'], good)).toBe(true);
  expect(blamed).toEqual([]);
  expect(await lists.load(root)).toEqual(entries);
  // What it sent stays: nothing is asked for twice.
  const [first] = asked.filter((each) => each.startsWith('a'));
  expect(first).toBe(`a ${3 * (perPage - 1)}`);
  // And whoever fetched it so gives it on to another, from wherever that one lacks it.
  const again = openSealedLists(facts);
  for (const start of [0, 1, perPage - 1, perPage, entries.length - 1]) {
    const page = await again.page(root, start);
    if (page === null) throw new Error(`no page from ${start}`);
    const opened = openSealedPage(root, page);
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

test('only the first page of a turn may be the rest of another: no peer deals out single entries', async () => {
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

test('a list that this node makes itself while it fetches it is whole, and cut as its own', async () => {
  const begun = fetcher({ liar: (start) => (start < perPage ? cutter(start) : null) });
  expect(await begun.fetches.fetch(key, root, ['liar'], good)).toBe(false);
  expect(await begun.lists.keep(entries)).toEqual(root);
  expect(await begun.lists.load(root)).toEqual(entries);
  expect(await begun.lists.page(root, perPage)).toEqual(pages[1]);
  await begun.lists.drop(root);
  expect(await begun.lists.has(root)).toBe(false);
  expect(await begun.lists.progress(root)).toEqual({ start: 0, last: null, count: null });
});

/** A page that cannot be decoded, and one that decodes to another list's entries. */
const damages = {
  'does not decode': () => Uint8Array.of(0xff, 1, 2, 3),
  'is another list’s': (page: SealedPage) => {
    const { start, count, siblings } = page;
    const other = entriesOf(page.entries.length, 100_000).map(encodeSealedEntry);
    return encodeCbor({ start, count, siblings, entries: other });
  },
};
async function damage(source: 'pages' | 'fetched', page: SealedPage, bytes: Uint8Array) {
  const machine = `sealed-${source}/${toHex(root)}`;
  await facts.erase(machine, String(page.start));
  await facts.append(machine, String(page.start), bytes);
}

test.each(Object.entries(damages))(
  'of a list with a page that %s nothing good goes, and that page alone is asked for again',
  async (_what, damaged) => {
    const { fetches, lists, asked, blamed } = fetcher({ honest });
    const bad = pages[1];
    if (bad === undefined) throw new Error('a list of several pages');
    await lists.keep(entries);
    await damage('pages', bad, damaged(bad));
    expect(await lists.load(root)).toBeNull();
    await lists.renew(root);
    expect(await lists.has(root)).toBe(false);
    // Nobody has it now: what is good is still there, and given to whoever asks.
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
    const again = openSealedLists(facts);
    expect(await again.load(root)).toEqual(entries);
  },
);

test('pages cut in another way fill in for one that cannot be read, and are read in their place', async () => {
  const { fetches, lists, asked } = fetcher({ cutter });
  await lists.keep(entries);
  const bad = pages[1];
  if (bad === undefined) throw new Error('a list of several pages');
  await damage('pages', bad, Uint8Array.of(0xff));
  await lists.renew(root);
  expect(await fetches.fetch(key, root, ['cutter'], good)).toBe(true);
  // One page is short of one entry; behind that the pages of this node's own follow.
  expect(asked).toEqual([bad.start, bad.start + perPage - 1].map((start) => `cutter ${start}`));
  expect(await lists.load(root)).toEqual(entries);
});

test('a fetch goes on from the pages before one that cannot be read', async () => {
  const before = fetcher({});
  for (const page of pages.slice(0, 2)) await before.lists.keepPage(root, page);
  const bad = pages[1];
  if (bad === undefined) throw new Error('a list of several pages');
  await damage('fetched', bad, Uint8Array.of(0xff));
  const { fetches, lists, asked } = fetcher({ honest });
  expect(await fetches.fetch(key, root, ['honest'], good)).toBe(true);
  expect(asked).toEqual(pages.slice(1).map(({ start }) => `honest ${start}`));
  expect(await lists.load(root)).toEqual(entries);
});

test('nobody can choose to be asked first: the order differs with asker and list', () => {
  const peers = ['01', '02', '03', '04', '05', '06', '07'].map((byte) => byte.repeat(32));
  const firsts = new Set(
    Array.from({ length: 40 }, (_, n) => inAskingOrder(toHex(seedOf(`node ${n}`)), root, peers)[0]),
  );
  expect(firsts.size).toBeGreaterThan(4);
  expect([...inAskingOrder('aa'.repeat(32), root, peers)].sort()).toEqual(peers);
});
