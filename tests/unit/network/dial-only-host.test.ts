/** Goal: a dial-only host needs no port. Method: two hosts, real sockets. */
import { afterEach, expect, test } from 'vitest';
import { concat } from '#core/codec/bytes.ts';
import { createDialOnlyHost, createNodeHost, type NodeHost } from '#network/node-host.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';

const hosts: NodeHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

test('a host without listeners sends a request to a node and gets its reply', async () => {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(7), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  await node.serve('client', 'test', async (request, { name }) =>
    concat(request, name ?? new Uint8Array()),
  );
  const [first, second] = [await createDialOnlyHost(), await createDialOnlyHost()];
  hosts.push(first, second);
  expect(first.addresses()).toEqual([]);
  expect(first.name).not.toEqual(second.name);

  const to = { name: node.name, addresses: node.addresses() };
  const request = Uint8Array.of(1, 2, 3);
  const answer = await first.request(to, 'client', 'test', request, { timeoutMs: 5_000 });
  expect(answer).toEqual({ ok: true, value: concat(request, first.name) });
});
