/**
 * Goal: seven elders and four adults, each in its own process, form a network, lose two of them to kill -9,
 * keep all acknowledged chunks, and readmit them under their own names.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingFrom, startNetworkLoad } from '../network/support/load.ts';
import { runSafe, startProcesses, type ProcessNetwork } from '../network/support/processes.ts';
import { connectClient, type NodeClient } from './support/node-client.ts';
import { until } from './support/until.ts';

describe('a network of processes', () => {
  let network: ProcessNetwork;
  let client: NodeClient;
  beforeAll(async () => {
    network = await startProcesses({ adults: 4 });
    client = await connectClient(network.url, network.join);
  }, 300_000);
  afterAll(async () => {
    await client?.stop();
    await network?.stop();
  });

  test('every node reports the same verified section', async () => {
    const status = await until(
      () => network.status(),
      ({ answered }) => answered.length === 12,
    );
    expect(status.unresponsive).toEqual([]);
    expect(status.sections).toHaveLength(1);
    const [section] = status.sections;
    expect(section).toMatchObject({ prefix: '()', verified: true, agreed: 12 });
    expect(section?.elders).toHaveLength(7);
    expect(section?.members).toHaveLength(11);
    expect(section?.members.every(({ age }) => age === 5)).toBe(true);
  });

  test('an elder and an adult killed under load lose nothing and rejoin under their names', async () => {
    const roles = await Promise.all(network.nodes.map((node) => node.status()));
    const victims = ['elder', 'adult'].map((role) => {
      const at = roles.findIndex((each) => each.role === role);
      const node = network.nodes[at];
      if (node === undefined) throw new Error(`no ${role}`);
      return { node, before: roles[at] };
    });
    const load = startNetworkLoad(client, 3, 100_000);
    await until(
      async () => load.counts(),
      ({ acknowledged }) => acknowledged >= 5,
    );
    for (const { node } of victims) await node.kill();
    const atKill = load.acknowledged().length;
    // Six elders and three adults are enough for three receipts.
    await until(
      async () => load.counts(),
      ({ acknowledged }) => acknowledged >= atKill + 5,
    );
    await load.stop();
    expect(await missingFrom(client, load.acknowledged())).toEqual([]);
    // Both at the same time: the section votes out nodes that stay away.
    await Promise.all(victims.map(({ node }) => node.restart()));
    for (const { node, before } of victims) expect(await node.status()).toEqual(before);
    const status = await until(
      () => network.status(),
      ({ answered }) => answered.length === 12,
    );
    expect(status.sections[0]).toMatchObject({ verified: true, agreed: 12 });
    expect(await missingFrom(client, load.acknowledged())).toEqual([]);
  });
});

test('every usage error is one line with a next step, and exit code 2', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'safe-mistakes-'));
  const x = join(folder, 'data');
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['node'], /--data DIR/],
    [['node', '--data', x, '--join', 'nowhere'], /--join MULTIADDR/],
    [['node', '--data', x, '--port', '0'], /--port takes a number from 1 to 65535/],
    [['node', '--data', x, '--data-limit', 'much'], /64MiB/],
    [['network', 'destroy'], /safe --help/],
    [['network', 'create', '--data', x, '--elders', '5'], /--elders takes only 7/],
    [['network', 'status'], /--join MULTIADDR/],
  ];
  for (const [args, sentence] of cases) {
    const { code, out, err } = await runSafe(...args);
    expect(err).toMatch(sentence);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  }
  rmSync(folder, { recursive: true });
});
