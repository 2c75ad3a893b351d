/**
 * Goal: a section of real processes grows until both halves are large enough, splits by itself, and a
 * client with the old map continues in both halves, corrected only by the elders that refuse it.
 * Method: 28 nodes; the test sets the storage need, the nodes decide everything else.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { until } from '../e2e/support/until.ts';
import { connectFollowing, type FollowingClient } from './support/following-client.ts';
import { missingFrom } from './support/load.ts';
import { startProcesses, type NodeStatus, type ProcessNetwork } from './support/processes.ts';

/** With fewer, more would have to join later: genesis takes many at the same time. */
const adults = 12;
/** N25: members that each half must have. */
const leastPerHalf = 14;
const chunkBytes = 60_000;

let network: ProcessNetwork;
let client: FollowingClient;
const begunMs = performance.now();
/** Shown so that a slow run can be distinguished from a stalled one. */
const log = (line: string): void =>
  console.log(`${((performance.now() - begunMs) / 1000).toFixed(0)} s: ${line}`);

beforeAll(async () => {
  network = await startProcesses({ adults });
  client = await connectFollowing(network.url, network.join);
  log('born');
});
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

/** The nodes' own status; unresponsive nodes are left out. */
async function nodeStates(
  nodes: ProcessNetwork['nodes'] = network.nodes,
): Promise<readonly NodeStatus[]> {
  const told = await Promise.all(nodes.map((node) => node.status().catch(() => null)));
  return told.flatMap((each) => each ?? []);
}

async function putBoth(count: number): Promise<readonly Uint8Array[]> {
  const names: Uint8Array[] = [];
  for (let n = 0; n < count; n++) {
    for (const bit of [0, 1] as const) {
      const { name, receipts } = await client.put(chunkBytes, bit);
      expect(receipts).toBeGreaterThanOrEqual(3);
      names.push(name);
    }
  }
  return names;
}

/** REPLICATION-R7: data at nodes of the other half is being transferred for a while, and never lost. */
async function allThere(names: readonly Uint8Array[]): Promise<void> {
  await until(
    async () => (await missingFrom(client, names)).map(toHex),
    (missing) => missing.length === 0,
    120_000,
    1_000,
  );
  log(`${names.length} chunks are there`);
}

let before: readonly Uint8Array[] = [];

test('N25: with fourteen members on both sides the section splits by itself', async () => {
  before = await putBoth(4);
  expect(client.map()).toEqual({ prefixes: ['()'], epoch: 0 });

  const zeros = (await nodeStates()).filter(({ name }) => parseInt(name[0] ?? '', 16) < 8).length;
  const ones = network.nodes.length - zeros;
  const missing = [
    ...Array.from({ length: Math.max(0, leastPerHalf - zeros) }, () => '0'),
    ...Array.from({ length: Math.max(0, leastPerHalf - ones) }, () => '1'),
  ];
  await Promise.all(network.nodes.map((node) => node.storage(missing.length)));
  const joiners = await Promise.all(missing.map((bit) => network.add('--join-prefix', bit)));
  const everybody = [...network.nodes, ...joiners];
  /** The relocation lottery may move members into the other half; then one more must join. */
  const topUp = async (told: readonly NodeStatus[]): Promise<void> => {
    if (!told.every(({ role, prefix }) => role !== 'outsider' && prefix === '()')) return;
    for (const bit of ['0', '1'] as const) {
      const held = told.filter(({ name }) => parseInt(name[0] ?? '', 16) < 8 === (bit === '0'));
      // A node that was voted out as unresponsive on these few cores has ended by now.
      const living = everybody.filter((node) => node.running());
      if (told.length < living.length || held.length >= leastPerHalf) continue;
      log(`a lot has left ${held.length} in the half ${bit}: one more joins`);
      everybody.push(await network.add('--join-prefix', bit));
      // A busy node is asked again when more members are missing.
      await Promise.allSettled(network.nodes.map((node) => node.storage(1)));
    }
  };
  let shown = '';
  const after = await until(
    async () => {
      const told = await nodeStates(everybody);
      const members = told.filter(({ role }) => role === 'elder' || role === 'adult');
      const newest = Math.max(...told.map(({ generation }) => generation));
      const line = `${members.length} members, generation ${newest}`;
      if (line !== shown) log(line);
      shown = line;
      await topUp(told);
      return told.map(({ prefix, role }) => `${prefix} ${role}`);
    },
    (told) => told.every((each) => /^[01] (elder|adult)$/.test(each)),
    600_000,
    2_000,
  );
  expect(after.filter((each) => each === '0 elder')).toHaveLength(7);
  expect(after.filter((each) => each === '1 elder')).toHaveLength(7);
  log('split');
}, 700_000);

test('N30: the old client is refused, follows the proofs, and gets its data in both halves', async () => {
  expect(client.map()).toEqual({ prefixes: ['()'], epoch: 0 });
  await allThere(before);
  // The record that ends the first key names both new ones, so a client redirected to one half can
  // ask the other half under its key without a refusal there.
  expect(client.map().epoch).toBe(1);
  expect(client.redirects().length).toBeGreaterThan(0);
});

test('N41: both halves accept new chunks and give receipts under their own keys', async () => {
  const names = await putBoth(4);
  await allThere([...before, ...names]);
  // A receipt counts only from a member, so by now it has read the members of both.
  expect(client.map()).toEqual({ prefixes: ['0', '1'], epoch: 1 });
});

test('both keys follow from the first one, and every node holds one of the two states', async () => {
  const { sections } = await until(
    () => network.status(),
    ({ sections: found }) => found.length === 2 && found.every(({ verified }) => verified),
    60_000,
    1_000,
  );
  expect(sections.map(({ prefix }) => prefix).sort()).toEqual(['0', '1']);
  const [first, second] = sections;
  expect(first?.key).not.toBe(second?.key);
  for (const { epoch, members, elders } of sections) {
    expect(epoch).toBe(1);
    expect(members.length).toBeGreaterThanOrEqual(leastPerHalf);
    expect(elders).toHaveLength(7);
  }
});

test.each(['0', '1'] as const)(
  'a node of half %s that joins through a node of the other half is admitted at its own',
  async (bit) => {
    const told = await Promise.all(
      network.nodes.map(async (node) => ({
        node,
        prefix: await node.status().then(
          ({ prefix }) => prefix,
          () => 'away',
        ),
      })),
    );
    const guide = told.find(({ prefix }) => prefix === (bit === '0' ? '1' : '0'));
    const join = /is ready: (\S+)/.exec(guide?.node.output() ?? '')?.[1] ?? '';
    await Promise.allSettled(
      told.filter(({ prefix }) => prefix === bit).map(({ node }) => node.storage(1)),
    );
    const newcomer = await network.add('--join', join, '--join-prefix', bit);
    const standing = await until(
      () => newcomer.status().catch(() => null),
      (status) => status?.role === 'adult' || status?.role === 'elder',
      180_000,
      1_000,
    );
    expect(standing?.prefix).toBe(bit);
    log(`a newcomer is in half ${bit}`);
  },
  200_000,
);
