/**
 * Goal: the nodes of one process do not hide each other's metrics, and the node's code names every metric.
 * Method: two nodes with one registry; the source is searched for each name, in quotes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { counters, gauges } from '#node/monitoring/metric-names.ts';
import { createMetrics, type ProgramMetrics } from '#node/monitoring/metrics.ts';
import { createAdmissionControl } from '#node/requests/admission-control.ts';

let metrics: ProgramMetrics;
afterEach(() => metrics.stop());

test('counts add up over the nodes of a process; a number of the section is not a sum', async () => {
  metrics = createMetrics();
  for (const members of [11, 12]) {
    const node = metrics.ofNode();
    node.count('safe_rejected_busy_total', 'client', 2);
    node.gauge('safe_members', () => members);
    node.gauge('safe_is_elder', () => 1);
  }
  expect(await metrics.toRecord()).toMatchObject({
    'safe_rejected_busy_total/client': 4,
    safe_members: 12,
    safe_is_elder: 2,
  });
  expect(await metrics.toText()).toMatch(/^safe_rejected_busy_total\{kind="client"\} 4$/m);
});

test('a gauge of one node is not replaced by the same gauge of another node', async () => {
  metrics = createMetrics();
  const [busy, idle] = [metrics.ofNode(), metrics.ofNode()].map((node) =>
    createAdmissionControl(node),
  );
  let end: () => void = () => undefined;
  const from = { peerId: 'peer', address: null };
  const work = busy?.run('client', from, 1, () => new Promise<void>((go) => (end = go)));
  expect(await metrics.toRecord()).toMatchObject({ safe_client_running: 1 });
  end();
  await work;
  expect(await metrics.toRecord()).toMatchObject({ safe_client_running: 0 });
  expect(idle).toBeDefined();
});

const folder = resolve(import.meta.dirname, '../../../src/node');
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.startsWith('monitoring/metric-names'))
  .map((path) => readFileSync(join(folder, path), 'utf8'));
/** Names in quotes, and those made of a lane or a queue. */
const used = new Set(
  sources.flatMap((text) =>
    [...text.matchAll(/['`](safe_[a-z_${}]+)['`]/g)].flatMap(([, name = '']) => [
      ...['system', 'client', 'outside'].map((lane) => name.replace('${lane}', lane)),
      ...['section', 'data'].map((queue) => name.replace('${stream}', queue)),
    ]),
  ),
);

test.each([...Object.keys(counters), ...Object.keys(gauges)])('%s has a caller', (name) => {
  metrics = createMetrics();
  expect([...used]).toContain(name);
});
