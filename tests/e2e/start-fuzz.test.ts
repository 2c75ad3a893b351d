/**
 * Goal: whatever bytes a stranger sends, a network of real processes stays up, answers rightly
 * afterwards, and keeps no memory of it. The seed is printed; `SAFE_FUZZ_SEED` replays one.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { encodeFrame } from '#network/frame.ts';
import { nameToPeerId } from '#network/peer.ts';
import { networkTag, protocolName, type ProtocolKind } from '#network/protocols.ts';
import { encodeClientRequest, type ClientRequest } from '#roles/wire/client.ts';
import { encodeNodeRequest, type NodeRequest } from '#roles/wire/node.ts';
import { createPrng, type Prng } from '../sim/prng.ts';
import {
  bootstrapTcpOf,
  connectClient,
  tcpAddressesOf,
  type NodeClient,
} from './support/node-client.ts';
import { startNetwork, type TestNetwork } from './support/network.ts';

const seed = Number(process.env['SAFE_FUZZ_SEED'] ?? Date.now() % 1_000_000);
const perProtocolMs = 30_000;
const mayGrowBytes = 32 * 1024 * 1024;

let network: TestNetwork;
let client: NodeClient;
let strangers: Awaited<ReturnType<typeof createStranger>>;
beforeAll(async () => {
  console.log(`fuzz seed ${seed}`);
  network = await startNetwork();
  client = await connectClient(network.url, await bootstrapTcpOf(network.data));
  strangers = await createStranger();
});
afterAll(async () => {
  await strangers.stop();
  await client.stop();
  await network.stop();
  network.remove();
});

const createStranger = () =>
  createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
  });

/** A request that the decoder accepts, with content made of chance. */
function plausible(prng: Prng): Uint8Array {
  const name = prng.bytes(32);
  const bytes = prng.bytes(prng.below(4000));
  const requests: readonly ClientRequest[] = [
    { kind: 'hello' },
    { kind: 'authority' },
    { kind: 'addresses' },
    { kind: 'putChunk', name, bytes },
    { kind: 'getChunk', name, avoid: [prng.bytes(32), prng.bytes(32)] },
    { kind: 'putPointer', record: bytes },
    { kind: 'getPointer', address: name },
    { kind: 'slot', slot: name, message: bytes },
    { kind: 'slot', slot: name, message: encodeCbor(slotMessage(prng, name)) },
    { kind: 'output', key: name, message: bytes },
    { kind: 'outputs', after: prng.below(1000), limit: 1 + prng.below(128) },
  ];
  return encodeClientRequest(prng.pick(requests));
}

/** Decodes as PREPARE or COMMIT and then has to be refused by what it says. */
const slotMessage = (prng: Prng, slot: Uint8Array): object =>
  prng.chance(0.5)
    ? {
        kind: 'prepare',
        request: prng.bytes(16),
        slot,
        transaction: prng.bytes(prng.below(900)),
        sources: [{ kind: 'genesis' }],
      }
    : {
        kind: 'commit',
        request: prng.bytes(16),
        slot,
        transaction: prng.bytes(prng.below(900)),
        prepared: [{ ballot: 0, signature: prng.bytes(48) }],
      };

function plausibleToAdult(prng: Prng): Uint8Array {
  const name = prng.bytes(32);
  const requests: readonly NodeRequest[] = [
    { kind: 'storeChunk', name, bytes: prng.bytes(prng.below(4000)) },
    { kind: 'fetchChunk', name },
    { kind: 'storePointer', record: prng.bytes(prng.below(400)) },
    { kind: 'fetchPointer', address: name },
    { kind: 'deliver', protocol: 'genesis', message: prng.bytes(prng.below(400)) },
  ];
  return encodeNodeRequest(prng.pick(requests));
}

function mutate(prng: Prng, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  for (let n = 1 + prng.below(4); n > 0 && copy.length > 0; n--)
    copy[prng.below(copy.length)] = prng.below(256);
  return prng.chance(0.3) ? copy.subarray(0, prng.below(copy.length + 1)) : copy;
}

/** What goes on the wire: a right frame, a changed one, several, or plain noise. */
function attack(prng: Prng, plain: (prng: Prng) => Uint8Array): Uint8Array {
  const payload = prng.chance(0.4) ? plain(prng) : mutate(prng, plain(prng));
  const frame = encodeFrame({
    id: prng.below(2 ** 31),
    kind: prng.chance(0.9) ? 'request' : 'reply',
    payload,
  });
  if (prng.chance(0.15)) return prng.bytes(prng.below(3000));
  return prng.chance(0.2) ? mutate(prng, frame) : frame;
}

/** Opens streams and writes until the time is over; a stream that was cut off is opened anew. */
async function fuzz(
  name: Uint8Array,
  addresses: readonly string[],
  kind: ProtocolKind,
  plain: (prng: Prng) => Uint8Array,
  prng: Prng,
): Promise<number> {
  const protocol = protocolName(kind, networkTag(client.authority.networkId));
  const peerId = nameToPeerId(name).toString();
  const targets = addresses.map((each) =>
    multiaddr(each.includes('/p2p/') ? each : `${each}/p2p/${peerId}`),
  );
  const end = performance.now() + perProtocolMs;
  let sent = 0;
  while (performance.now() < end) {
    try {
      const stream = await strangers.dialProtocol(targets, protocol, {
        signal: AbortSignal.timeout(5_000),
      });
      for (let n = 1 + prng.below(40); n > 0 && performance.now() < end; n--) {
        if (!stream.send(attack(prng, plain)))
          await stream.onDrain({ signal: AbortSignal.timeout(5_000) });
        sent += 1;
        if (n % 8 === 0) await new Promise((turn) => setTimeout(turn, 5));
      }
      if (prng.chance(0.5)) stream.abort(new Error('gone'));
      else void stream.close().catch(() => stream.abort(new Error('gone')));
    } catch {
      // Cut off, as a stranger who breaks the rules should be.
    }
  }
  return sent;
}

async function memory(): Promise<{ bytes: number; pid: number }> {
  const answer = await fetch(`${network.url}/test/memory`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  return (await answer.json()) as { bytes: number; pid: number };
}

async function answersRightly(): Promise<void> {
  const { name, receipts } = await client.put(50_000);
  expect(receipts).toBe(4);
  expect(await client.get(name)).not.toBeNull();
}

test('30 s of chance at an elder, the bootstrap node, an adult and the public port change nothing', async () => {
  await answersRightly();
  const before = await memory();
  const [elder] = client.authority.elders;
  if (elder === undefined) throw new Error('no elder');
  const addresses = await tcpAddressesOf(network.data);
  const at = (label: string) => {
    const found = addresses.get(label);
    if (found === undefined) throw new Error(`no ${label}`);
    return found;
  };
  const elderLabel = [...addresses.entries()].find(
    ([, { name }]) => toHex(name) === toHex(elder.name),
  )?.[0];
  const targets = [
    { label: elderLabel ?? '', kind: 'client' as const, plain: plausible },
    { label: 'bootstrap', kind: 'client' as const, plain: plausible },
    { label: 'adult-1', kind: 'data' as const, plain: plausibleToAdult },
  ];
  const fuzzers = targets.map(({ label, kind, plain }, n) =>
    fuzz(at(label).name, [at(label).address], kind, plain, createPrng(seed + n)),
  );
  const sent = await Promise.all([...fuzzers, fuzzHttp(createPrng(seed + 9))]);
  for (const count of sent) expect(count).toBeGreaterThan(100);
  // What was sent got past the frames: each door counted what it took in.
  const metrics = await (await fetch(`${network.url}/metrics`)).text();
  for (const kind of ['malformed', 'slot', 'output', 'putChunk', 'putPointer', 'outputs']) {
    const counted = new RegExp(`safe_client_requests_total\\{kind="${kind}"\\} (\\d+)`).exec(
      metrics,
    );
    expect(Number(counted?.[1] ?? 0), kind).toBeGreaterThan(50);
  }
  await answersRightly();
  const after = await memory();
  console.log(`sent ${sent.join(', ')}; memory ${before.bytes} → ${after.bytes}`);
  expect(after.pid).toBe(before.pid);
  expect(after.bytes - before.bytes).toBeLessThanOrEqual(mayGrowBytes);
});

async function fuzzHttp(prng: Prng): Promise<number> {
  const end = performance.now() + perProtocolMs;
  const paths = [
    '/',
    '/faucet',
    '/network.json',
    '/metrics',
    '/safe/rpc/x',
    '/test/adult',
    '/%ff',
    '/../..',
    '/_app/',
  ];
  let sent = 0;
  while (performance.now() < end) {
    const method = prng.pick(['GET', 'POST', 'PUT', 'DELETE', 'HEAD']);
    const body =
      method === 'POST' || method === 'PUT' ? Buffer.from(prng.bytes(prng.below(9000))) : null;
    const type = prng.chance(0.7) ? 'application/json' : 'text/plain';
    const path =
      prng.pick(paths) + (prng.chance(0.3) ? encodeURIComponent(toHex(prng.bytes(4))) : '');
    try {
      const answer = await fetch(network.url + path, {
        method,
        body,
        headers: { 'content-type': type },
      });
      expect(answer.status).not.toBe(500);
      await answer.arrayBuffer();
    } catch (error) {
      if ((error as Error).name === 'AssertionError') throw error;
    }
    sent += 1;
    await new Promise((turn) => setTimeout(turn, 5));
  }
  return sent;
}
