/**
 * Goal: a relay carries little for unknown peers, and no peer becomes a node's relay by asking. Method:
 * real hosts and unknown peers on this machine.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterEach, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { peerIdToName } from '#network/peer-id.ts';
import { maxNonMemberReservations } from '#network/limits/relay-reservations.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';
import { createRawPeer } from '../../e2e/support/raw-peer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function startRelay(seed: number): Promise<readonly [NodeHost, string]> {
  const node = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(seed), role: 'bootstrap', bootstrap: null },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  stops.push(node.stop);
  return [node, node.addresses().find((each) => /\/tcp\/\d+\/p2p/.test(each)) ?? ''];
}

const startRelayed = async (listen: readonly string[]) => {
  const peer = await createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify() },
  });
  stops.push(() => peer.stop());
  return peer;
};

test('a relayed connection ends after 128 KiB', async () => {
  const [, at] = await startRelay(31);
  const [taker, giver] = [await startRelayed([`${at}/p2p-circuit`]), await startRelayed([])];
  let [received, ended] = [0, false];
  await taker.handle(
    '/test/1',
    (stream) => {
      stream.addEventListener('message', ({ data }) => (received += data.byteLength));
      stream.addEventListener('close', () => (ended = true));
    },
    { runOnLimitedConnection: true },
  );
  const transport = multiaddr(`${at}/p2p-circuit/p2p/${taker.peerId.toString()}`);
  const stream = await giver.dialProtocol(transport, '/test/1', { runOnLimitedConnection: true });
  for (let n = 0; n < 64 && stream.status === 'open'; n++) {
    if (!stream.send(new Uint8Array(8 * 1024))) await stream.onDrain().catch(() => undefined);
  }
  await expect.poll(() => ended, { timeout: 15_000 }).toBe(true);
  expect(received).toBeGreaterThan(32 * 1024);
  expect(received).toBeLessThanOrEqual(128 * 1024);
});

test('unknown peers share few reservations at a relay; those of members are extra', async () => {
  const [node, at] = await startRelay(33);
  const members = new Set<string>();
  node.setMembership((name) => members.has(nameToId(name)));
  const reserve = async (isMember = false): Promise<boolean> => {
    const stranger = await createRawPeer();
    stops.push(() => stranger.stop());
    if (isMember) members.add(nameToId(peerIdToName(stranger.peerId) ?? new Uint8Array()));
    const stream = await stranger.dialProtocol(multiaddr(at), '/libp2p/circuit/relay/0.2.0/hop');
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      stream.addEventListener('message', ({ data }) => resolve(data.subarray()));
      stream.addEventListener('close', () => reject(new Error('no answer')));
    });
    // A HopMessage of type RESERVE, and its reply with status OK (100).
    stream.send(Uint8Array.of(2, 8, 0));
    return Buffer.from(await answer).includes(Buffer.of(0x28, 100));
  };
  let granted = 0;
  for (let n = 0; n < maxNonMemberReservations + 4; n++) granted += Number(await reserve());
  expect(granted).toBe(maxNonMemberReservations);
  expect(await reserve(true)).toBe(true);
});

test('an echo request is cut off after ten seconds, on two streams at most', async () => {
  const [, at] = await startRelay(34);
  const stranger = await createRawPeer();
  stops.push(() => stranger.stop());
  const connection = await stranger.dial(multiaddr(at));
  let echoed = 0;
  const ping = async () => {
    const stream = await connection.newStream('/ipfs/ping/1.0.0');
    stream.addEventListener('message', ({ data }) => (echoed += data.byteLength));
    if (stream.status === 'open') stream.send(new Uint8Array(32));
    return stream;
  };
  const streams = [await ping(), await ping()];
  await expect.poll(() => echoed, { timeout: 9_000 }).toBe(64);
  const third = await ping().catch(() => null);
  await expect.poll(() => third?.status ?? 'refused', { timeout: 9_000 }).not.toBe('open');
  expect(echoed).toBe(64);
  const open = (): number => streams.filter(({ status }) => status === 'open').length;
  await expect.poll(open, { timeout: 45_000 }).toBe(0);
});

test('a node accepts connections through its own relay', async () => {
  const [, at] = await startRelay(35);
  const elder = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(36), role: 'elder', bootstrap: { tcpAddress: at } },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  stops.push(elder.stop);
  const browser = await startRelayed([]);
  const connection = await browser.dial(multiaddr(`${at}/p2p-circuit/p2p/${elder.peerId}`));
  expect(connection.status).toBe('open');
  expect(connection.remotePeer.toString()).toBe(elder.peerId);
});

test("an unknown peer that offers a relayed connection does not become the node's relay", async () => {
  const [node, at] = await startRelay(32);
  const stranger = await createRawPeer();
  stops.push(() => stranger.stop());
  let reservations = 0;
  await stranger.handle('/libp2p/circuit/relay/0.2.0/hop', () => void (reservations += 1));
  const stream = await stranger.dialProtocol(multiaddr(at), '/libp2p/circuit/relay/0.2.0/stop');
  await expect.poll(() => stream.status, { timeout: 15_000 }).not.toBe('open');
  expect(reservations).toBe(0);
  expect(node.addresses().filter((each) => each.includes('p2p-circuit'))).toEqual([]);
});
