/** Goal: the bounds of inbound-limits.ts apply to a real host. Method: real sockets on this machine. */
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, expect, test } from 'vitest';
import { encodeFrame } from '#network/rpc/frame.ts';
import { maxHeldPerPeer } from '#network/limits/held-bytes.ts';
import { maxInvalidPerPeer, maxRefusedPerPeer } from '#network/limits/inbound-limits.ts';
import { createDialOnlyHost, createNodeHost, type NodeHost } from '#network/node-host.ts';
import { protocolName } from '#network/protocols.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';
import { createRawPeer } from '../../e2e/support/raw-peer.ts';

const hosts: NodeHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

test('repeated invalid requests → the peer is disconnected and not readmitted; others are served', async () => {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(8), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  let served = 0;
  await node.serve('client', 'test', async (request, from) => {
    served += 1;
    expect(from.address).toBeNull(); // Addresses of this machine do not distinguish peers.
    if (request[0] === 0) from.reportInvalid();
    return request;
  });
  const [liar, honest] = [await createDialOnlyHost(), await createDialOnlyHost()];
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

test('repeated broken frames → the peer is disconnected, as for invalid requests', async () => {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(9), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  await node.serve('client', 'test', async (request) => request);
  const stranger = await createRawPeer();
  try {
    const at = multiaddr(node.addresses().find((each) => each.includes('/tcp/')) ?? '');
    const connection = await stranger.dial(at);
    let sent = 0;
    while (sent < maxInvalidPerPeer + 4 && connection.status === 'open') {
      const stream = await connection.newStream(protocolName('client', 'test')).catch(() => null);
      if (stream === null) break;
      sent += 1;
      const ended = new Promise<void>((end) => {
        stream.addEventListener('close', () => end());
      });
      stream.send(Uint8Array.of(0, 0, 0, 2, 255, 255));
      await ended;
    }
    expect(sent).toBe(maxInvalidPerPeer);
    await expect.poll(() => connection.status).not.toBe('open');
  } finally {
    await stranger.stop();
  }
});

test('replies count until the peer has read them, also after it read some', async () => {
  const node = await createNodeHost({
    ...{
      identitySeed: new Uint8Array(32).fill(10),
      role: 'adult',
      bootstrap: { tcpAddress: null },
    },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  const mebibyte = 1024 * 1024;
  let served = 0;
  await node.serve('client', 'test', async () => {
    served += 1;
    return new Uint8Array(mebibyte);
  });
  const stranger = await createRawPeer();
  try {
    const at = multiaddr(node.addresses().find((each) => each.includes('/tcp/')) ?? '');
    const stream = await (await stranger.dial(at)).newStream(protocolName('client', 'test'));
    let read = 0;
    let mayRead = mebibyte;
    stream.addEventListener('message', ({ data }) => {
      read += data.byteLength;
      if (read >= mayRead && stream.readStatus === 'readable') stream.pause();
    });
    const ask = (id: number): void => {
      stream.send(encodeFrame({ id, kind: 'request', payload: new Uint8Array(1) }));
    };
    for (let id = 1; id <= 8; id++) ask(id);
    await expect.poll(() => read, { timeout: 20_000 }).toBeGreaterThanOrEqual(mebibyte);
    for (let id = 9; id <= 14; id++) ask(id);
    await expect.poll(() => served, { timeout: 20_000 }).toBe(14);
    // Everything unread, except for bytes in transit.
    expect(node.heldBytes()).toBeGreaterThanOrEqual(4 * mebibyte);
    expect(node.heldBytes()).toBeLessThanOrEqual(maxHeldPerPeer);
    mayRead = Infinity;
    stream.resume();
    await expect.poll(() => node.heldBytes(), { timeout: 20_000 }).toBe(0);
    await expect.poll(() => read, { timeout: 20_000 }).toBeGreaterThan(14 * mebibyte);
  } finally {
    await stranger.stop();
  }
});

test('an unknown peer that opens streams beyond its bound again and again is disconnected', async () => {
  const node = await createNodeHost({
    ...{
      identitySeed: new Uint8Array(32).fill(11),
      role: 'adult',
      bootstrap: { tcpAddress: null },
    },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(node);
  await node.serve('client', 'test', () => new Promise(() => undefined));
  const stranger = await createRawPeer();
  try {
    const at = multiaddr(node.addresses().find((each) => each.includes('/tcp/')) ?? '');
    const connection = await stranger.dial(at);
    const open = () => connection.newStream(protocolName('client', 'test'));
    const payload = new Uint8Array(1024 * 1024);
    // A partial frame is a few bytes longer than its payload.
    const left = 512;
    for (const last of [payload, payload.subarray(left)]) {
      const stream = await open();
      const before = node.heldBytes();
      for (let id = 1; id <= 12; id++) {
        const frame = encodeFrame({ id, kind: 'request', payload: id === 12 ? last : payload });
        if (!stream.send(frame)) await stream.onDrain();
      }
      const all = before + 11 * payload.length + last.length;
      await expect.poll(() => node.heldBytes(), { timeout: 20_000 }).toBe(all);
    }
    expect(node.heldBytes()).toBe(maxHeldPerPeer - left);
    let sent = 0;
    while (sent < maxRefusedPerPeer + 4 && connection.status === 'open') {
      const stream = await open().catch(() => null);
      if (stream === null) break;
      sent += 1;
      if (stream.status !== 'open') break;
      const ended = new Promise<void>((end) => {
        stream.addEventListener('close', () => end());
      });
      stream.send(Uint8Array.of(0, 1, 0, 0, 0));
      await ended;
    }
    expect(sent).toBeGreaterThanOrEqual(maxRefusedPerPeer);
    expect(sent).toBeLessThan(maxRefusedPerPeer + 4);
    await expect.poll(() => connection.status).not.toBe('open');
    await expect.poll(() => node.heldBytes()).toBe(0);
  } finally {
    await stranger.stop();
  }
});
