/** The entry points of a running network, each fuzzed until the time is over. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { toHex } from '#core/codec/bytes.ts';
import { encodeFrame } from '#network/rpc/frame.ts';
import type { Prng } from '../../sim/prng.ts';
import { attack, mutate, type MakeRequest } from './random-requests.ts';
import type { FreshKeys } from '../support/raw-peer.ts';

/** The number of attempts at an entry point, and their outcomes. */
export interface Attempts {
  sent: number;
  /** Accepted connections; streams of our protocols with at least one answer. */
  opened: number;
}

export interface Until {
  readonly prng: Prng;
  readonly endMs: number;
}

const going = ({ endMs }: Until): boolean => performance.now() < endMs;
const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));
const soonMs = 5_000;
const soon = (): AbortSignal => AbortSignal.timeout(soonMs);

/** Resolves with true on a reply, false when the stream ends or no reply comes. */
function answered(stream: Stream): Promise<boolean> {
  return new Promise((done) => {
    stream.addEventListener('message', () => done(true));
    stream.addEventListener('close', () => done(false));
    setTimeout(() => done(false), 2_000).unref();
  });
}

async function throughStreams(
  rawPeer: FreshKeys,
  open: () => Promise<Stream>,
  until: Until,
  write: (stream: Stream, attempts: Attempts) => Promise<void>,
): Promise<Attempts> {
  const attempts: Attempts = { sent: 0, opened: 0 };
  const { prng } = until;
  while (going(until)) {
    try {
      const stream = await open();
      await write(stream, attempts);
      rawPeer.report(stream.status === 'open' ? 'open' : 'cut');
      if (prng.chance(0.5)) stream.abort(new Error('gone'));
      else void stream.close({ signal: soon() }).catch(() => stream.abort(new Error('gone')));
    } catch {
      // Disconnected, like any outsider that breaks the rules.
      rawPeer.report('cut');
      attempts.sent += 1;
      await pause(5);
    }
  }
  return attempts;
}

/** Requests of one of our protocols: valid, changed, wrong and truncated. */
export const ourProtocol = (
  rawPeer: FreshKeys,
  address: string,
  protocol: string,
  make: MakeRequest,
  until: Until,
): Promise<Attempts> =>
  throughStreams(
    rawPeer,
    () => rawPeer.open(address, protocol, soonMs),
    until,
    async (stream, attempts) => {
      const answer = answered(stream);
      const { prng } = until;
      for (let n = 1 + prng.below(40); n > 0 && going(until); n--) {
        if (stream.status !== 'open') break;
        if (!stream.send(attack(prng, make))) await stream.onDrain({ signal: soon() });
        attempts.sent += 1;
        if (n % 8 === 0) await pause(5);
      }
      if (await answer) attempts.opened += 1;
    },
  );

/** Many more concurrent requests than the window allows, each of maximum size. */
export const flood = (
  rawPeer: FreshKeys,
  address: string,
  protocol: string,
  make: MakeRequest,
  until: Until,
): Promise<Attempts> =>
  throughStreams(
    rawPeer,
    () => rawPeer.open(address, protocol, soonMs),
    until,
    async (stream, attempts) => {
      const answer = answered(stream);
      for (let id = 1; id <= 64; id++) {
        const payload = id % 16 === 0 ? new Uint8Array(1024 * 1024) : make(until.prng);
        if (!stream.send(encodeFrame({ id, kind: 'request', payload }))) {
          await stream.onDrain({ signal: soon() });
        }
        attempts.sent += 1;
      }
      if (await answer) attempts.opened += 1;
      await pause(200);
    },
  );

/** Random bytes for libp2p's own protocols, which are open to every peer. */
export const libp2pProtocols = (
  rawPeer: FreshKeys,
  address: string,
  until: Until,
): Promise<Attempts> =>
  throughStreams(
    rawPeer,
    () =>
      rawPeer.open(
        address,
        until.prng.pick([
          '/ipfs/id/1.0.0',
          '/ipfs/id/push/1.0.0',
          '/ipfs/ping/1.0.0',
          '/libp2p/circuit/relay/0.2.0/hop',
          '/webrtc-signaling/0.0.1',
        ]),
        soonMs,
      ),
    until,
    async (stream, attempts) => {
      attempts.opened += 1;
      const { prng } = until;
      for (let n = 1 + prng.below(6); n > 0; n--) {
        // Almost length-prefixed protobuf: a RESERVE hop message, and mutations of it.
        const known = Uint8Array.of(2, 8, prng.below(4));
        const part = prng.chance(0.5) ? mutate(prng, known) : prng.bytes(prng.below(400));
        if (!stream.send(part)) await stream.onDrain({ signal: soon() });
        attempts.sent += 1;
      }
      await pause(10);
    },
  );

/** Random bytes to a bare TCP port, before any key agreement. */
export async function bareTcp(
  port: number,
  until: Until,
  head: (prng: Prng) => string,
): Promise<Attempts> {
  const attempts: Attempts = { sent: 0, opened: 0 };
  const { prng } = until;
  while (going(until)) {
    await new Promise<void>((done) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.setTimeout(300);
      socket.on('connect', () => {
        attempts.opened += 1;
        if (prng.chance(0.7)) socket.write(head(prng));
        for (let n = prng.below(4); n > 0; n--) socket.write(prng.bytes(prng.below(2000)));
        attempts.sent += 1;
        if (prng.chance(0.3)) socket.end();
      });
      socket.on('data', () => undefined);
      socket.on('error', () => undefined);
      socket.on('timeout', () => socket.destroy());
      socket.on('close', () => done());
    });
    await pause(10);
  }
  return attempts;
}

/** multistream-select's greeting: the bytes after it choose an encryption. */
export const multistreamHead = (): string => '\x13/multistream/1.0.0\n\x07/noise\n';

const upgradePaths = ['/', '/p2p', '/network.json', '/safe/rpc/x', '/%00'];
export const upgradeHead =
  (port: number) =>
  (prng: Prng): string =>
    `GET ${prng.pick(upgradePaths)} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\n` +
    'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** Datagrams to a WebRTC-Direct port: STUN with a valid start, and random bytes. */
export async function datagrams(port: number, until: Until): Promise<Attempts> {
  const attempts: Attempts = { sent: 0, opened: 0 };
  const { prng } = until;
  const socket = createSocket('udp4');
  socket.on('message', () => (attempts.opened += 1));
  socket.on('error', () => undefined);
  const binding = (): Uint8Array => {
    const name = `libp2p+webrtc+v1/${toHex(prng.bytes(8))}`;
    const user = new TextEncoder().encode(`${name}:${name}`);
    const padded = Math.ceil(user.length / 4) * 4;
    const message = new Uint8Array(24 + padded);
    const view = new DataView(message.buffer);
    view.setUint16(0, 1); // Binding request (RFC 8489 §5)
    view.setUint16(2, 4 + padded);
    view.setUint32(4, 0x2112a442);
    message.set(prng.bytes(12), 8);
    view.setUint16(20, 6); // USERNAME
    view.setUint16(22, user.length);
    message.set(user, 24);
    return message;
  };
  while (going(until)) {
    const bytes = prng.chance(0.3)
      ? prng.bytes(prng.below(1200))
      : prng.chance(0.5)
        ? binding()
        : mutate(prng, binding());
    socket.send(bytes, port, '127.0.0.1');
    attempts.sent += 1;
    await pause(10);
  }
  socket.close();
  return attempts;
}

const paths = [
  '/',
  '/faucet',
  '/faucet',
  '/network.json',
  '/metrics',
  '/safe/rpc/x',
  '/test/adult',
  '/%ff',
  '/..%2f..%2fetc/passwd',
  '/_app/',
  '/service-worker.js',
];

/** The public port's paths, methods and bodies. */
export async function http(url: string, until: Until): Promise<Attempts & { faults: number }> {
  const attempts = { sent: 0, opened: 0, faults: 0 };
  const { prng } = until;
  const body = (): string | Buffer =>
    prng.pick([
      () => Buffer.from(prng.bytes(prng.below(9000))),
      () => JSON.stringify({ address: toHex(prng.bytes(prng.below(300))) }),
      () => JSON.stringify({ address: `safe1${'q'.repeat(prng.below(200))}` }),
      () => JSON.stringify({ address: prng.pick([null, 1, [], {}, '']), index: {}, mode: [] }),
      () => '['.repeat(prng.below(8000)),
      () => '{"__proto__":{"address":"x"}}',
    ])();
  while (going(until)) {
    const method = prng.pick(['GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']);
    const path = prng.pick(paths) + (prng.chance(0.2) ? `?${toHex(prng.bytes(40))}` : '');
    const type = prng.chance(0.7) ? 'application/json' : 'text/plain';
    const init = method === 'GET' || method === 'HEAD' ? {} : { body: body() as BodyInit };
    try {
      const headers = { 'content-type': type, 'if-none-match': toHex(prng.bytes(8)) };
      const answer = await fetch(url + path, { method, headers, ...init, signal: soon() });
      attempts.opened += 1;
      // 500 is the answer to a bug of ours, never to an outsider's request.
      if (answer.status === 500) attempts.faults += 1;
      await answer.arrayBuffer();
    } catch {
      // Refused before it was read.
    }
    attempts.sent += 1;
    await pause(5);
  }
  return attempts;
}
