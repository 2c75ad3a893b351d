/**
 * Goal: between real processes what was acknowledged is there, whatever a single adult does: one that
 * gives altered bytes is demoted and moves on, one that is gone is voted out and told so when it is
 * back, and four adults have every chunk on disk again. `npm run test:network`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { candidatesFor } from '#roles/placement.ts';
import { connectClient, type NodeClient } from '../e2e/support/node-client.ts';
import { until } from '../e2e/support/until.ts';
import { copiesOf, untilOnFour } from './support/disks.ts';
import { missingFrom } from './support/load.ts';
import { startProcesses, type ProcessNetwork, type ProcessNode } from './support/processes.ts';

let network: ProcessNetwork;
let client: NodeClient;
const names: Uint8Array[] = [];
const begunMs = performance.now();
/** Shown so that a slow run can be told from one that stands still. */
const say = (line: string): void =>
  console.log(`${((performance.now() - begunMs) / 1000).toFixed(0)} s: ${line}`);

beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  client = await connectClient(network.url, network.join);
  say('born');
});
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

async function put(): Promise<Uint8Array> {
  const { name, receipts } = await client.put(50_000);
  // Three are enough for an acknowledgement; the fourth copy is then fetched (R4), and looked for on disk.
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

test('F10, N38: an adult that gives altered bytes is demoted and comes back under another name', async () => {
  const [[liar, node] = []] = await adults();
  if (liar === undefined || node === undefined) throw new Error('no adult');
  const honest = (await adults()).filter(([name]) => name !== liar);
  // Elders ask the closest adult first: three chunks of which that is the liar.
  const theirs: Uint8Array[] = [];
  while (theirs.length < 3) {
    const name = await put();
    const [closest] = candidatesFor(client.authority, name, new Set());
    if (closest !== undefined && toHex(closest) === liar) theirs.push(name);
  }
  await node.adult('lie');
  say('an adult lies');
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
  say('it has moved');
  expect(node.output()).toContain('The section moves this node on, with age 5');
  expect(age).toBe(5);
  const members = await until(membersNow, (all) => all.includes(next), 60_000, 1_000);
  expect(members).not.toContain(liar);
  // A lot may have moved up to two of the others meanwhile, and made them a year older: no demotion.
  for (const [name, other] of honest.filter(([each]) => !members.includes(each))) {
    say(`${name.slice(0, 8)} has moved, too`);
    expect(other.output()).toContain('The section moves this node on, with age 6');
  }
  expect(await missingFrom(client, names)).toEqual([]);
  await untilOnFour(names, network.nodes);
  say('all chunks are on four disks');
});

test('R3, N40: an adult cut off from all is voted out, its chunks are on four other disks, and healed it ends with a sentence', async () => {
  // A receipt counts only from a member, and this client holds the members of its first question.
  await client.stop();
  client = await connectClient(network.url, network.join);
  for (let n = 0; n < 10; n++) await put();
  const [[name, gone] = []] = await adults();
  if (name === undefined || gone === undefined) throw new Error('no adult');
  const others = network.nodes.filter((node) => node !== gone);
  // Else nothing would have to be repaired.
  expect(names.some((each) => copiesOf(each, others) < 4)).toBe(true);
  await gone.cut((await Promise.all(others.map((node) => node.status()))).map((each) => each.name));
  say('an adult is cut off');
  await until(membersNow, (members) => !members.includes(name), 180_000, 1_000);
  say('it is voted out');
  await untilOnFour(names, others);
  expect(await missingFrom(client, names)).toEqual([]);
  say('all chunks are on four other disks');
  expect(gone.running()).toBe(true);
  await gone.cut([]);
  expect(await gone.ended()).toBe(2);
  say('it has ended');
  expect(gone.output().trim().split('\n').at(-1)).toBe(
    'This node is no member any more: start a new one in another folder with --data DIR.',
  );
});
