/** The doors of a running network, and how chance knocks at each until the time is over. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { toHex } from '#core/codec/bytes.ts';
import { encodeFrame } from '#network/frame.ts';
import type { Prng } from '../sim/prng.ts';
import { attack, mutate, type MakeRequest } from './fuzz-chance.ts';
import type { FreshKeys } from './support/stranger.ts';

/** How often a door was knocked at, and what came of it. */
export interface Knocks {
  sent: number;
  /** Connections that were let in; streams of our protocols on which something was answered. */
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

/** Resolves with true when bytes come back, false when the stream ends or nobody answers. */
function answered(stream: Stream): Promise<boolean> {
  return new Promise((done) => {
    stream.addEventListener('message', () => done(true));
    stream.addEventListener('close', () => done(false));
    setTimeout(() => done(false), 2_000).unref();
  });
}

async function throughStreams(
  stranger: FreshKeys,
  open: () => Promise<Stream>,
  until: Until,
  write: (stream: Stream, knocks: Knocks) => Promise<void>,
): Promise<Knocks> {
  const knocks: Knocks = { sent: 0, opened: 0 };
  const { prng } = until;
  while (going(until)) {
    try {
      const stream = await open();
      await write(stream, knocks);
      stranger.report(stream.status === 'open' ? 'open' : 'cut');
      if (prng.chance(0.5)) stream.abort(new Error('gone'));
      else void stream.close({ signal: soon() }).catch(() => stream.abort(new Error('gone')));
    } catch {
      // Cut off, as a stranger who breaks the rules should be.
      stranger.report('cut');
      knocks.sent += 1;
      await pause(5);
    }
  }
  return knocks;
}

/** Requests of a protocol of ours: right, changed, wrong and cut. */
export const ourProtocol = (
  stranger: FreshKeys,
  address: string,
  protocol: string,
  make: MakeRequest,
  until: Until,
): Promise<Knocks> =>
  throughStreams(
    stranger,
    () => stranger.open(address, protocol, soonMs),
    until,
    async (stream, knocks) => {
      const answer = answered(stream);
      const { prng } = until;
      for (let n = 1 + prng.below(40); n > 0 && going(until); n--) {
        if (stream.status !== 'open') break;
        if (!stream.send(attack(prng, make))) await stream.onDrain({ signal: soon() });
        knocks.sent += 1;
        if (n % 8 === 0) await pause(5);
      }
      if (await answer) knocks.opened += 1;
    },
  );

/** Far more requests at once than the window allows, each as large as one may be. */
export const flood = (
  stranger: FreshKeys,
  address: string,
  protocol: string,
  make: MakeRequest,
  until: Until,
): Promise<Knocks> =>
  throughStreams(
    stranger,
    () => stranger.open(address, protocol, soonMs),
    until,
    async (stream, knocks) => {
      const answer = answered(stream);
      for (let id = 1; id <= 64; id++) {
        const payload = id % 16 === 0 ? new Uint8Array(1024 * 1024) : make(until.prng);
        if (!stream.send(encodeFrame({ id, kind: 'request', payload }))) {
          await stream.onDrain({ signal: soon() });
        }
        knocks.sent += 1;
      }
      if (await answer) knocks.opened += 1;
      await pause(200);
    },
  );

/** Noise at what libp2p itself speaks with everybody. */
export const libp2pProtocols = (
  stranger: FreshKeys,
  address: string,
  until: Until,
): Promise<Knocks> =>
  throughStreams(
    stranger,
    () =>
      stranger.open(
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
    async (stream, knocks) => {
      knocks.opened += 1;
      const { prng } = until;
      for (let n = 1 + prng.below(6); n > 0; n--) {
        // Length-prefixed protobuf, nearly: a hop message that reserves, and its accidents.
        const known = Uint8Array.of(2, 8, prng.below(4));
        const part = prng.chance(0.5) ? mutate(prng, known) : prng.bytes(prng.below(400));
        if (!stream.send(part)) await stream.onDrain({ signal: soon() });
        knocks.sent += 1;
      }
      await pause(10);
    },
  );

/** Bytes at a bare TCP port: before any key is agreed on. */
export async function bareTcp(
  port: number,
  until: Until,
  head: (prng: Prng) => string,
): Promise<Knocks> {
  const knocks: Knocks = { sent: 0, opened: 0 };
  const { prng } = until;
  while (going(until)) {
    await new Promise<void>((done) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.setTimeout(300);
      socket.on('connect', () => {
        knocks.opened += 1;
        if (prng.chance(0.7)) socket.write(head(prng));
        for (let n = prng.below(4); n > 0; n--) socket.write(prng.bytes(prng.below(2000)));
        knocks.sent += 1;
        if (prng.chance(0.3)) socket.end();
      });
      socket.on('data', () => undefined);
      socket.on('error', () => undefined);
      socket.on('timeout', () => socket.destroy());
      socket.on('close', () => done());
    });
    await pause(10);
  }
  return knocks;
}

/** multistream-select's greeting: what follows is read as the choice of an encryption. */
export const multistreamHead = (): string => '\x13/multistream/1.0.0\n\x07/noise\n';

const upgradePaths = ['/', '/p2p', '/network.json', '/safe/rpc/x', '/%00'];
export const upgradeHead =
  (port: number) =>
  (prng: Prng): string =>
    `GET ${prng.pick(upgradePaths)} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\n` +
    'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** Datagrams at a WebRTC-Direct port: STUN that begins right, and noise. */
export async function datagrams(port: number, until: Until): Promise<Knocks> {
  const knocks: Knocks = { sent: 0, opened: 0 };
  const { prng } = until;
  const socket = createSocket('udp4');
  socket.on('message', () => (knocks.opened += 1));
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
    knocks.sent += 1;
    await pause(10);
  }
  socket.close();
  return knocks;
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
export async function http(url: string, until: Until): Promise<Knocks & { faults: number }> {
  const knocks = { sent: 0, opened: 0, faults: 0 };
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
      knocks.opened += 1;
      // 500 is the answer to a bug of ours, never to what a stranger sent.
      if (answer.status === 500) knocks.faults += 1;
      await answer.arrayBuffer();
    } catch {
      // Refused before it was read.
    }
    knocks.sent += 1;
    await pause(5);
  }
  return knocks;
}
