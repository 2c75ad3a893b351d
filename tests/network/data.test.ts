/**
 * Goal: between real processes four adults have every acknowledged chunk on disk again after one of
 * them is gone for good. Takes some minutes; `npm run test:network`.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { connectClient, type NodeClient } from '../e2e/support/node-client.ts';
import { until } from '../e2e/support/until.ts';
import { missingFrom } from './support/load.ts';
import { startProcesses, type ProcessNetwork } from './support/processes.ts';

let network: ProcessNetwork;
let client: NodeClient;
beforeAll(async () => {
  network = await startProcesses({ adults: 6 });
  client = await connectClient(network.url, network.join);
});
afterAll(async () => {
  await client?.stop();
  await network?.stop();
});

/** Running nodes that have the file. */
function holdersOf(name: Uint8Array): readonly string[] {
  const hex = toHex(name);
  return network.nodes
    .filter((node) => node.running())
    .map(({ data }) => data)
    .filter((data) => {
      try {
        const shelf = join(data, 'nodes/self/chunks', hex.slice(0, 2));
        return readdirSync(shelf).includes(hex);
      } catch {
        return false;
      }
    });
}

test('R3: what an adult had that died is on four disks again, and nothing is lost', async () => {
  const names: Uint8Array[] = [];
  for (let n = 0; n < 20; n++) {
    const { name, receipts } = await client.put(50_000);
    expect(receipts).toBe(4);
    names.push(name);
  }
  const roles = await Promise.all(network.nodes.map(async (node) => (await node.status()).role));
  const adult = network.nodes[roles.indexOf('adult')];
  if (adult === undefined) throw new Error('no adult');
  await adult.kill();
  await until(
    async () => names.filter((name) => holdersOf(name).length < 4),
    (few) => few.length === 0,
    180_000,
    1_000,
  );
  expect(await missingFrom(client, names)).toEqual([]);
});
