/** Goal: the bounds of inbound.ts hold on a real host. Method: real sockets on this machine. */
import { afterEach, expect, test } from 'vitest';
import { maxInvalidPerPeer } from '#network/inbound.ts';
import { createAskingHost, createNodeHost, type NodeHost } from '#network/node-host.ts';
import { takePort } from '#node/ports.ts';

const hosts: NodeHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

test('a peer whose requests are invalid again and again is disconnected and not let in again; others are', async () => {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(8), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await takePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  let served = 0;
  await node.serve('client', 'test', async (request, from) => {
    served += 1;
    expect(from.address).toBeNull(); // This machine's addresses tell nobody apart.
    if (request[0] === 0) from.invalid();
    return request;
  });
  const [liar, honest] = [await createAskingHost(), await createAskingHost()];
  hosts.push(liar, honest);
  const ask = async (by: NodeHost, first: number): Promise<boolean> => {
    const to = { name: node.name, addresses: node.addresses() };
    const request = Uint8Array.of(first);
    return (await by.request(to, 'client', 'test', request, { timeoutMs: 5_000 })).ok;
  };
  for (let n = 0; n < maxInvalidPerPeer + 4; n++) await ask(liar, 0);
  expect(served).toBe(maxInvalidPerPeer);
  expect(await ask(liar, 1)).toBe(false);
  expect(await ask(honest, 1)).toBe(true);
  expect(served).toBe(maxInvalidPerPeer + 1);
  expect(node.heldBytes()).toBe(0);
});
