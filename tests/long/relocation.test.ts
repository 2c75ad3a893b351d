/**
 * Goal: a node of a network of processes draws the lot, moves, and is there again one year older under
 * another name, with nothing lost (N36–N38).
 * Method: nodes join one after the other, for every join draws lots; one in 32 moves somebody of age
 * five, so with forty joins seven runs of ten see it. A run that does not says so and is skipped.
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

/** What two cores and the patience of a person allow. */
const maxJoins = Number(process.env['JOINS'] ?? 40);
const moving = /moves this node on, with age 6/;

let network: ProcessNetwork;
let client: NodeClient;
const begunMs = performance.now();
const say = (line: string): void =>
  console.log(`${((performance.now() - begunMs) / 1000).toFixed(0)} s: ${line}`);

beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  client = await connectClient(network.url, network.join);
  say('born');
}, 400_000);
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

test('N36, N38: somebody is drawn, moves, and is a member again at age 6 under another name', async ({
  skip,
}) => {
  const names: Uint8Array[] = [];
  for (let n = 0; n < 20; n++) names.push((await client.put(50_000)).name);
  await Promise.all(network.nodes.map((node) => node.storage(4)));
  const all: ProcessNode[] = [...network.nodes];
  const before = new Map<ProcessNode, string>();
  for (const node of all) before.set(node, (await node.status()).name);
  const mover = (): ProcessNode | undefined => all.find((node) => moving.test(node.output()));

  for (let joins = 1; joins <= maxJoins && mover() === undefined; joins++) {
    // All in one half: a split would take the processor, and is shown elsewhere.
    const joiner = await network.add('--join-prefix', '0');
    all.push(joiner);
    await joiner.ready();
    before.set(joiner, (await joiner.status()).name);
    const { generation } = await until(
      () => joiner.status(),
      ({ role }) => role === 'adult' || mover() !== undefined,
      120_000,
      500,
    );
    say(`${joins} have joined, generation ${generation}`);
  }
  const node = mover();
  if (node === undefined) return skip(`no lot was drawn in ${maxJoins} joins`);
  say('a node is told to move');
  const moved = await until(
    () => node.status(),
    ({ role, age }) => role === 'adult' && age === 6,
    180_000,
    1_000,
  );
  say('it is a member again');
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
  say('all chunks are on four disks');
});
