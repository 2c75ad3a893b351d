/** An unknown peer: not a member, any number of keys, any bytes to any request handler. */
import { connect } from 'node:net';
import { encodeFrame, maxFrameBytes } from '#network/rpc/frame.ts';
import { lobbyTag, protocolName } from '#network/protocols.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import { encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { openFreshKeys, type FreshKeys } from '../e2e/support/raw-peer.ts';
import type { Prng } from '../sim/prng.ts';
import type { Attacker, Attempt, Outcome } from './attempt.ts';
import { askWith, onStream } from './connection.ts';
import { deliver, payloads } from './section-messages.ts';
import type { NodePlace, Target } from './target.ts';

/** Streams with an unfinished frame, held open at the same time. */
const heldFrames = 32;
/** Requests under one key before the peer takes another. */
const requestsPerKey = 40;

export function openStranger(target: Target, prng: Prng): Attacker {
  const raw = openFreshKeys();
  // Waiting costs no peer its connection: these streams stay when the other key is dropped.
  const holder = openFreshKeys();
  const names = openNames(prng);
  const held: { abort: (error: Error) => void }[] = [];
  const anyNode = (from: Prng): NodePlace => from.pick(target.elders);
  const client = target.protocol('client');

  const attempts: readonly Attempt[] = [
    {
      name: 'stranger: a frame in one-byte pieces',
      once: (random) =>
        onStream(raw, anyNode(random).tcp, client, async (stream) => {
          const frame = encodeFrame({ id: 1, kind: 'request', payload: random.bytes(3_000) });
          for (let at = 0; at < frame.length; at++) {
            if (!stream.send(frame.slice(at, at + 1))) await stream.onDrain();
          }
        }),
    },
    {
      name: 'stranger: a frame that never ends',
      once: async (random) => {
        if (held.length >= heldFrames) held.shift()?.abort(new Error('done'));
        return holdHalfAFrame(holder, anyNode(random).tcp, client, held);
      },
    },
    {
      name: 'stranger: a list of a million items',
      once: (random) =>
        onStream(raw, anyNode(random).tcp, client, async (stream) => {
          stream.send(encodeFrame({ id: 1, kind: 'request', payload: millionItems() }));
          await answerOrEnd(stream);
        }),
    },
    {
      name: 'stranger: a frame of noise',
      once: (random) =>
        onStream(raw, anyNode(random).tcp, client, async (stream) => {
          stream.send(random.bytes(200));
          await answerOrEnd(stream);
        }),
    },
    {
      name: 'stranger: an upgrade that is reset',
      once: () => resetUpgrade(target.port),
    },
    {
      name: 'stranger: noise at the lobby',
      once: async (random) => {
        const lobby = protocolName('section', lobbyTag);
        const { tcp } = target.node('bootstrap');
        return onStream(raw, tcp, lobby, async (stream) => {
          stream.send(encodeFrame({ id: 1, kind: 'request', payload: random.bytes(400) }));
          await answerOrEnd(stream);
        });
      },
    },
    {
      name: 'stranger: sixteen forged address records',
      once: async (random) => {
        const { host } = await names.current();
        const records = Array.from({ length: 16 }, () => forgedRecord(target, random));
        const request = encodeNodeRequest({ kind: 'exchangeAddresses', records, wanted: [] });
        return greeted(await askWith(host, target, 'section', anyNode(random), request));
      },
    },
    {
      name: 'stranger: a request of the data protocol',
      once: async (random) => {
        const { host } = await names.current();
        const stateRef = { keyHash: random.bytes(32), generation: 0n };
        const request = encodeNodeRequest({
          kind: 'storeChunk',
          stateRef,
          name: random.bytes(32),
          bytes: random.bytes(1_000),
        });
        return askWith(host, target, 'data', target.node('adult-1'), request);
      },
    },
    ...Object.entries(payloads).map(([kind, make]): Attempt => ({
      name: `stranger: ${kind}`,
      // The node accepts the message before its section checks it.
      harmless: true,
      once: async (random) => {
        const key = await names.current();
        const to = anyNode(random);
        const request = deliver(target, key, to, make(target, random), random);
        return askWith(key.host, target, 'section', to, request);
      },
    })),
  ];
  return {
    name: 'stranger',
    attempts,
    stop: async () => {
      for (const stream of held) stream.abort(new Error('done'));
      await Promise.all([raw.stop(), holder.stop(), names.stop()]);
    },
  };
}

interface Key {
  readonly seed: Uint8Array;
  readonly name: Uint8Array;
  readonly host: NodeHost;
}

/** Takes one key after the other: a key costs nothing. */
function openNames(prng: Prng) {
  let used = 0;
  let key: Promise<Key> | null = null;
  const stop = async (): Promise<void> => {
    const old = key;
    key = null;
    await (await old)?.host.stop().catch(() => undefined);
  };
  const open = async (): Promise<Key> => {
    const seed = prng.bytes(32);
    const host = await createNodeHost({
      identitySeed: seed,
      role: 'adult',
      tcpPort: null,
      wsPort: null,
      rtcDirectPort: null,
      bootstrap: { tcpAddress: null },
    });
    return { seed, name: publicKeyOf(seed), host };
  };
  return {
    current: async (): Promise<Key> => {
      used += 1;
      if (used % requestsPerKey === 0) void stop();
      key ??= open();
      return key;
    },
    stop,
  };
}

/**
 * 30 % are signed by their own key, for an address without a node; the rest have one byte changed.
 */
function forgedRecord(target: Target, prng: Prng): Uint8Array {
  const genuine = prng.chance(0.3);
  const seed = prng.bytes(32);
  const record = encodeAddressRecord(
    signAddressRecord(seed, target.anchor.networkId, 1n, [
      `/ip4/127.0.0.1/tcp/${1 + prng.below(9)}`,
    ]),
  );
  if (!genuine) record[record.length - 1] = (record[record.length - 1] ?? 0) ^ 1;
  return record;
}

/** A node answers a greeting with its own records, whether or not it accepts the sender's. */
const greeted = (outcome: Outcome): Outcome => (outcome === 'served' ? 'refused' : outcome);

function millionItems(): Uint8Array {
  const count = maxFrameBytes - 64 - 5;
  const bytes = new Uint8Array(count + 5);
  bytes[0] = 0x9a; // CBOR: an array with a 32-bit count and that many zeros (RFC 8949 §3)
  new DataView(bytes.buffer).setUint32(1, count);
  return bytes;
}

async function holdHalfAFrame(
  peer: FreshKeys,
  address: string,
  protocol: string,
  held: { abort: (error: Error) => void }[],
): Promise<Outcome> {
  try {
    const stream = await peer.open(address, protocol, 8_000);
    const head = new Uint8Array(4 + 1_000);
    new DataView(head.buffer).setUint32(0, maxFrameBytes);
    stream.send(head);
    held.push(stream);
    peer.report('open');
    return 'unanswered';
  } catch {
    peer.report('cut');
    return 'cut';
  }
}

/** Resolves when bytes arrive, the stream ends, or two seconds have passed. */
function answerOrEnd(stream: {
  addEventListener: (type: 'message' | 'close', listener: () => void) => void;
}): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, 2_000);
    const end = (): void => {
      clearTimeout(timer);
      done();
    };
    stream.addEventListener('message', end);
    stream.addEventListener('close', end);
  });
}

/** Requests a WebSocket where there is none, and resets the connection before the answer. */
function resetUpgrade(port: number): Promise<Outcome> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => done('cut'));
    socket.on('connect', () => {
      socket.write(
        'GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        () => {
          socket.resetAndDestroy();
          done('unanswered');
        },
      );
    });
  });
}
