/**
 * Goal: an elder's money ends with its key and goes on under the next one, whatever crashes between.
 * Method: real facts on disk, real payments with toy threshold signatures, three epochs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { child, EMPTY_PREFIX } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { emptyWallet } from '#safe/wallet/index.ts';
import {
  decodeSpentbookAnswer,
  encodeSpentbookRequest,
  type SpentbookAnswer,
} from '#protocol/spentbook/index.ts';
import { decodeEntry, sectionKeyHash } from '#money/certificate.ts';
import { entriesRoot } from '#money/snapshot.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import { verifySealed } from '#money/sealed.ts';
import { openMoneyLinks } from '#node/handover-money-links.ts';
import { faucet, keysOf } from '../money/fixtures.ts';
import { linkOf, MoneyWorld, termOf, withFirstCoin, type Payer } from './handover-money-world.ts';

const old = ['ann', 'ben', 'cat', 'dan', 'eve', 'fay', 'gus'];
const next = ['ben', 'cat', 'dan', 'eve', 'fay', 'gus', 'hal'];
const third = ['cat', 'dan', 'eve', 'fay', 'gus', 'hal', 'ida'];
let folder: string;
let world: MoneyWorld;
let payer: Payer;
let alice: Payer;
const first = termOf(0n, old);
const second = termOf(1n, next);
const last = termOf(2n, third);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'safe-ending-'));
  world = new MoneyWorld(folder);
  for (const person of old) {
    await world.start(person);
    expect(await world.seat(person, first)).toBe(true);
  }
  payer = withFirstCoin(faucet, first.authority);
  alice = { keys: keysOf('alice'), wallet: emptyWallet };
});
afterEach(() => {
  world.stop();
  rmSync(folder, { recursive: true });
});

const listOf = async (person: string): Promise<readonly Uint8Array[]> =>
  (await world.node(person).facts.listOutputs(0, 64)).entries;

const askSlot = async (
  person: string,
  slot: Uint8Array,
  message: object,
): Promise<SpentbookAnswer> => {
  const request = { request: new Uint8Array(16).fill(1), slot, ...message } as never;
  const reply = await world
    .node(person)
    .money?.answer({ kind: 'slot', slot, message: encodeSpentbookRequest(request) });
  const answer = reply?.kind === 'money' ? decodeSpentbookAnswer(reply.message) : undefined;
  if (answer?.ok !== true) throw new Error(`no answer: ${reply?.kind}`);
  return answer.value;
};

/** Heirs take over with everything; who is already there keeps its folder. */
async function inherit(
  people: readonly string[],
  root: Uint8Array,
  links: Parameters<MoneyWorld['sectionsOf']>[1],
) {
  const parent = links.at(-1)?.record.parentKey ?? root;
  for (const person of people) {
    if (!world.nodes.has(person)) {
      const node = await world.start(person);
      node.authority = links.length === 1 ? first.authority : second.authority;
    }
    await world.node(person).ending.heard(links);
    const from = [...world.nodes.values()]
      .map(({ id }) => id)
      .filter((id) => id !== world.node(person).id);
    const held = await world.wish(person, { kind: 'fetch', key: parent, root, elder: null, from });
    expect(held).toMatchObject({ kind: 'inherited', sealedRoot: root });
  }
}

test('R6, N34: a coin of the first epoch is spent in the second and its change in the third', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  for (const person of next) expect(await world.seat(person, second)).toBe(true);

  const bob: Payer = { keys: keysOf('bob'), wallet: emptyWallet };
  const said = await world.pay(world.sectionsOf([first, second], [link]), alice, bob, 200n);
  expect(said).toEqual(['prepared', 'final', 'registered']);

  const secondRoot = await world.handOver(second, next);
  expect(toHex(secondRoot)).not.toBe(toHex(root));
  const links = [link, linkOf(second.authority, secondRoot, [last.authority])];
  await inherit(third, secondRoot, links);
  for (const person of third) expect(await world.seat(person, last)).toBe(true);
  const sections = world.sectionsOf([first, second, last], links);
  expect(await world.pay(sections, alice, bob, 300n)).toEqual(['prepared', 'final', 'registered']);

  // Ida, who was there in none of them, lists every output of all three epochs once.
  const list = await world.node('ida').facts.listOutputs(0, 64);
  expect(list.entries).toHaveLength(new Set(list.entries.map(toHex)).size);
  expect(list.entries).toHaveLength(5);
});

test('N22: after the stop nothing is signed, what is decided is said, and a crash changes no root', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const { key } = first.authority;
  await expect.poll(async () => (await listOf('ann')).length).toBeGreaterThan(0);
  const [entry] = (await world.node('ann').facts.listOutputs(0, 1)).entries;
  const decoded = entry === undefined ? undefined : decodeEntry(entry);
  if (decoded?.ok !== true) throw new Error('a line of the list');
  const body = decodeTransaction(decoded.value.transaction);
  if (!body.ok) throw new Error('a transaction');
  const slot = slotName(body.value.inputs[0]?.keyImage ?? key);

  const sealed = await world.wish('ann', { kind: 'sealMoney', key });
  expect(sealed).toMatchObject({ kind: 'moneySealed' });
  const { transaction } = decoded.value;
  const prepare = { kind: 'prepare', section: sectionKeyHash(key), transaction, sources: [] };
  expect((await askSlot('ann', slot, prepare)).kind).toBe('spent');
  expect((await askSlot('ann', new Uint8Array(32), prepare)).kind).toBe('sealed');

  // Crash: with the stop on disk and the list half written, and again with both whole.
  for (const loss of ['list', 'nothing'] as const) {
    if (loss === 'list' && sealed?.kind === 'moneySealed') {
      await world.node('ann').facts.erase('sealed-lists', toHex(sealed.root));
    }
    await world.crash('ann');
    expect(await world.seat('ann', first)).toBe(true);
    expect((await askSlot('ann', new Uint8Array(32), prepare)).kind).toBe('sealed');
    expect(await world.wish('ann', { kind: 'sealMoney', key })).toEqual(sealed);
  }
  // After a start the wish may come before the state.
  const node = await world.crash('ann');
  node.authority = null;
  const early = world.wish('ann', { kind: 'sealMoney', key });
  await world.seat('ann', first);
  expect(await early).toEqual(sealed);
});

test('N34: elders prove what an earlier epoch decided, and name the key that speaks now', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  await world.seat('hal', second);
  const [entry] = (await world.node('hal').facts.listOutputs(0, 1)).entries;
  const decoded = entry === undefined ? undefined : decodeEntry(entry);
  if (decoded?.ok !== true) throw new Error('a line of the list');
  const body = decodeTransaction(decoded.value.transaction);
  if (!body.ok) throw new Error('a transaction');
  const slot = slotName(body.value.inputs[0]?.keyImage ?? root);
  const proof = await askSlot('hal', slot, { kind: 'prove', epoch: 0n });
  if (proof.kind !== 'proof' || proof.path === null) throw new Error('a proof');
  expect(verifySealed(root, slot, txidOf(body.value), proof.path)).toBe(true);
  const { transaction } = decoded.value;
  const asOf = {
    kind: 'prepare',
    section: sectionKeyHash(first.authority.key),
    transaction,
    sources: [],
  };
  expect(await askSlot('hal', slot, asOf)).toMatchObject({ kind: 'otherKey', epoch: 1n });
});

test('N23: silent and lying peers are passed over, and what the root does not name is not kept', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const { key } = first.authority;
  const sealed = await world.wish('ann', { kind: 'sealMoney', key });
  if (sealed?.kind !== 'moneySealed') throw new Error('sealed');
  for (const person of ['ben', 'cat', 'dan']) await world.wish(person, { kind: 'sealMoney', key });
  world.silent.add('ben');
  world.lying.add('cat');
  const from = ['ben', 'cat', 'ann'].map((person) => world.node(person).id);
  await world.start('hal');
  world.node('hal').authority = first.authority;
  await world.node('ben').facts.eraseAll('sealed-lists');
  const wish = { kind: 'fetch', key, root: sealed.root, elder: 1, from } as const;
  expect(await world.wish('hal', wish)).toEqual({
    kind: 'snapshotHeld',
    key,
    elder: 1,
    root: sealed.root,
  });
  // A list that is here for another reason is no snapshot of another key.
  world.node('hal').authority = second.authority;
  const other = { ...wish, key: second.authority.key };
  expect(await world.wish('hal', other, 300)).toBeNull();
});

test('N27: an elder that was away fetches what it lacks from the others, and then begins', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(
    next.filter((person) => person !== 'hal'),
    root,
    [link],
  );
  for (const person of next.slice(0, 6)) await world.seat(person, second);
  const late = await world.start('hal');
  await late.ending.heard([link]);
  expect(await world.seat('hal', second)).toBe(false);
  await expect.poll(() => late.readyCount).toBe(1);
  expect(await world.seat('hal', second)).toBe(true);
});

test('R6: what earlier keys left is read page by page in a thread, and what cannot be read is fetched again', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  for (const person of next) expect(await world.seat(person, second)).toBe(true);
  const { facts } = world.node('hal');
  expect(world.jobsDone.filter((kind) => kind === 'inherit')).toHaveLength(next.length);
  // The page is on hal's disk no more, its list is.
  await facts.eraseAll(`sealed-fetched/${toHex(root)}`);
  expect(await world.seat('hal', second)).toBe(false);
  await expect.poll(() => world.node('hal').readyCount).toBe(1);
  expect(await world.seat('hal', second)).toBe(true);
});

test('N27: snapshots go when the heirs have everything and the link is known; what it names stays', async () => {
  const { key } = first.authority;
  // Gus stops before the others do: his snapshot is the empty one.
  await world.wish('gus', { kind: 'sealMoney', key });
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const { ending, facts } = world.node('ann');
  const before = await facts.keys('sealed-lists');
  expect(before).toContain(toHex(root));
  ending.perform({ kind: 'release', key }, () => undefined);
  await ending.heard([linkOf(first.authority, root, [second.authority])]);
  await expect.poll(() => facts.keys('sealed-gathered')).toEqual([]);
  await expect
    .poll(() => facts.keys('sealed-lists'))
    .toEqual([toHex(root), toHex(entriesRoot([]))].sort());
});

test('R0: a payment in flight waits for the handover, and ends under the next key', async () => {
  const { key } = first.authority;
  // Three have stopped: too few are left to prepare anything.
  for (const person of ['ann', 'ben', 'cat']) await world.wish(person, { kind: 'sealMoney', key });
  let sections = world.sectionsOf([first], []);
  let asked = 0;
  const paying = world.pay(sections, payer, alice, 500n, async () => {
    asked += 1;
    return sections;
  });
  await expect.poll(() => asked).toBeGreaterThan(0);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  for (const person of next) await world.seat(person, second);
  sections = world.sectionsOf([first, second], [link]);
  // Nothing was said of too few elders, of conflicts, or of refusals.
  const said = await paying;
  expect(said.filter((kind) => kind !== 'outdated')).toEqual(['prepared', 'final', 'registered']);
});

test('N27: a handover that comes while an archive is sought does not end the search for good', async () => {
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await world.start('hal');
  const { ending } = world.node('hal');
  await ending.heard([link]);
  for (const person of old) world.silent.add(person);
  expect(await world.seat('hal', second)).toBe(false);
  await ending.heard([linkOf(second.authority, root, [last.authority])]);
  expect(await world.seat('hal', last)).toBe(false);
  // Long enough for the search under the second key to notice that it is no longer in force.
  await new Promise((go) => setTimeout(go, 1_000));
  expect(world.node('hal').readyCount).toBe(0);
  world.silent.clear();
  await expect.poll(() => world.node('hal').readyCount, { timeout: 10_000 }).toBe(1);
  expect(await world.seat('hal', last)).toBe(true);
});

test('a merge that cannot be done is answered, so that it can be asked for again', async () => {
  const { key } = first.authority;
  const snapshots = [1, 2, 3, 4, 5].map((elder) => ({
    ...{ elder, root: new Uint8Array(32).fill(elder), signature: new Uint8Array(64) },
  }));
  expect(await world.wish('ann', { kind: 'merge', key, snapshots })).toEqual({
    ...{ kind: 'unmerged', key, snapshots },
  });
});

test('what was written under a key leaves the disk with its snapshots, also if nobody said release', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const { ending, facts } = world.node('ann');
  await expect.poll(async () => (await facts.keys('spentbook')).length).toBeGreaterThan(0);
  await ending.heard([linkOf(first.authority, root, [second.authority])]);
  expect(await facts.keys('sealed-gathered')).not.toEqual([]);
  // The heir of the key has an heir itself: what it was given is whole for long.
  await ending.heard([linkOf(second.authority, root, [last.authority])]);
  expect(await facts.keys('sealed-gathered')).toEqual([]);
  expect([...(await facts.keys('spentbook')), ...(await facts.keys('mint'))]).toEqual([]);
  expect(await facts.keys('sealed-lists')).toContain(toHex(root));
});

/** As a disk does that has lost a part: the list is said to be here, and its pages are not. */
const losePages = (person: string, root: Uint8Array): Promise<void> =>
  world.node(person).facts.eraseAll(`sealed-pages/${toHex(root)}`);

test('an elder fetches its own snapshot from others when it cannot be read, to hold and to merge it', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const { key } = first.authority;
  const sealed = await world.wish('ann', { kind: 'sealMoney', key });
  if (sealed?.kind !== 'moneySealed') throw new Error('sealed');
  const from = ['ann', 'ben'].map((person) => world.node(person).id);
  const wish = { kind: 'fetch', key, root: sealed.root, elder: 1, from } as const;
  expect((await world.wish('ben', wish))?.kind).toBe('snapshotHeld');
  await losePages('ann', sealed.root);
  expect((await world.wish('ann', wish, 5_000))?.kind).toBe('snapshotHeld');
  await world.node('ann').facts.eraseAll(`sealed-fetched/${toHex(sealed.root)}`);
  const snapshots = [1, 2, 3, 4, 5].map((elder) => ({
    elder,
    root: sealed.root,
    signature: new Uint8Array(64),
  }));
  expect((await world.wish('ann', { kind: 'merge', key, snapshots }, 5_000))?.kind).toBe('merged');
});

test('an empty list that cannot be read is made again, and the elder begins', async () => {
  const root = await world.handOver(first, old);
  expect(root).toEqual(entriesRoot([]));
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(['ben'], root, [link]);
  await losePages('ben', root);
  const node = world.node('ben');
  expect(await world.seat('ben', second)).toBe(false);
  await expect.poll(() => node.readyCount).toBe(1);
  expect(await world.seat('ben', second)).toBe(true);
});

test('between two looks at a past that is here and cannot be read the elder waits', async () => {
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(['ben'], root, [link]);
  const node = world.node('ben');
  const readyAt: number[] = [];
  for (let n = 0; n < 3; n++) {
    await losePages('ben', root);
    const looks = vi.spyOn(globalThis, 'setTimeout');
    expect(await world.seat('ben', second)).toBe(false);
    await expect.poll(() => node.readyCount).toBe(n + 1);
    readyAt.push(looks.mock.calls.filter(([, ms]) => ms === 100).length);
    looks.mockRestore();
  }
  expect(readyAt.slice(1).every((pauses) => pauses > 0)).toBe(true);
});

test('a key whose record of a successor cannot be read does not speak, until it is heard of again', async () => {
  const { facts } = world.node('ann');
  const left = termOf(1n, old, child(EMPTY_PREFIX, 0));
  const right = termOf(1n, next, child(EMPTY_PREFIX, 1));
  const later = termOf(2n, next, child(EMPTY_PREFIX, 1));
  const link = linkOf(right.authority, new Uint8Array(32).fill(5), [later.authority]);
  await facts.append('links', toHex(right.authority.key), Uint8Array.of(0xff));
  const reported: string[] = [];
  const links = await openMoneyLinks(facts, (key) => reported.push(key));
  expect(reported).toEqual([toHex(right.authority.key)]);
  const view = () => links.view(left.authority, [right.authority]);
  expect(view().current.map(({ key }) => toHex(key))).toEqual([toHex(left.authority.key)]);
  expect(view().superseded).toEqual([]);
  await links.add([link]);
  expect(view().current.map(({ key }) => toHex(key))).toEqual([toHex(left.authority.key)]);
  expect(view().superseded.map(({ key }) => toHex(key))).toEqual([toHex(right.authority.key)]);
  const again = await openMoneyLinks(facts, (key) => reported.push(key));
  expect(again.successorOf(right.authority.key)).toEqual(link);
  expect(reported).toHaveLength(1);
});
