/**
 * Goal: an elder's money ends with its key and continues under the next one, across any crash.
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
import { decodeRegistryEntry, sectionKeyHash } from '#money/spend-certificate.ts';
import { snapshotRoot } from '#money/snapshot.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import { verifyInclusion } from '#money/inclusion-proof.ts';
import { openMoneyKeyChain } from '#node/money/money-key-chain.ts';
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
    expect(await world.becomeElder(person, first)).toBe(true);
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

/** Incoming elders take over everything; an elder that stays keeps its folder. */
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
    await world.node(person).handoverMoney.addLinks(links);
    const from = [...world.nodes.values()]
      .map(({ id }) => id)
      .filter((id) => id !== world.node(person).id);
    const held = await world.perform(person, {
      kind: 'fetch',
      key: parent,
      root,
      elder: null,
      from,
    });
    expect(held).toMatchObject({ kind: 'inherited', sealedRoot: root });
  }
}

test('HANDOVER-R6, N34: a coin of the first epoch is spent in the second and its change in the third', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  for (const person of next) expect(await world.becomeElder(person, second)).toBe(true);

  const bob: Payer = { keys: keysOf('bob'), wallet: emptyWallet };
  const said = await world.pay(world.sectionsOf([first, second], [link]), alice, bob, 200n);
  expect(said).toEqual(['committing', 'final', 'registered']);

  const secondRoot = await world.handOver(second, next);
  expect(toHex(secondRoot)).not.toBe(toHex(root));
  const links = [link, linkOf(second.authority, secondRoot, [last.authority])];
  await inherit(third, secondRoot, links);
  for (const person of third) expect(await world.becomeElder(person, last)).toBe(true);
  const sections = world.sectionsOf([first, second, last], links);
  expect(await world.pay(sections, alice, bob, 300n)).toEqual([
    'committing',
    'final',
    'registered',
  ]);

  // Ida, an elder in none of them, lists every output of all three epochs once.
  const list = await world.node('ida').facts.listOutputs(0, 64);
  expect(list.entries).toHaveLength(new Set(list.entries.map(toHex)).size);
  expect(list.entries).toHaveLength(5);
});

test('N22: frozen money signs nothing and still answers decisions; a crash changes no root', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const { key } = first.authority;
  await expect.poll(async () => (await listOf('ann')).length).toBeGreaterThan(0);
  const [entry] = (await world.node('ann').facts.listOutputs(0, 1)).entries;
  const decoded = entry === undefined ? undefined : decodeRegistryEntry(entry);
  if (decoded?.ok !== true) throw new Error('a line of the list');
  const body = decodeTransaction(decoded.value.transaction);
  if (!body.ok) throw new Error('a transaction');
  const slot = slotName(body.value.inputs[0]?.keyImage ?? key);

  const sealed = await world.perform('ann', { kind: 'sealMoney', key });
  expect(sealed).toMatchObject({ kind: 'moneySealed' });
  const { transaction } = decoded.value;
  const prepare = {
    kind: 'prepare',
    section: sectionKeyHash(key),
    transaction,
    sources: [],
    ballot: 0,
    recovery: null,
  };
  expect((await askSlot('ann', slot, prepare)).kind).toBe('spent');
  expect((await askSlot('ann', new Uint8Array(32), prepare)).kind).toBe('sealed');

  // Crash with the freeze on disk and half of the list written, and again with both complete.
  for (const loss of ['list', 'nothing'] as const) {
    if (loss === 'list' && sealed?.kind === 'moneySealed') {
      await world.node('ann').facts.erase('sealed-lists', toHex(sealed.root));
    }
    await world.crash('ann');
    expect(await world.becomeElder('ann', first)).toBe(true);
    expect((await askSlot('ann', new Uint8Array(32), prepare)).kind).toBe('sealed');
    expect(await world.perform('ann', { kind: 'sealMoney', key })).toEqual(sealed);
  }
  // After a restart the request may arrive before the state.
  const node = await world.crash('ann');
  node.authority = null;
  const early = world.perform('ann', { kind: 'sealMoney', key });
  await world.becomeElder('ann', first);
  expect(await early).toEqual(sealed);
});

test('N34: elders prove decisions of an earlier epoch, and name the current key', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  await world.becomeElder('hal', second);
  const [entry] = (await world.node('hal').facts.listOutputs(0, 1)).entries;
  const decoded = entry === undefined ? undefined : decodeRegistryEntry(entry);
  if (decoded?.ok !== true) throw new Error('a line of the list');
  const body = decodeTransaction(decoded.value.transaction);
  if (!body.ok) throw new Error('a transaction');
  const slot = slotName(body.value.inputs[0]?.keyImage ?? root);
  const proof = await askSlot('hal', slot, { kind: 'prove', epoch: 0n });
  if (proof.kind !== 'proof' || proof.inclusion === null) throw new Error('a proof');
  expect(verifyInclusion(root, slot, txidOf(body.value), proof.inclusion)).toBe(true);
  const { transaction } = decoded.value;
  const asOf = {
    kind: 'prepare',
    section: sectionKeyHash(first.authority.key),
    transaction,
    sources: [],
    ballot: 0,
    recovery: null,
  };
  expect(await askSlot('hal', slot, asOf)).toMatchObject({ kind: 'wrongKey', epoch: 1n });
});

test('N23: unresponsive and lying peers are skipped, and only entries of the root are stored', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const { key } = first.authority;
  const sealed = await world.perform('ann', { kind: 'sealMoney', key });
  if (sealed?.kind !== 'moneySealed') throw new Error('sealed');
  for (const person of ['ben', 'cat', 'dan'])
    await world.perform(person, { kind: 'sealMoney', key });
  world.unresponsive.add('ben');
  world.lying.add('cat');
  const from = ['ben', 'cat', 'ann'].map((person) => world.node(person).id);
  await world.start('hal');
  world.node('hal').authority = first.authority;
  await world.node('ben').facts.eraseAll('sealed-lists');
  const wish = { kind: 'fetch', key, root: sealed.root, elder: 1, from } as const;
  expect(await world.perform('hal', wish)).toEqual({
    kind: 'snapshotHeld',
    key,
    elder: 1,
    root: sealed.root,
  });
  // A list stored for another reason is not a snapshot of another key.
  world.node('hal').authority = second.authority;
  const other = { ...wish, key: second.authority.key };
  expect(await world.perform('hal', other, 300)).toBeNull();
});

test('N27: an elder that was away fetches missing lists from the others, and then starts', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(
    next.filter((person) => person !== 'hal'),
    root,
    [link],
  );
  for (const person of next.slice(0, 6)) await world.becomeElder(person, second);
  const late = await world.start('hal');
  await late.handoverMoney.addLinks([link]);
  expect(await world.becomeElder('hal', second)).toBe(false);
  await expect.poll(() => late.readyCount).toBe(1);
  expect(await world.becomeElder('hal', second)).toBe(true);
});

test('HANDOVER-R6: archives of earlier keys are read page by page in a thread, and unreadable ones are fetched again', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(next, root, [link]);
  for (const person of next) expect(await world.becomeElder(person, second)).toBe(true);
  const { facts } = world.node('hal');
  expect(world.jobsDone.filter((kind) => kind === 'inherit')).toHaveLength(next.length);
  // The page is gone from hal's disk, its list is not.
  await facts.eraseAll(`sealed-fetched/${toHex(root)}`);
  expect(await world.becomeElder('hal', second)).toBe(false);
  await expect.poll(() => world.node('hal').readyCount).toBe(1);
  expect(await world.becomeElder('hal', second)).toBe(true);
});

test('N27: snapshots are deleted once the incoming elders have all and the link is known; the record’s root stays', async () => {
  const { key } = first.authority;
  // Gus stops before the others: his snapshot is the empty one.
  await world.perform('gus', { kind: 'sealMoney', key });
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const { handoverMoney, facts } = world.node('ann');
  const before = await facts.keys('sealed-lists');
  expect(before).toContain(toHex(root));
  handoverMoney.perform({ kind: 'release', key }, () => undefined);
  await handoverMoney.addLinks([linkOf(first.authority, root, [second.authority])]);
  await expect.poll(() => facts.keys('sealed-gathered')).toEqual([]);
  await expect
    .poll(() => facts.keys('sealed-lists'))
    .toEqual([toHex(root), toHex(snapshotRoot([]))].sort());
});

test('SPENTBOOK-R0: a payment in flight waits for the handover and completes under the next key', async () => {
  const { key } = first.authority;
  // Three have frozen: too few are left to prepare anything.
  for (const person of ['ann', 'ben', 'cat'])
    await world.perform(person, { kind: 'sealMoney', key });
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
  for (const person of next) await world.becomeElder(person, second);
  sections = world.sectionsOf([first, second], [link]);
  // No stage reported too few elders, a conflict or a refusal.
  const said = await paying;
  expect(said.filter((kind) => kind !== 'outdated')).toEqual(['committing', 'final', 'registered']);
});

test('N27: a handover during a search for archives does not end the search for good', async () => {
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await world.start('hal');
  const { handoverMoney } = world.node('hal');
  await handoverMoney.addLinks([link]);
  for (const person of old) world.unresponsive.add(person);
  expect(await world.becomeElder('hal', second)).toBe(false);
  await handoverMoney.addLinks([linkOf(second.authority, root, [last.authority])]);
  expect(await world.becomeElder('hal', last)).toBe(false);
  // Long enough for the search under the second key to notice that it is superseded.
  await new Promise((go) => setTimeout(go, 1_000));
  expect(world.node('hal').readyCount).toBe(0);
  world.unresponsive.clear();
  await expect.poll(() => world.node('hal').readyCount, { timeout: 10_000 }).toBe(1);
  expect(await world.becomeElder('hal', last)).toBe(true);
});

test('a merge that fails is answered, so that it can be requested again', async () => {
  const { key } = first.authority;
  const snapshots = [1, 2, 3, 4, 5].map((elder) => ({
    ...{ elder, root: new Uint8Array(32).fill(elder), signature: new Uint8Array(64) },
  }));
  expect(await world.perform('ann', { kind: 'merge', key, snapshots })).toEqual({
    ...{ kind: 'unmerged', key, snapshots },
  });
});

test('facts of a superseded key are erased with its snapshots, even without a release', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const root = await world.handOver(first, old);
  const { handoverMoney, facts } = world.node('ann');
  await expect.poll(async () => (await facts.keys('spentbook')).length).toBeGreaterThan(0);
  await handoverMoney.addLinks([linkOf(first.authority, root, [second.authority])]);
  expect(await facts.keys('sealed-gathered')).not.toEqual([]);
  // The child key has a successor itself: it had received everything long before.
  await handoverMoney.addLinks([linkOf(second.authority, root, [last.authority])]);
  expect(await facts.keys('sealed-gathered')).toEqual([]);
  expect([...(await facts.keys('spentbook')), ...(await facts.keys('mint'))]).toEqual([]);
  expect(await facts.keys('sealed-lists')).toContain(toHex(root));
});

/** Like a disk that lost a part: the list is marked complete, and its pages are missing. */
const losePages = (person: string, root: Uint8Array): Promise<void> =>
  world.node(person).facts.eraseAll(`sealed-pages/${toHex(root)}`);

test('an elder fetches its own unreadable snapshot from others, to hold it and to merge it', async () => {
  await world.pay(world.sectionsOf([first], []), payer, alice, 500n);
  const { key } = first.authority;
  const sealed = await world.perform('ann', { kind: 'sealMoney', key });
  if (sealed?.kind !== 'moneySealed') throw new Error('sealed');
  const from = ['ann', 'ben'].map((person) => world.node(person).id);
  const wish = { kind: 'fetch', key, root: sealed.root, elder: 1, from } as const;
  expect((await world.perform('ben', wish))?.kind).toBe('snapshotHeld');
  await losePages('ann', sealed.root);
  expect((await world.perform('ann', wish, 5_000))?.kind).toBe('snapshotHeld');
  await world.node('ann').facts.eraseAll(`sealed-fetched/${toHex(sealed.root)}`);
  const snapshots = [1, 2, 3, 4, 5].map((elder) => ({
    elder,
    root: sealed.root,
    signature: new Uint8Array(64),
  }));
  expect((await world.perform('ann', { kind: 'merge', key, snapshots }, 5_000))?.kind).toBe(
    'merged',
  );
});

test('an unreadable empty list is rebuilt, and the elder starts', async () => {
  const root = await world.handOver(first, old);
  expect(root).toEqual(snapshotRoot([]));
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(['ben'], root, [link]);
  await losePages('ben', root);
  const node = world.node('ben');
  expect(await world.becomeElder('ben', second)).toBe(false);
  await expect.poll(() => node.readyCount).toBe(1);
  expect(await world.becomeElder('ben', second)).toBe(true);
});

test('an elder waits between two reads of a complete but unreadable archive', async () => {
  const root = await world.handOver(first, old);
  const link = linkOf(first.authority, root, [second.authority]);
  await inherit(['ben'], root, [link]);
  const node = world.node('ben');
  const readyAt: number[] = [];
  for (let n = 0; n < 3; n++) {
    await losePages('ben', root);
    const looks = vi.spyOn(globalThis, 'setTimeout');
    expect(await world.becomeElder('ben', second)).toBe(false);
    await expect.poll(() => node.readyCount).toBe(n + 1);
    readyAt.push(looks.mock.calls.filter(([, ms]) => ms === 100).length);
    looks.mockRestore();
  }
  expect(readyAt.slice(1).every((pauses) => pauses > 0)).toBe(true);
});

test('a key with an unreadable successor record is not current, and the record is accepted again', async () => {
  const { facts } = world.node('ann');
  const left = termOf(1n, old, child(EMPTY_PREFIX, 0));
  const right = termOf(1n, next, child(EMPTY_PREFIX, 1));
  const later = termOf(2n, next, child(EMPTY_PREFIX, 1));
  const link = linkOf(right.authority, new Uint8Array(32).fill(5), [later.authority]);
  await facts.append('links', toHex(right.authority.key), Uint8Array.of(0xff));
  const reported: string[] = [];
  const links = await openMoneyKeyChain(facts, (key) => reported.push(key));
  expect(reported).toEqual([toHex(right.authority.key)]);
  const view = () => links.sectionKeys(left.authority, [right.authority]);
  expect(view().current.map(({ key }) => toHex(key))).toEqual([toHex(left.authority.key)]);
  expect(view().superseded).toEqual([]);
  await links.add([link]);
  expect(view().current.map(({ key }) => toHex(key))).toEqual([toHex(left.authority.key)]);
  expect(view().superseded.map(({ key }) => toHex(key))).toEqual([toHex(right.authority.key)]);
  const again = await openMoneyKeyChain(facts, (key) => reported.push(key));
  expect(again.successorOf(right.authority.key)).toEqual(link);
  expect(reported).toHaveLength(1);
});
