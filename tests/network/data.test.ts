/**
 * Goal: between real processes acknowledged data survives any single faulty adult: one that serves
 * altered bytes is demoted and relocates, one that is gone is voted out and learns it on its return, and
 * four adults have every chunk on disk again. `npm run test:network`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { candidatesFor } from '#roles/holder-candidates.ts';
import { connectClient, type NodeClient } from '../e2e/support/node-client.ts';
import { until } from '../e2e/support/until.ts';
import { copiesOf, untilOnFour } from './support/disks.ts';
import { missingFrom } from './support/load.ts';
import { startProcesses, type ProcessNetwork, type ProcessNode } from './support/processes.ts';

let network: ProcessNetwork;
let client: NodeClient;
const names: Uint8Array[] = [];
const begunMs = performance.now();
/** Shown so that a slow run can be distinguished from a stalled one. */
const log = (line: string): void =>
  console.log(`${((performance.now() - begunMs) / 1000).toFixed(0)} s: ${line}`);

beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  client = await connectClient(network.url, network.join);
  log('born');
});
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

async function put(): Promise<Uint8Array> {
  const { name, receipts } = await client.put(50_000);
  // Three are enough for a receipt; the fourth copy is then fetched (REPLICATION-R4), and expected on disk.
  expect(receipts).toBeGreaterThanOrEqual(3);
  names.push(name);
  return name;
}

async function adults(): Promise<readonly (readonly [name: string, node: ProcessNode])[]> {
  const told = await Promise.all(network.nodes.map((node) => node.status()));
  return network.nodes.flatMap((node, at) => {
    const { role, name } = told[at] ?? { role: '', name: '' };
    return role === 'adult' ? [[name, node] as const] : [];
  });
}

const membersNow = async (): Promise<readonly string[]> =>
  (await network.status()).sections[0]?.members.map(({ name }) => name) ?? [];

test('FAULT-F10, N38: an adult that serves altered bytes is demoted and returns under another name', async () => {
  const [[liar, node] = []] = await adults();
  if (liar === undefined || node === undefined) throw new Error('no adult');
  const honest = (await adults()).filter(([name]) => name !== liar);
  // Elders ask the closest adult first: three chunks whose closest adult is the liar.
  const theirs: Uint8Array[] = [];
  while (theirs.length < 3) {
    const name = await put();
    const [closest] = candidatesFor(client.authority, name, new Set());
    if (closest !== undefined && toHex(closest) === liar) theirs.push(name);
  }
  await node.adult('lie');
  log('an adult lies');
  for (const { name: elder } of client.authority.elders) {
    const replies = await Promise.all(
      theirs.map((name) => client.ask(elder, { kind: 'getChunk', name, avoid: [] })),
    );
    expect(replies.map(({ kind }) => kind)).toEqual(['chunk', 'chunk', 'chunk']);
  }
  const { name: next, age } = await until(
    () => node.status(),
    ({ name, role }) => name !== liar && role === 'adult',
    180_000,
    1_000,
  );
  log('it has moved');
  expect(node.output()).toContain('The section relocates this node, with age 5');
  expect(age).toBe(5);
  const members = await until(membersNow, (all) => all.includes(next), 60_000, 1_000);
  expect(members).not.toContain(liar);
  // The relocation lottery may have moved up to two others and made them a year older: no demotion.
  for (const [name, other] of honest.filter(([each]) => !members.includes(each))) {
    log(`${name.slice(0, 8)} has moved, too`);
    expect(other.output()).toContain('The section relocates this node, with age 6');
  }
  expect(await missingFrom(client, names)).toEqual([]);
  await untilOnFour(names, network.nodes);
  log('all chunks are on four disks');
});

test('REPLICATION-R3, N40: an adult cut off from all is voted out, its chunks are on four other disks, and after healing it ends with a sentence', async () => {
  // A receipt counts only from a member, and this client knows the members of its first request.
  await client.stop();
  client = await connectClient(network.url, network.join);
  for (let n = 0; n < 10; n++) await put();
  const [[name, gone] = []] = await adults();
  if (name === undefined || gone === undefined) throw new Error('no adult');
  const others = network.nodes.filter((node) => node !== gone);
  // Else there would be nothing to repair.
  expect(names.some((each) => copiesOf(each, others) < 4)).toBe(true);
  await gone.cut((await Promise.all(others.map((node) => node.status()))).map((each) => each.name));
  log('an adult is cut off');
  await until(membersNow, (members) => !members.includes(name), 180_000, 1_000);
  log('it is voted out');
  await untilOnFour(names, others);
  expect(await missingFrom(client, names)).toEqual([]);
  log('all chunks are on four other disks');
  expect(gone.running()).toBe(true);
  await gone.cut([]);
  expect(await gone.ended()).toBe(2);
  log('it has ended');
  expect(gone.output().trim().split('\n').at(-1)).toBe(
    'This node is no longer a member: start a new one in another folder with --data DIR.',
  );
});
