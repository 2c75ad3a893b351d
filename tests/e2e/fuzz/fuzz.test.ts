/**
 * Goal: whatever bytes an outsider sends to any entry point of a client, the network's process keeps
 * running, answers correctly afterwards, and leaks no memory. Method: all entry points in parallel for
 * `FUZZ_SECONDS` (20); the seed is printed, `FUZZ_SEED` replays it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { createFrameReader, encodeFrame } from '#network/rpc/frame.ts';
import { nameToPeerId } from '#network/peer-id.ts';
import { networkTag, protocolName } from '#network/protocols.ts';
import {
  decodeNodeReply,
  encodeNodeRequest,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node-requests.ts';
import { createPrng } from '../../sim/prng.ts';
import { clientRequest, nodeRequest } from './random-requests.ts';
import {
  bareTcp,
  datagrams,
  flood,
  http,
  libp2pProtocols,
  multistreamHead,
  ourProtocol,
  upgradeHead,
  type Attempts,
  type Until,
} from './handlers.ts';
import {
  bootstrapTcpOf,
  connectClient,
  tcpAddressesOf,
  type NodeClient,
} from '../support/node-client.ts';
import { startNetwork, type TestNetwork } from '../support/network.ts';
import { openFreshKeys, type FreshKeys } from '../support/raw-peer.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 20);
const mayGrowBytes = 32 * 1024 * 1024;
/**
 * Outsiders are banned again and again, as they should be: at least this many of their streams are served.
 */
const leastOpened = 5;
/** One of every kind that a decoder knows. */
const leastDecoded = 2;

let network: TestNetwork;
let client: NodeClient;
let strangers: readonly FreshKeys[] = [];
let protocolOf: (kind: 'client' | 'section' | 'data') => string;

beforeAll(async () => {
  console.log(`fuzz seed ${seed}, ${seconds} s`);
  network = await startNetwork();
  client = await connectClient(network.url, await bootstrapTcpOf(network.data));
  const tag = networkTag(client.authority.networkId);
  protocolOf = (kind) => protocolName(kind, tag);
});
afterAll(async () => {
  await Promise.allSettled(strangers.map((stranger) => stranger.stop()));
  await client?.stop();
  await network?.stop();
  network?.remove();
});

interface Endpoints {
  readonly tcp: string;
  readonly ws: string;
  readonly ports: { readonly tcp: number; readonly ws: number; readonly rtc: number };
}

/** The listeners of a node of this network, as a peer and as bare ports. */
async function endpointsOf(label: string): Promise<Endpoints> {
  const node = (await tcpAddressesOf(network.data)).get(label);
  if (node === undefined) throw new Error(`no ${label}`);
  const all = JSON.parse(readFileSync(join(network.data, 'ports.json'), 'utf8')) as Record<
    string,
    { tcp: number; ws?: number | null; rtc?: number | null }
  >;
  const { tcp = 0, ws, rtc } = all[label] ?? {};
  const peer = `/p2p/${nameToPeerId(node.name).toString()}`;
  return {
    tcp: `/ip4/127.0.0.1/tcp/${tcp}${peer}`,
    ws: `/ip4/127.0.0.1/tcp/${ws ?? 0}/ws${peer}`,
    ports: { tcp, ws: ws ?? 0, rtc: rtc ?? 0 },
  };
}

async function answersRightly(): Promise<void> {
  const { name, receipts } = await client.put(50_000);
  expect(receipts).toBe(4);
  expect(await client.get(name)).not.toBeNull();
  for (const elder of client.authority.elders) {
    const hello = await client.ask(elder.name, { kind: 'hello' });
    expect(hello).toMatchObject({ kind: 'hello', role: 'elder', serving: true });
    expect(hello.kind === 'hello' && toHex(hello.name)).toBe(toHex(elder.name));
  }
  const file = await fetch(`${network.url}/network.json`);
  expect(((await file.json()) as { genesisKey: string }).genesisKey).toBe(client.genesisKey);
}

async function countOf(kind: string): Promise<number> {
  const text = await (await fetch(`${network.url}/metrics`)).text();
  const found = new RegExp(`^safe_client_requests_total\\{kind="${kind}"\\} (\\d+)`, 'm').exec(
    text,
  );
  return Number(found?.[1] ?? 0);
}

/** Sends requests to a node under a fresh key: one reply for each, in order of arrival. */
async function askAsStranger(
  stranger: FreshKeys,
  address: string,
  kind: 'section' | 'data',
  requests: readonly NodeRequest[],
): Promise<readonly NodeReply[]> {
  const stream = await stranger.open(address, protocolOf(kind), 10_000);
  const reader = createFrameReader();
  const replies: NodeReply[] = [];
  const answered = new Promise<void>((done, failed) => {
    stream.addEventListener('message', ({ data }) => {
      for (const { payload } of reader.push(data.slice()) ?? []) {
        const reply = decodeNodeReply(payload);
        if (reply.ok) replies.push(reply.value);
      }
      if (replies.length === requests.length) done();
    });
    stream.addEventListener('close', () => failed(new Error('the node hung up')));
  });
  requests.forEach((request, at) => {
    const payload = encodeNodeRequest(request);
    stream.send(encodeFrame({ id: at + 1, kind: 'request', payload }));
  });
  await answered;
  stream.abort(new Error('done'));
  return replies;
}

const strangersName = new Uint8Array(32).fill(3);
const strangersStamp = { keyHash: strangersName, generation: 0n };
const dataRequests: readonly NodeRequest[] = [
  { kind: 'storeChunk', stateRef: strangersStamp, name: strangersName, bytes: new Uint8Array(10) },
  { kind: 'fetchChunk', stateRef: strangersStamp, name: strangersName },
  { kind: 'storePointer', stateRef: strangersStamp, record: new Uint8Array(100) },
  { kind: 'fetchPointer', stateRef: strangersStamp, address: strangersName },
  { kind: 'deliver', protocol: 'genesis', message: new Uint8Array(10) },
];

test('adults refuse every request of an outsider; no node accepts a section message from one', async () => {
  const stranger = openFreshKeys();
  strangers = [...strangers, stranger];
  const [adult, elder] = [await endpointsOf('adult-1'), await endpointsOf('elder-1')];
  for (const reply of await askAsStranger(stranger, adult.tcp, 'data', dataRequests)) {
    expect(reply).toEqual({
      kind: 'refused',
      refusal: { kind: 'notAllowed', rule: 'eldersOnly' },
    });
  }
  // Every node has a member's request handlers, whatever its role; an outsider's envelope passes none.
  for (const address of [elder.tcp, adult.tcp]) {
    const message = new Uint8Array(300);
    const [reply] = await askAsStranger(stranger, address, 'section', [
      { kind: 'deliver', protocol: 'genesis', message },
    ]);
    expect(reply, address).toMatchObject({ kind: 'refused' });
  }
});

test('random requests to every entry point for the whole time change nothing', async () => {
  await answersRightly();
  const before = await network.memory();
  const [elder, adult, bootstrap] = [
    await endpointsOf('elder-1'),
    await endpointsOf('adult-1'),
    await endpointsOf('bootstrap'),
  ];
  const kinds = ['malformed', 'hello', 'slot', 'output', 'putChunk', 'putPointer', 'outputs'];
  const countsBefore = await Promise.all(kinds.map(countOf));
  const stranger = (): FreshKeys => {
    const made = openFreshKeys();
    strangers = [...strangers, made];
    return made;
  };
  const [a, b, c, d] = [stranger(), stranger(), stranger(), stranger()];
  const [e, f, g, h] = [stranger(), stranger(), stranger(), stranger()];
  const endMs = performance.now() + seconds * 1000;
  let next = seed;
  const until = (): Until => ({ prng: createPrng(next++), endMs });
  const publicWs = bootstrap.tcp.replace(/\/tcp\/\d+/, `/tcp/${network.port}/ws`);
  const [ours, data] = [protocolOf('client'), protocolOf('data')];

  const doors: Readonly<Record<string, Promise<Attempts>>> = {
    'client of an elder, TCP': ourProtocol(a, elder.tcp, ours, clientRequest, until()),
    'client of an elder, WebSocket': ourProtocol(b, elder.ws, ours, clientRequest, until()),
    'client of the bootstrap, public port': ourProtocol(c, publicWs, ours, clientRequest, until()),
    'flood at an elder': flood(d, elder.tcp, ours, clientRequest, until()),
    'data of an adult': ourProtocol(e, adult.tcp, data, nodeRequest, until()),
    'section of an elder': ourProtocol(f, elder.tcp, protocolOf('section'), nodeRequest, until()),
    'libp2p of an elder': libp2pProtocols(g, elder.tcp, until()),
    'libp2p of the bootstrap': libp2pProtocols(h, bootstrap.tcp, until()),
    'bare TCP of an elder': bareTcp(elder.ports.tcp, until(), multistreamHead),
    'bare WebSocket of an elder': bareTcp(elder.ports.ws, until(), upgradeHead(elder.ports.ws)),
    'upgrade of the public port': bareTcp(network.port, until(), upgradeHead(network.port)),
    'WebRTC-Direct of an elder': datagrams(elder.ports.rtc, until()),
    'HTTP of the public port': http(network.url, until()),
  };
  const knocked = await Promise.all(
    Object.entries(doors).map(async ([door, knocks]) => [door, await knocks] as const),
  );
  for (const [door, { sent, opened }] of knocked) console.log(`${door}: ${sent}, let in ${opened}`);
  for (const [door, knocks] of knocked) {
    expect(knocks.sent, door).toBeGreaterThan(seconds);
    if (!door.startsWith('WebRTC')) expect(knocks.opened, door).toBeGreaterThan(leastOpened);
    if ('faults' in knocks) expect(knocks.faults, door).toBe(0);
  }
  // The bytes passed the frame reader: the request handlers counted what they decoded.
  const countsAfter = await Promise.all(kinds.map(countOf));
  kinds.forEach((kind, at) => {
    const grown = (countsAfter[at] ?? 0) - (countsBefore[at] ?? 0);
    expect(grown, kind).toBeGreaterThan(leastDecoded);
  });

  // Repeated invalid requests ban each key.
  for (const each of [a, b, c, d, e, f]) expect(each.keys()).toBeGreaterThan(1);

  await Promise.allSettled(strangers.map((each) => each.stop()));
  // Running requests end, and half-open handshakes reach their timeouts.
  await new Promise((go) => setTimeout(go, 12_000));
  await answersRightly();
  const after = await network.memory();
  const grownMiB = (after.bytes - before.bytes) / 1024 / 1024;
  console.log(`memory after a collection: ${grownMiB.toFixed(1)} MiB more than before`);
  expect(after.pid).toBe(before.pid);
  expect(after.pid).toBe(network.pid());
  expect(after.bytes - before.bytes).toBeLessThanOrEqual(mayGrowBytes);
}, 300_000);
