/** Goal: a host that only asks needs no port of its own. Method: two hosts, real sockets. */
import { afterEach, expect, test } from 'vitest';
import { concat } from '#core/codec/bytes.ts';
import { createAskingHost, createNodeHost, type NodeHost } from '#network/node-host.ts';
import { takePort } from '#node/ports.ts';

const hosts: NodeHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

test('a host that listens nowhere asks a node and is answered', async () => {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(7), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await takePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  await node.serve('client', 'test', async (request, { name }) =>
    concat(request, name ?? new Uint8Array()),
  );
  const [first, second] = [await createAskingHost(), await createAskingHost()];
  hosts.push(first, second);
  expect(first.addresses()).toEqual([]);
  expect(first.name).not.toEqual(second.name);

  const to = { name: node.name, addresses: node.addresses() };
  const request = Uint8Array.of(1, 2, 3);
  const answer = await first.request(to, 'client', 'test', request, { timeoutMs: 5_000 });
  expect(answer).toEqual({ ok: true, value: concat(request, first.name) });
});
