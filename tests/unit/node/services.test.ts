/** Goal: elders and adults keep data safe from each other's faults, and the request handler survives errors. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { ok } from '#core/result.ts';
import {
  encodePointer,
  pointerAddress,
  signPointer,
  type PointerRecord,
} from '#data/pointer-record.ts';
import { storedChunk, storedPointer, type StateRef } from '#data/storage-receipt.ts';
import { createAdmissionControl } from '#node/requests/admission-control.ts';
import { createClientHandler } from '#node/requests/client-handler.ts';
import { createElderData } from '#node/chunk-storage/elder-data-service.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { candidatesFor } from '#roles/holder-candidates.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  encodeRoutingRequest,
  type ClientReply,
} from '#roles/wire/client.ts';
import { decodeNodeReply, encodeNodeReply, encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { signedAgain } from '../data/second-signature.ts';
import {
  createDataNodes,
  nameOf,
  networkId,
  sectionOf,
  type DataNode,
  type DataNodes,
} from './data-nodes.ts';
import { silentLog } from '../../support/silent-log.ts';
import { countReceipts } from '../../support/receipts.ts';

const elderByte = 1;
const adultBytes = [11, 12, 13, 14, 15, 16];
const elderName = nameOf(elderByte);
const authority = sectionOf([elderByte], adultBytes);
const stateRef = stateRefOf(authority);
let folder: string;
let nodes: DataNodes;
let adults: Map<string, DataNode['adult']>;
let asked: string[];
let full: Set<string>;
let repaired: string[];
let misbehaved: string[];
/** Adults that refuse every request with this refusal. */
let claims: Map<string, Refusal>;
let data: ReturnType<typeof createElderData>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'safe-services-'));
  nodes = createDataNodes(folder);
  adults = new Map();
  asked = [];
  full = new Set();
  repaired = [];
  misbehaved = [];
  claims = new Map();
  for (const byte of adultBytes) {
    const { id, adult } = await nodes.start(byte);
    adults.set(id, adult);
  }
  await nodes.adopt(authority);
  data = createElderData({
    label: 'elder',
    authority: () => authority,
    request: (holder, request) => {
      asked.push(nameToId(holder));
      const said = claims.get(nameToId(holder));
      return said === undefined
        ? nodes.request(elderName, holder, request)
        : Promise.resolve(ok(encodeNodeReply({ kind: 'refused', refusal: said })));
    },
    full: () => full,
    repair: (holder) => void repaired.push(nameToId(holder)),
    misbehaved: (holder, issue) => void misbehaved.push(`${issue} ${holder}`),
    log: silentLog,
  });
});
afterEach(async () => {
  await nodes.stop();
  rmSync(folder, { recursive: true });
});

const chunk = (size = 5000) => {
  const bytes = new Uint8Array(randomBytes(size));
  return { bytes, name: new Uint8Array(createHash('sha256').update(bytes).digest()) };
};
const put = (piece: { name: Uint8Array; bytes: Uint8Array }) =>
  data({ kind: 'putChunk', ...piece });
const receiptsFor = (reply: Awaited<ReturnType<typeof put>>, name: Uint8Array): number =>
  reply.kind === 'stored'
    ? countReceipts(networkId, stateRef, storedChunk(name), reply.receipts, () => true).length
    : 0;

test('a put gets four receipts that a strict client accepts', async () => {
  const piece = chunk();
  expect(receiptsFor(await put(piece), piece.name)).toBe(4);
  expect(asked).toHaveLength(4);
});

test('if any single adult is off, a put still gets four receipts and a get the bytes', async () => {
  for (const adult of adults.values()) {
    const piece = chunk(500);
    await put(piece);
    adult.setMode('off');
    expect(await data({ kind: 'getChunk', name: piece.name, avoid: [] })).toMatchObject({
      kind: 'chunk',
      bytes: piece.bytes,
    });
    const next = chunk(500);
    expect(receiptsFor(await put(next), next.name)).toBe(4);
    adult.setMode('ok');
  }
});

test('if any two adults lie, the right bytes arrive', async () => {
  const piece = chunk();
  await put(piece);
  const all = [...adults.values()];
  for (const [i, first] of all.entries()) {
    for (const second of all.slice(i + 1)) {
      first.setMode('lie');
      second.setMode('lie');
      const reply = await data({ kind: 'getChunk', name: piece.name, avoid: [] });
      expect(reply).toMatchObject({ kind: 'chunk', bytes: piece.bytes });
      first.setMode('ok');
      second.setMode('ok');
    }
  }
});

test('REPLICATION-P2, REPLICATION-P3: a full adult gets no new chunk, and is still asked for its chunks', async () => {
  const piece = chunk(500);
  await put(piece);
  full = new Set(asked);
  asked = [];
  expect((await data({ kind: 'getChunk', name: piece.name, avoid: [] })).kind).toBe('chunk');
  expect(full).toContain(asked[0]);
  asked = [];
  // Four of six are full: two are too few for a client, so none is asked.
  expect(await put(chunk(500))).toEqual({ kind: 'refused', refusal: { kind: 'full' } });
  expect(asked).toEqual([]);
  full = new Set([...full].slice(0, 2));
  const next = chunk(500);
  expect(receiptsFor(await put(next), next.name)).toBe(4);
  for (const id of full) expect(asked).not.toContain(id);
});

test('REPLICATION-R4: a holder that a write did not reach gets a repair message', async () => {
  const piece = chunk(500);
  const [first] = candidatesFor(authority, piece.name).map(nameToId);
  adults.get(first ?? '')?.setMode('off');
  expect(receiptsFor(await put(piece), piece.name)).toBe(4);
  expect(repaired).toEqual([first]);
});

test('N41: adults sign for their own state or a newer one, never for an older one or another key', async () => {
  const { bytes, name } = chunk(500);
  const adult = [...adults.values()][0];
  const answerUnder = async (under: StateRef) => {
    const request = encodeNodeRequest({ kind: 'storeChunk', stateRef: under, name, bytes });
    const reply = decodeNodeReply((await adult?.handle(request, elderName)) ?? new Uint8Array());
    if (!reply.ok) throw new Error('no reply');
    return reply.value.kind === 'refused' ? reply.value.refusal.kind : reply.value.kind;
  };
  expect(await answerUnder({ ...stateRef, generation: stateRef.generation - 1n })).toBe('busy');
  expect(await answerUnder({ ...stateRef, keyHash: new Uint8Array(32) })).toBe('busy');
  expect(await answerUnder({ ...stateRef, generation: stateRef.generation + 1n })).toBe('receipt');
  expect(await answerUnder(stateRef)).toBe('receipt');
});

test('an adult that failed is asked last the next time', async () => {
  const piece = chunk();
  await put(piece);
  const first = asked[0] ?? '';
  adults.get(first)?.setMode('off');
  await data({ kind: 'getChunk', name: piece.name, avoid: [] });
  asked = [];
  await data({ kind: 'getChunk', name: piece.name, avoid: [] });
  expect(asked).not.toContain(first);
});

test('N7: an altered chunk is provable misbehaviour of that adult alone, no answer is a missing copy', async () => {
  const piece = chunk();
  await put(piece);
  const [first = '', second = ''] = asked;
  const get = () => data({ kind: 'getChunk', name: piece.name, avoid: [] });
  expect(misbehaved).toEqual([]);
  await get();
  expect(misbehaved).toEqual([]);
  adults.get(first)?.setMode('lie');
  adults.get(second)?.setMode('off');
  expect(await get()).toMatchObject({ kind: 'chunk', bytes: piece.bytes });
  expect(misbehaved).toEqual([`provable ${first}`, `missingCopy ${second}`]);
});

test('bytes that do not match their name never reach an adult', async () => {
  const reply = await put({ name: new Uint8Array(32), bytes: Uint8Array.of(1) });
  expect(reply).toMatchObject({ kind: 'refused', refusal: { kind: 'malformed' } });
  expect(asked).toEqual([]);
});

test('a chunk that no adult has is not found', async () => {
  const reply = await data({ kind: 'getChunk', name: new Uint8Array(32), avoid: [] });
  expect(reply).toEqual({ kind: 'refused', refusal: { kind: 'notFound' } });
});

test('a pointer record moves forward, is read from four, and a second body of one version conflicts', async () => {
  const seed = new Uint8Array(32).fill(9);
  const record = (version: bigint, text: string) =>
    signPointer(networkId, seed, version, new TextEncoder().encode(text));
  const first = record(1n, 'one');
  const stored = await data({ kind: 'putPointer', record: encodePointer(first) });
  const thing = storedPointer(networkId, first);
  expect(
    stored.kind === 'pointerStored' &&
      countReceipts(networkId, stateRef, thing, stored.receipts, () => true),
  ).toHaveLength(4);
  const address = pointerAddress(networkId, first.owner);
  const read = await data({ kind: 'getPointer', address });
  expect(read.kind === 'pointers' && read.copies.map(({ record: copy }) => copy)).toEqual(
    Array.from({ length: 4 }, () => encodePointer(first)),
  );
  const other = await data({ kind: 'putPointer', record: encodePointer(record(1n, 'other')) });
  expect(other).toMatchObject({
    kind: 'refused',
    refusal: { kind: 'conflict', evidence: encodePointer(first) },
  });
  expect((await data({ kind: 'putPointer', record: encodePointer(record(2n, 'two')) })).kind).toBe(
    'pointerStored',
  );
});

test('an adult that refuses a record as old without a newer one is blamed, and others are asked', async () => {
  const record = (version: bigint, text: string, seed = 9) =>
    encodePointer(
      signPointer(
        networkId,
        new Uint8Array(32).fill(seed),
        version,
        new TextEncoder().encode(text),
      ),
    );
  const mine = record(4n, 'mine');
  const all = [...adults.keys()];
  const lies = [new Uint8Array(), record(3n, 'old'), record(9n, 'theirs', 8)];
  for (const evidence of lies) {
    misbehaved = [];
    claims = new Map(all.slice(0, 3).map((id) => [id, { kind: 'conflict', evidence }]));
    // Three of six lie, so three are left to store it.
    expect((await data({ kind: 'putPointer', record: mine })).kind).toBe('pointerStored');
    expect(misbehaved.filter((each) => each.startsWith('provable')).length).toBeGreaterThan(0);
  }
  // Without three that store it the client is asked to come back, which is no false claim.
  claims = new Map(
    all.slice(0, 4).map((id) => [id, { kind: 'conflict', evidence: new Uint8Array() }]),
  );
  const reply = await data({ kind: 'putPointer', record: mine });
  expect(reply).toMatchObject({ kind: 'refused', refusal: { kind: 'busy' } });
});

test('a record under a second signature of its owner is the same record: it gets receipts, and no node is blamed', async () => {
  const seed = new Uint8Array(32).fill(9);
  const first = signPointer(networkId, seed, 1n, Uint8Array.of(1, 2, 3));
  const second = signedAgain(networkId, seed, first);
  expect(second.signature).not.toEqual(first.signature);
  const address = pointerAddress(networkId, first.owner);
  for (const offered of [first, second, first]) {
    const stored = await data({ kind: 'putPointer', record: encodePointer(offered) });
    const thing = storedPointer(networkId, offered);
    expect(
      stored.kind === 'pointerStored' &&
        countReceipts(networkId, stateRef, thing, stored.receipts, () => true),
    ).toHaveLength(4);
  }
  expect(misbehaved).toEqual([]);
  expect(asked).toHaveLength(12);
  // The first one stays.
  const read = await data({ kind: 'getPointer', address });
  expect(read.kind === 'pointers' && read.copies.map(({ record }) => record)).toEqual(
    Array.from({ length: 4 }, () => encodePointer(first)),
  );
});

test('an adult that shows the offered record itself gives no receipt, and is not provably false', async () => {
  const seed = new Uint8Array(32).fill(9);
  const mine = signPointer(networkId, seed, 4n, Uint8Array.of(1));
  const evidence = encodePointer(signedAgain(networkId, seed, mine));
  claims = new Map([...adults.keys()].map((id) => [id, { kind: 'conflict', evidence }]));
  const reply = await data({ kind: 'putPointer', record: encodePointer(mine) });
  expect(reply).toMatchObject({ kind: 'refused', refusal: { kind: 'busy' } });
  expect(misbehaved).toHaveLength(adults.size);
  expect(misbehaved.every((each) => each.startsWith('missingCopy '))).toBe(true);
});

test('another body of a version is not stored when the holders have the first one', async () => {
  const seed = new Uint8Array(32).fill(9);
  const first = signPointer(networkId, seed, 1n, Uint8Array.of(1));
  const other = signPointer(networkId, seed, 1n, Uint8Array.of(2));
  await data({ kind: 'putPointer', record: encodePointer(first) });
  expect(await data({ kind: 'putPointer', record: encodePointer(other) })).toMatchObject({
    kind: 'refused',
    refusal: { kind: 'conflict' },
  });
  const name = pointerAddress(networkId, first.owner);
  for (const { holdings } of nodes.running.values()) {
    expect(await holdings.read({ kind: 'pointer', name })).not.toEqual(encodePointer(other));
  }
});

test('of two bodies of one version at most one is acknowledged, whichever the holders stored first', async () => {
  const seed = new Uint8Array(32).fill(9);
  const [one, two] = [1, 2].map((body) =>
    signPointer(networkId, seed, 1n, Uint8Array.of(body)),
  ) as [PointerRecord, PointerRecord];
  const line = candidatesFor(authority, pointerAddress(networkId, one.owner));
  // Two devices wrote at the same time: each reached two of the four holders first, and one more.
  for (const [at, holder] of line.entries()) {
    const record = encodePointer([0, 1, 4].includes(at) ? one : two);
    await nodes.request(
      elderName,
      holder,
      encodeNodeRequest({ kind: 'storePointer', stateRef, record }),
    );
  }
  const replies = [];
  for (const record of [one, two]) {
    replies.push(await data({ kind: 'putPointer', record: encodePointer(record) }));
  }
  // Meanwhile the holders may have settled on one of them, which may then be acknowledged.
  expect(replies.filter(({ kind }) => kind === 'pointerStored').length).toBeLessThan(2);
  for (const reply of replies) {
    if (reply.kind !== 'pointerStored')
      expect(reply).toMatchObject({ refusal: { kind: 'conflict' } });
  }
  expect(misbehaved).toEqual([]);
});

test('a record of the largest size is shown completely as evidence', async () => {
  const of = (text: number) =>
    encodePointer(
      signPointer(networkId, new Uint8Array(32).fill(7), 1n, new Uint8Array(64 * 1024).fill(text)),
    );
  expect((await data({ kind: 'putPointer', record: of(1) })).kind).toBe('pointerStored');
  expect(await data({ kind: 'putPointer', record: of(2) })).toMatchObject({
    kind: 'refused',
    refusal: { kind: 'conflict', evidence: of(1) },
  });
});

test('a pointer record with another signer, or signed for another network, is refused', async () => {
  const foreign = signPointer(new Uint8Array(32), new Uint8Array(32).fill(9), 1n, Uint8Array.of(1));
  expect(await data({ kind: 'putPointer', record: encodePointer(foreign) })).toMatchObject({
    refusal: { kind: 'notAllowed' },
  });
  expect(asked).toEqual([]);
});

test('an adult refuses nodes that are not elders, and survives bytes that are not a request', async () => {
  const adult = [...adults.values()][0];
  const request = encodeNodeRequest({ kind: 'fetchChunk', stateRef, name: new Uint8Array(32) });
  for (const from of [null, nameOf(99)]) {
    const reply = decodeNodeReply((await adult?.handle(request, from)) ?? new Uint8Array());
    expect(reply).toMatchObject({ value: { refusal: { rule: 'eldersOnly' } } });
  }
  const reply = decodeNodeReply(
    (await adult?.handle(randomBytes(50), elderName)) ?? new Uint8Array(),
  );
  expect(reply).toMatchObject({ value: { refusal: { kind: 'malformed' } } });
});

const freshMetrics = () => {
  const metrics = createMetrics();
  return { metrics, admission: createAdmissionControl(metrics) };
};

test('the request handler answers malformed bytes, bounds one peer without affecting another, and survives errors', async () => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((open) => (release = open));
  const door = createClientHandler({
    label: 'elder',
    answer: async (request) => {
      if (request.kind === 'authority') throw new Error('our own bug');
      await gate;
      return { kind: 'refused', refusal: { kind: 'notFound' } };
    },
    log: silentLog,
    ...freshMetrics(),
  });
  const kindOf = async (reply: Promise<Uint8Array>): Promise<string> => {
    const decoded = decodeClientReply(await reply);
    if (!decoded.ok) throw new Error('no reply');
    return decoded.value.kind === 'refused' ? decoded.value.refusal.kind : decoded.value.kind;
  };
  const peer = (peerId: string) => ({
    peerId,
    address: null,
    reportInvalid: () => void invalid.push(peerId),
  });
  const invalid: string[] = [];
  const hello = encodeClientRequest({ kind: 'hello' });
  expect(await kindOf(door(randomBytes(9), peer('a')))).toBe('malformed');
  expect(invalid).toEqual(['a']);
  const many = Array.from({ length: 33 }, () => kindOf(door(hello, peer('a'))));
  expect(await many[32]).toBe('busy');
  const other = kindOf(door(hello, peer('b')));
  release();
  expect(await other).toBe('notFound');
  expect(await many[0]).toBe('notFound');
  expect(await kindOf(door(encodeClientRequest({ kind: 'authority' }), peer('a')))).toBe('busy');
});

test('malformed contents and forgeries count against their sender; other refusals do not', async () => {
  const invalid: string[] = [];
  const from = { peerId: 'a', address: null, reportInvalid: () => void invalid.push('a') };
  let reply: ClientReply = { kind: 'refused', refusal: { kind: 'malformed', what: 'slot' } };
  let forged = false;
  const door = createClientHandler({
    label: 'elder',
    answer: async (_request, say) => {
      if (forged) say();
      return reply;
    },
    log: silentLog,
    ...freshMetrics(),
  });
  const hello = encodeClientRequest({ kind: 'hello' });
  await door(hello, from);
  expect(invalid).toHaveLength(1);
  for (const kind of ['notFound', 'full'] as const) {
    reply = { kind: 'refused', refusal: { kind } };
    await door(hello, from);
  }
  expect(invalid).toHaveLength(1);
  reply = { kind: 'money', message: new Uint8Array(9) };
  forged = true;
  await door(hello, from);
  expect(invalid).toHaveLength(2);
});

test('a routed request counts as the kind of the request inside, even if it is not answered', async () => {
  const metrics = createMetrics();
  const handle = createClientHandler({
    label: 'elder',
    answer: async () => ({ kind: 'refused', refusal: { kind: 'notFound' } }),
    log: silentLog,
    ...{ metrics, admission: createAdmissionControl(metrics) },
  });
  const from = { peerId: 'a', address: null, reportInvalid: () => undefined };
  const routed = (request: Uint8Array) =>
    encodeRoutingRequest({ kind: 'routed', key: authority.key, generation: 1n, request });
  const bytes = new Uint8Array(randomBytes(20));
  const name = new Uint8Array(createHash('sha256').update(bytes).digest());
  await handle(routed(encodeClientRequest({ kind: 'putChunk', name, bytes })), from);
  await handle(routed(encodeClientRequest({ kind: 'hello' })), from);
  await handle(routed(new Uint8Array(randomBytes(9))), from);
  const counts = Object.entries(await metrics.toRecord()).filter(([key]) =>
    key.startsWith('safe_client_requests_total/'),
  );
  metrics.stop();
  expect(Object.fromEntries(counts)).toEqual({
    'safe_client_requests_total/putChunk': 1,
    'safe_client_requests_total/hello': 1,
    'safe_client_requests_total/routed': 1,
  });
});
