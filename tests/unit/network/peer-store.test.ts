/**
 * Goal: libp2p's store of peers is bounded on our hosts. Method: real hosts and unknown peers on this
 * machine; the test reads each host's peer store.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { peerIdFromString } from '@libp2p/peer-id';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import type * as library from 'libp2p';
import { afterEach, expect, test, vi } from 'vitest';
import { createLightHost } from '#network/light-host.ts';
import { createDialOnlyHost, createNodeHost, type NodeHost } from '#network/node-host.ts';
import { maxRememberedPeers } from '#network/limits/peer-store.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';

const made = vi.hoisted(
  (): { getConnections(): unknown[]; peerStore: Libp2p['peerStore'] }[] => [],
);
vi.mock('libp2p', async (original) => {
  const real = await original<typeof library>();
  const createLibp2p: typeof real.createLibp2p = async (options) => {
    const libp2p = await real.createLibp2p(options);
    made.push(libp2p);
    return libp2p;
  };
  return { ...real, createLibp2p };
});

const stops: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
  made.length = 0;
});

async function startNode(
  seed: number,
  relay: string | null = null,
): Promise<readonly [NodeHost, () => Promise<number>]> {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(seed), role: 'elder' },
    bootstrap: relay === null ? null : { tcpAddress: relay },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: await findFreePort(new Set()) },
    rtcDirectPort: null,
  });
  stops.push(node.stop);
  const libp2p = made.at(-1);
  return [node, async () => (await libp2p?.peerStore.all())?.length ?? Number.NaN];
}

const createChatty = () =>
  createLibp2p({
    nodeInfo: { userAgent: 'x'.repeat(7_000) },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
  });

const strangers = maxRememberedPeers + 16;

test('few entries remain of many peers that connect, send long identify messages and leave', async () => {
  const [node, remembered] = await startNode(21);
  await node.serve('client', 'test', async (request) => request);
  const at = multiaddr(node.addresses().find((each) => /\/tcp\/\d+\/p2p/.test(each)) ?? '');
  let most = 0;
  for (let n = 0; n < strangers; n++) {
    const stranger = await createChatty();
    const connection = await stranger.dial(at);
    // Some leave while the node still identifies them.
    if (n % 8 > 0) await connection.newStream('/safe/test/client/2');
    await stranger.stop();
    most = Math.max(most, await remembered());
  }
  await expect.poll(node.connections).toBe(0);
  expect(most).toBeLessThanOrEqual(maxRememberedPeers);
  expect(most).toBeGreaterThan(4);
  await expect.poll(remembered).toBeLessThanOrEqual(maxRememberedPeers);
});

test('few entries remain of failed dials, and a node keeps its relay', async () => {
  const [relay] = await startNode(24);
  const at = relay.addresses().find((each) => /\/tcp\/\d+\/p2p/.test(each)) ?? '';
  const [node, remembered] = await startNode(22, at);
  const port = await findFreePort(new Set());
  for (let n = 0; n < strangers; n++) {
    const to = { name: crypto.getRandomValues(new Uint8Array(32)), addresses: [] };
    await node.checkReachable(
      { ...to, addresses: [`/ip4/127.0.0.1/tcp/${port}`] },
      { timeoutMs: 5_000 },
    );
  }
  expect(await remembered()).toBeGreaterThan(4);
  expect(await remembered()).toBeLessThanOrEqual(maxRememberedPeers + 1);
  expect(await made.at(-1)?.peerStore.has(peerIdFromString(relay.peerId))).toBe(true);
});

test('a light node keeps few entries of elders it failed to dial', async () => {
  const port = await findFreePort(new Set());
  const host = await createLightHost({
    ...{ bootstrap: [], tag: 'test', isPrivate: true, lastTransports: new Map() },
    ...{
      preference: () => 'websocket',
      rtcReady: async () => undefined,
      onChange: () => undefined,
    },
  });
  stops.push(host.stop);
  const remembered = async (): Promise<number> => (await made.at(-1)?.peerStore.all())?.length ?? 0;
  for (let n = 0; n < strangers; n++) {
    const name = crypto.getRandomValues(new Uint8Array(32));
    const addresses = [`/ip4/127.0.0.1/tcp/${port}/ws`];
    await host.ask({ name, addresses }, Uint8Array.of(1), 5_000);
  }
  expect(await remembered()).toBeGreaterThan(4);
  expect(await remembered()).toBeLessThanOrEqual(maxRememberedPeers);
});

test('a dial-only host has the same bound', async () => {
  const [node] = await startNode(23);
  const asking = await createDialOnlyHost();
  stops.push(asking.stop);
  const port = await findFreePort(new Set());
  for (let n = 0; n < strangers; n++) {
    const to = { name: crypto.getRandomValues(new Uint8Array(32)), addresses: [] };
    await asking.checkReachable(
      { ...to, addresses: [`/ip4/127.0.0.1/tcp/${port}`] },
      { timeoutMs: 5_000 },
    );
  }
  const at = { name: node.name, addresses: node.addresses() };
  expect(await asking.checkReachable(at, { timeoutMs: 5_000 })).toBe(true);
  expect((await made.at(-1)?.peerStore.all())?.length).toBeLessThanOrEqual(maxRememberedPeers);
});
