/**
 * Goal: fourteen processes form one network: they survive kills, cuts and floods, report metrics, and a
 * person can ask any of them for the network's status.
 * Takes some minutes; `npm run test:network`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, type NodeClient } from '../e2e/support/node-client.ts';
import { until } from '../e2e/support/until.ts';
import { missingFrom, startNetworkLoad } from './support/load.ts';
import {
  logLines,
  runSafe,
  startProcesses,
  type ProcessNetwork,
  type ProcessNode,
} from './support/processes.ts';

let network: ProcessNetwork;
let client: NodeClient;
beforeAll(async () => {
  network = await startProcesses({ adults: 6, apart: 2 });
  client = await connectClient(network.url, network.join);
});
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

/** Nodes by the role that they report. */
async function nodesOf(role: 'elder' | 'adult'): Promise<readonly ProcessNode[]> {
  const roles = await Promise.all(network.nodes.map(async (node) => (await node.status()).role));
  return network.nodes.filter((_, at) => roles[at] === role);
}

/** All nodes report the same state, and none is missing. */
const whole = (count: number) =>
  until(
    () => network.status(),
    ({ answered, sections }) => answered.length === count && sections[0]?.agreed === count,
    120_000,
    1_000,
  );

test('seven elders, six adults and the bootstrap node report one verified section', async () => {
  const status = await whole(14);
  expect(status.sections).toHaveLength(1);
  expect(status.sections[0]).toMatchObject({ prefix: '()', verified: true });
  expect(status.sections[0]?.elders).toHaveLength(7);
  expect(status.sections[0]?.members).toHaveLength(13);
});

test('the status as text shows the same to a person, from a node’s folder', async () => {
  const { code, out } = await runSafe('network', 'status', '--data', network.nodes[3]?.data ?? '');
  expect(code).toBe(0);
  expect(out).toContain('Section (), epoch 0, generation');
  expect(out.match(/ elder$/gm)).toHaveLength(7);
  expect(out.match(/ adult$/gm)).toHaveLength(6);
});

test('two elders and two adults killed -9 under load: no acknowledged chunk is lost, all return', async () => {
  const victims = [
    ...(await nodesOf('elder')).slice(0, 2),
    ...(await nodesOf('adult')).slice(0, 2),
  ];
  const before = await Promise.all(victims.map((node) => node.status()));
  const load = startNetworkLoad(client, 4, 200_000);
  await until(
    async () => load.counts(),
    ({ acknowledged }) => acknowledged >= 10,
  );
  await Promise.all(victims.map((node) => node.kill()));
  const atKill = load.acknowledged().length;
  await until(
    async () => load.counts(),
    ({ acknowledged }) => acknowledged >= atKill + 10,
    120_000,
  );
  await load.stop();
  await Promise.all(victims.map((node) => node.restart()));
  const after = await Promise.all(victims.map((node) => node.status()));
  // The same name, age, role and key; the section's generation may be higher.
  const lasting = (each: (typeof after)[number]) => [each.name, each.age, each.role, each.key];
  expect(after.map(lasting)).toEqual(before.map(lasting));
  await whole(14);
  expect(await missingFrom(client, load.acknowledged())).toEqual([]);
});

test('two elders cut off from all others: clients continue with the rest, and the cut heals', async () => {
  const { apart } = network;
  if (apart === null) throw new Error('asked for two elders apart');
  console.log(`cut by: ${apart.how}`);
  expect(
    (await Promise.all(apart.nodes.map((node) => node.status()))).map(({ role }) => role),
  ).toEqual(['elder', 'elder']);
  await apart.cut();
  // Each client waits at times for an elder that does not answer; several continue meanwhile.
  const load = startNetworkLoad(client, 8, 50_000);
  await until(
    async () => load.counts(),
    ({ acknowledged }) => acknowledged >= 10,
    120_000,
  );
  const { answered } = await network.status();
  await apart.heal();
  expect(answered).toHaveLength(12);
  await load.stop();
  expect(await missingFrom(client, load.acknowledged())).toEqual([]);
  await whole(14);
});

test('without the bootstrap node a restarted node finds the others by its own address book', async () => {
  await network.bootstrap.kill();
  const [node] = await nodesOf('adult');
  if (node === undefined) throw new Error('no adult');
  await node.kill();
  await node.restart();
  const status = await until(
    () => network.status('--data', node.data),
    ({ answered }) => answered.length === 13,
    60_000,
    1_000,
  );
  expect(status.sections[0]).toMatchObject({ verified: true });
  // Any node can be the join point.
  const address = /is ready: (\/ip\S+)/.exec(node.output())?.[1] ?? '';
  expect((await network.status('--join', address)).answered.length).toBeGreaterThanOrEqual(13);
  await network.bootstrap.restart();
  await whole(14);
});

test('all processes killed at the same time: the same network returns with its data', async () => {
  const { name, receipts } = await client.put(300_000);
  expect(receipts).toBeGreaterThanOrEqual(3);
  const { sections } = await network.status();
  const all = [network.bootstrap, ...network.nodes];
  await client.stop();
  await Promise.all(all.map((node) => node.kill()));
  await Promise.all(all.map((node) => node.restart()));
  const status = await whole(14);
  expect(status.sections[0]?.key).toBe(sections[0]?.key);
  client = await connectClient(network.url, network.join);
  expect(await missingFrom(client, [name])).toEqual([]);
});

test('counters per kind of message, queues, memory and processor time, at the port and in the log', async () => {
  const [elder] = await nodesOf('elder');
  if (elder === undefined) throw new Error('no elder');
  const text = await elder.metrics();
  for (const wanted of [
    /^safe_messages_in_total\{kind="section\/exchangeAddresses"\} \d+$/m,
    /^safe_bytes_in_total\{kind="section\/exchangeAddresses"\} \d+$/m,
    /^safe_system_waiting \d+$/m,
    /^safe_client_waiting \d+$/m,
    /^safe_memory_bytes\{kind="rss"\} \d+$/m,
    /^safe_cpu_seconds_total [\d.]+$/m,
    /^safe_generation \d+$/m,
    /^safe_is_elder 1$/m,
  ]) {
    expect(text).toMatch(wanted);
  }
  // Every half minute, and the first time before there is a section.
  const line = await until(
    async () =>
      logLines(elder).find(
        ({ event, metrics }) =>
          event === 'metrics' && Object.hasOwn(Object(metrics), 'safe_is_elder'),
      ),
    (found) => found !== undefined,
    60_000,
    1_000,
  );
  expect(line?.['metrics']).toMatchObject({ safe_is_elder: 1, safe_members: 13 });
});

test('a node that is asked to stop ends within 10 s with code 0', async () => {
  const [node] = network.nodes;
  expect(await node?.stop()).toBeLessThan(10_000);
  await node?.restart();
});

describe('a section that governs itself', () => {
  test('N39: an unknown node is refused while there is no vacancy, and joins when storage is needed', async () => {
    const stranger = await network.add('--data-limit', '64MiB');
    await stranger.ready();
    await until(
      async () => stranger.output(),
      (text) => text.includes('no vacancy now'),
      60_000,
      500,
    );
    await Promise.all(network.nodes.map((node) => node.storage(4)));
    const { name } = await stranger.status();
    await until(
      () => stranger.status(),
      ({ role }) => role === 'adult',
      120_000,
      1_000,
    );
    await Promise.all(network.nodes.map((node) => node.storage(null)));
    const { sections } = await network.status();
    expect(sections[0]?.members.map((member) => member.name)).toContain(name);
  });

  test('an elder that stays away is replaced: another key, the next epoch, the same data', async () => {
    const { name } = await client.put(100_000);
    const before = await network.status();
    const [elder] = await nodesOf('elder');
    const gone = await elder?.status();
    await elder?.kill();
    const after = await until(
      () => network.status(),
      ({ sections }) => (sections[0]?.epoch ?? 0) > (before.sections[0]?.epoch ?? 0),
      280_000,
      2_000,
    );
    expect(after.sections[0]).toMatchObject({ verified: true });
    expect(after.sections[0]?.key).not.toBe(before.sections[0]?.key);
    expect(after.sections[0]?.elders.map((each) => each.name)).not.toContain(gone?.name);
    expect(await missingFrom(client, [name])).toEqual([]);

    // N40: it returns to a section that has continued without it.
    for (let time = 0; time < 2; time++) {
      await elder?.restart().catch(() => undefined); // It may end before it is ready.
      expect(await elder?.ended()).toBe(2);
      const last = elder?.output().trim().split('\n').at(-1);
      expect(last).toBe(
        'This node is no longer a member: start a new one in another folder with --data DIR.',
      );
    }
  });
});
