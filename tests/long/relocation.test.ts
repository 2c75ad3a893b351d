/**
 * Goal: a node of a network of processes is selected to relocate, and is a member again under
 * another name, one year older, with nothing lost (N36–N38).
 * Method: nodes join one after the other, because each join holds a relocation lottery; one in 32
 * selects a node of age five, so seven of ten runs with forty joins see one. A run without one
 * reports this and is skipped.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectClient, type NodeClient } from '../e2e/support/node-client.ts';
import { until } from '../e2e/support/until.ts';
import { untilOnFour } from '../network/support/disks.ts';
import { missingFrom } from '../network/support/load.ts';
import {
  startProcesses,
  type ProcessNetwork,
  type ProcessNode,
} from '../network/support/processes.ts';

/** The limit of two cores and a person's patience. */
const maxJoins = Number(process.env['JOINS'] ?? 40);
const relocating = /relocates this node, with age 6/;

let network: ProcessNetwork;
let client: NodeClient;
const begunMs = performance.now();
const log = (line: string): void =>
  console.log(`${((performance.now() - begunMs) / 1000).toFixed(0)} s: ${line}`);

beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  client = await connectClient(network.url, network.join);
  log('network started');
}, 400_000);
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

test('N36, N38: a node is selected to relocate → it is a member again at age 6 under another name', async ({
  skip,
}) => {
  const names: Uint8Array[] = [];
  for (let n = 0; n < 20; n++) names.push((await client.put(50_000)).name);
  await Promise.all(network.nodes.map((node) => node.storage(4)));
  const all: ProcessNode[] = [...network.nodes];
  const before = new Map<ProcessNode, string>();
  for (const node of all) before.set(node, (await node.status()).name);
  const relocatingNode = (): ProcessNode | undefined =>
    all.find((node) => relocating.test(node.output()));

  for (let joins = 1; joins <= maxJoins && relocatingNode() === undefined; joins++) {
    // All in one half: a split would take the processor, and other tests cover it.
    const joiner = await network.add('--join-prefix', '0');
    all.push(joiner);
    await joiner.ready();
    before.set(joiner, (await joiner.status()).name);
    const { generation } = await until(
      () => joiner.status(),
      ({ role }) => role === 'adult' || relocatingNode() !== undefined,
      120_000,
      500,
    );
    log(`${joins} have joined, generation ${generation}`);
  }
  const node = relocatingNode();
  if (node === undefined) return skip(`no node was selected to relocate in ${maxJoins} joins`);
  log('a node relocates');
  const moved = await until(
    () => node.status(),
    ({ role, age }) => role === 'adult' && age === 6,
    180_000,
    1_000,
  );
  log('it is a member again');
  expect(moved.name).not.toBe(before.get(node));
  const { sections } = await until(
    () => network.status(),
    (status) => status.sections[0]?.members.some(({ name }) => name === moved.name) === true,
    60_000,
    1_000,
  );
  expect(sections[0]?.members.map(({ name }) => name)).not.toContain(before.get(node));
  await untilOnFour(names, all);
  expect(await missingFrom(client, names)).toEqual([]);
  log('all chunks are on four disks');
});
