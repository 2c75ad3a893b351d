/**
 * Benchmark code for the app's own service worker: bundled and evaluated there, it uses the app's
 * RTCPeerConnection proxy, so that its connections take the same transport through the same page.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Stream } from '@libp2p/interface';
import { webRTC } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { fromHex } from '#core/codec/bytes.ts';
import { nameToPeerId } from '#network/peer-id.ts';
import { networkTag, protocolName } from '#network/protocols.ts';
import {
  createRpcClient,
  maxInFlight,
  type ByteStream,
  type RpcClient,
} from '#network/rpc/rpc-stream.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { cryptoCost } from './crypto-cost.ts';
import { downProtocol, upProtocol } from './raw-protocols.ts';

const libp2p = await createLibp2p({
  addresses: { listen: [] },
  transports: [
    webSockets(),
    circuitRelayTransport(),
    webRTC({ rtcConfiguration: { iceServers: [] } }),
  ],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify() },
});

const openStream = (relay: string, peerId: string, protocol: string): Promise<Stream> =>
  libp2p.dialProtocol(multiaddr(`${relay}/p2p-circuit/webrtc/p2p/${peerId}`), protocol, {
    signal: AbortSignal.timeout(20_000),
  });

const u32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
};

/** Resolves when `wanted` bytes have arrived. */
const receivedAll = (stream: Stream, wanted: number): Promise<void> =>
  new Promise((done, failed) => {
    let received = 0;
    stream.addEventListener('message', ({ data }) => {
      received += data.byteLength;
      if (received >= wanted) done();
    });
    stream.addEventListener('close', () => failed(new Error('the raw stream was closed')));
  });

/** Milliseconds to send (or get) `bytes` over one libp2p stream to the raw node. */
async function rawTransferMs(
  direction: 'up' | 'down',
  relay: string,
  peerId: string,
  bytes: number,
): Promise<number> {
  const stream = await openStream(relay, peerId, direction === 'up' ? upProtocol : downProtocol);
  const startedMs = performance.now();
  const end = receivedAll(stream, direction === 'up' ? 1 : bytes);
  stream.send(u32(bytes));
  const block = crypto.getRandomValues(new Uint8Array(64 * 1024));
  for (let sent = 0; direction === 'up' && sent < bytes; sent += block.length) {
    const part = block.subarray(0, Math.min(block.length, bytes - sent));
    if (!stream.send(part)) await stream.onDrain();
  }
  await end;
  const tookMs = performance.now() - startedMs;
  stream.abort(new Error('measured'));
  return tookMs;
}

const bytesOf = (hex: string): Uint8Array => {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error('not hex');
  return bytes.value;
};

async function openElder(relay: string, networkId: string, elder: string): Promise<RpcClient> {
  const protocol = protocolName('client', networkTag(bytesOf(networkId)));
  const stream = await openStream(relay, nameToPeerId(bytesOf(elder)).toString(), protocol);
  return createRpcClient(stream as unknown as ByteStream);
}

async function ask(client: RpcClient, request: ClientRequest): Promise<ClientReply> {
  const answer = await client.request(encodeClientRequest(request), 60_000);
  if (!answer.ok) throw new Error(`the elder was ${answer.error.kind}`);
  const reply = decodeClientReply(answer.value);
  if (!reply.ok) throw new Error('the reply is malformed');
  return reply.value;
}

/**
 * Milliseconds for `count` pieces of 1 MiB to one elder. With their right names the elder stores
 * four copies of each; with a wrong name it hashes and refuses them.
 */
async function pieces(
  relay: string,
  networkId: string,
  elder: string,
  count: number,
  stored: boolean,
): Promise<number> {
  const client = await openElder(relay, networkId, elder);
  const startedMs = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next++ < count) {
      const bytes = new Uint8Array(1024 * 1024);
      for (let at = 0; at < bytes.length; at += 65_536) {
        crypto.getRandomValues(bytes.subarray(at, at + 65_536));
      }
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      const name = stored ? digest : digest.reverse();
      const reply = await ask(client, { kind: 'putChunk', name, bytes });
      const right = stored ? reply.kind === 'stored' : reply.kind === 'refused';
      if (!right) throw new Error(`putChunk was answered ${JSON.stringify(reply)}`);
    }
  };
  await Promise.all(Array.from({ length: maxInFlight }, lane));
  const tookMs = performance.now() - startedMs;
  client.close();
  return tookMs;
}

/** Milliseconds of each round: `hello` to all elders at the same time, until all have answered, twice. */
async function roundTrips(
  relay: string,
  networkId: string,
  elders: readonly string[],
  rounds: number,
): Promise<readonly number[]> {
  const clients = await Promise.all(elders.map((elder) => openElder(relay, networkId, elder)));
  const once = (): Promise<unknown> =>
    Promise.all(clients.map((client) => ask(client, { kind: 'hello' })));
  await once();
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startedMs = performance.now();
    await once();
    await once();
    took.push(performance.now() - startedMs);
  }
  for (const client of clients) client.close();
  return took;
}

export const workerSide = { raw: rawTransferMs, pieces, roundTrips, cryptoCost };
export type WorkerSide = typeof workerSide;
Object.assign(globalThis, { safeBench: workerSide });
