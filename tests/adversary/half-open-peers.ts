/**
 * A program of many peers: each has its own key and connection and begins one frame of the maximum
 * size. It reads commands from stdin and answers each with the number of open streams.
 *
 *     half   every peer sends the frame's length and 32 KiB of it, then nothing more
 *     more   every peer leaves that stream, and sends half a mebibyte of a frame on another
 *     count  sends nothing
 *     end    closes all connections and ends the program
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import type { Libp2p, Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { maxFrameBytes } from '#network/rpc/frame.ts';

const halfBytes = 32 * 1024;
const moreBytes = 512 * 1024;
const pieceBytes = 64 * 1024;
/**
 * Peers created at the same time: they share one processor with the node's side of the key
 * agreement.
 */
const atOnce = 20;
const connectTimeoutMs = 30_000;
const sendTimeoutMs = 20_000;

const { values } = parseArgs({
  options: {
    address: { type: 'string', default: '' },
    /** Half of the peers use the first, half the second. */
    protocols: { type: 'string', default: '' },
    count: { type: 'string', default: '500' },
  },
});
if (!/^\/ip4\/127\.0\.0\.1\//.test(values.address)) {
  throw new Error('only a node of this machine is attacked');
}

const protocols = values.protocols.split(',');
interface Peer {
  readonly host: Libp2p;
  readonly protocol: string;
  stream: Stream;
}
const peers: Peer[] = [];

const open = (host: Libp2p, protocol: string): Promise<Stream> => {
  const signal = AbortSignal.timeout(connectTimeoutMs);
  return host.dialProtocol(multiaddr(values.address), protocol, { signal });
};

async function connect(_: unknown, at: number): Promise<void> {
  const host = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    // Pings would be most of the traffic of 500 idle peers.
    connectionMonitor: { enabled: false },
  });
  const protocol = protocols[at % protocols.length] ?? '';
  peers.push({ host, protocol, stream: await open(host, protocol) });
}

/** Sends the length of the largest frame and its first `length` bytes. */
async function begin(stream: Stream, length: number): Promise<void> {
  const bytes = new Uint8Array(4 + length);
  new DataView(bytes.buffer).setUint32(0, maxFrameBytes);
  for (let at = 0; at < bytes.length && stream.status === 'open'; at += pieceBytes) {
    if (stream.send(bytes.subarray(at, at + pieceBytes))) continue;
    await stream.onDrain({ signal: AbortSignal.timeout(sendTimeoutMs) });
  }
}

/** A stream that the node closed is part of the count, not a failure. */
const all = (act: (peer: Peer) => Promise<void>): Promise<unknown> =>
  Promise.allSettled(peers.map(act));

async function more(peer: Peer): Promise<void> {
  peer.stream.abort(new Error('another'));
  peer.stream = await open(peer.host, peer.protocol);
  await begin(peer.stream, moreBytes);
}

const say = (): void => {
  const count = peers.filter(({ stream }) => stream.status === 'open').length;
  process.stdout.write(`${count}\n`);
};

for (let left = Number(values.count); left > 0; left -= atOnce) {
  await Promise.all(Array.from({ length: Math.min(left, atOnce) }, connect));
}
say();
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'half') await all(({ stream }) => begin(stream, halfBytes));
  if (line === 'more') await all(more);
  if (line === 'end') break;
  say();
}
// Close the connections properly, not only by ending the process.
await Promise.race([
  Promise.allSettled(peers.map(({ host }) => host.stop())),
  new Promise((go) => setTimeout(go, 10_000)),
]);
process.exit(0);
