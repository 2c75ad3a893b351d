/**
 * The network of `npm start`, and in the same process one more libp2p node, configured like an
 * elder, that only sends and receives bytes: the far end of the raw connection (bench/README.md).
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { webRTC } from '@libp2p/webrtc';
import { createLibp2p } from 'libp2p';
import { bootstrapTcpOf } from '../../tests/e2e/support/node-client.ts';
import { downProtocol, upProtocol } from './raw-protocols.ts';

// Its top-level await ends when the network is ready.
await import('../../src/node/programs/npm-start.ts');

const data = process.argv[process.argv.indexOf('--data') + 1] ?? '';
const relay = await bootstrapTcpOf(data);
const libp2p = await createLibp2p({
  addresses: { listen: [`${relay}/p2p-circuit`, '/webrtc'] },
  transports: [tcp(), circuitRelayTransport(), webRTC({ rtcConfiguration: { iceServers: [] } })],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify() },
});

const block = new Uint8Array(64 * 1024);
for (let at = 0; at < block.length; at++) block[at] = at * 31;

/** Calls back with all bytes received; the first four are the expected number of bytes. */
function onBytes(stream: Stream, take: (wanted: number, came: number) => void): void {
  let wanted = -1;
  let came = -4;
  stream.addEventListener('message', ({ data: chunk }) => {
    if (wanted < 0) wanted = new DataView(chunk.slice().slice(0, 4).buffer).getUint32(0);
    came += chunk.byteLength;
    take(wanted, came);
  });
}

await libp2p.handle(upProtocol, (stream) =>
  onBytes(stream, (wanted, came) => {
    if (came >= wanted) stream.send(new Uint8Array(1));
  }),
);
await libp2p.handle(downProtocol, (stream) =>
  onBytes(stream, (wanted) => {
    void (async () => {
      for (let sent = 0; sent < wanted; sent += block.length) {
        const part = block.subarray(0, Math.min(block.length, wanted - sent));
        if (!stream.send(part)) await stream.onDrain();
      }
    })().catch(() => undefined);
  }),
);
process.stdout.write(`raw node ${libp2p.peerId.toString()}\n`);
