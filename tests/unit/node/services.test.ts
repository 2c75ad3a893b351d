/** Goal: elder and adult keep data safe from each other, and the door keeps both alive. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { ok } from '#core/result.ts';
import { encodePointer, pointerAddress, signPointer, type PointerRecord } from '#data/pointer.ts';
import { countReceipts, storedChunk, storedPointer, type ReceiptStamp } from '#data/receipt.ts';
import type { AdultService } from '#node/adult-service.ts';
import { createClientDoor } from '#node/client-door.ts';
import { createElderData } from '#node/elder-data-service.ts';
import { silentLog } from '#node/log.ts';
import { createMetrics } from '#node/metrics.ts';
import { stampOf } from '#protocol/replication/index.ts';
import { candidatesFor } from '#roles/placement.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';
import { decodeNodeReply, encodeNodeReply, encodeNodeRequest } from '#roles/wire/node.ts';
import { signedAgain } from '../data/second-signature.ts';
import { createDataNodes, nameOf, networkId, sectionOf, type DataNodes } from './data-nodes.ts';

const elderByte = 1;
const adultBytes = [11, 12, 13, 14, 15, 16];
const elderName = nameOf(elderByte);
const authority = sectionOf([elderByte], adultBytes);
const stamp = stampOf(authority);
let folder: string;
let nodes: DataNodes;
let adults: Map<string, AdultService>;
let asked: string[];
let full: Set<string>;
let repaired: string[];
let misbehaved: string[];
/** Adults that refuse whatever they are asked, in these words. */
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
    ? countReceipts(networkId, stamp, storedChunk(name), reply.receipts, () => true).length
    : 0;

test('a put gets four receipts that a strict client accepts', async () => {
  const piece = chunk();
  expect(receiptsFor(await put(piece), piece.name)).toBe(4);
  expect(asked).toHaveLength(4);
});

test('whichever single adult is off, a put still gets four receipts and a get the bytes', async () => {
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

test('whichever two adults lie, the bytes that arrive are the right ones', async () => {
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

test('P2, P3: a full adult gets no new chunk, and is still asked for what it has', async () => {
  const piece = chunk(500);
  await put(piece);
  full = new Set(asked);
  asked = [];
  expect((await data({ kind: 'getChunk', name: piece.name, avoid: [] })).kind).toBe('chunk');
  expect(full).toContain(asked[0]);
  asked = [];
  // Four of six are full: two are too few for a client, and nobody is asked in vain.
  expect(await put(chunk(500))).toEqual({ kind: 'refused', refusal: { kind: 'full' } });
  expect(asked).toEqual([]);
  full = new Set([...full].slice(0, 2));
  const next = chunk(500);
  expect(receiptsFor(await put(next), next.name)).toBe(4);
  for (const id of full) expect(asked).not.toContain(id);
});

test('R4: a holder that a write did not reach is told to fetch it', async () => {
  const piece = chunk(500);
  const [first] = candidatesFor(authority, piece.name).map(nameToId);
  adults.get(first ?? '')?.setMode('off');
  expect(receiptsFor(await put(piece), piece.name)).toBe(4);
  expect(repaired).toEqual([first]);
});

test('N41: adults sign for their own state or a newer one, never for an older one or another key', async () => {
  const { bytes, name } = chunk(500);
  const adult = [...adults.values()][0];
  const answerUnder = async (under: ReceiptStamp) => {
    const request = encodeNodeRequest({ kind: 'storeChunk', stamp: under, name, bytes });
    const reply = decodeNodeReply((await adult?.handle(request, elderName)) ?? new Uint8Array());
    if (!reply.ok) throw new Error('no reply');
    return reply.value.kind === 'refused' ? reply.value.refusal.kind : reply.value.kind;
  };
  expect(await answerUnder({ ...stamp, generation: stamp.generation - 1n })).toBe('busy');
  expect(await answerUnder({ ...stamp, keyHash: new Uint8Array(32) })).toBe('busy');
  expect(await answerUnder({ ...stamp, generation: stamp.generation + 1n })).toBe('receipt');
  expect(await answerUnder(stamp)).toBe('receipt');
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

test('N7: an altered chunk is a falsehood of that adult alone, silence an empty promise', async () => {
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
  expect(misbehaved).toEqual([`falsehood ${first}`, `data ${second}`]);
});

test('bytes that do not fit their name never reach an adult', async () => {
  const reply = await put({ name: new Uint8Array(32), bytes: Uint8Array.of(1) });
  expect(reply).toMatchObject({ kind: 'refused', refusal: { kind: 'malformed' } });
  expect(asked).toEqual([]);
});

test('a chunk nobody has is not found', async () => {
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
      countReceipts(networkId, stamp, thing, stored.receipts, () => true),
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

test('an adult that refuses a record as late without a record that was earlier is caught, and others are asked', async () => {
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
    expect(misbehaved.filter((each) => each.startsWith('falsehood')).length).toBeGreaterThan(0);
  }
  // Without three that store it the refusal is "come back", which is no lie about the record.
  claims = new Map(
    all.slice(0, 4).map((id) => [id, { kind: 'conflict', evidence: new Uint8Array() }]),
  );
  const reply = await data({ kind: 'putPointer', record: mine });
  expect(reply).toMatchObject({ kind: 'refused', refusal: { kind: 'busy' } });
});

test('a record under a second signature of its owner is the same record: it gets receipts, and nobody is blamed', async () => {
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
        countReceipts(networkId, stamp, thing, stored.receipts, () => true),
    ).toHaveLength(4);
  }
  expect(misbehaved).toEqual([]);
  expect(asked).toHaveLength(12);
  // The one that came first stays.
  const read = await data({ kind: 'getPointer', address });
  expect(read.kind === 'pointers' && read.copies.map(({ record }) => record)).toEqual(
    Array.from({ length: 4 }, () => encodePointer(first)),
  );
});

test('an adult that shows the very record it is offered gives no receipt, and tells no falsehood', async () => {
  const seed = new Uint8Array(32).fill(9);
  const mine = signPointer(networkId, seed, 4n, Uint8Array.of(1));
  const evidence = encodePointer(signedAgain(networkId, seed, mine));
  claims = new Map([...adults.keys()].map((id) => [id, { kind: 'conflict', evidence }]));
  const reply = await data({ kind: 'putPointer', record: encodePointer(mine) });
  expect(reply).toMatchObject({ kind: 'refused', refusal: { kind: 'busy' } });
  expect(misbehaved).toHaveLength(adults.size);
  expect(misbehaved.every((each) => each.startsWith('data '))).toBe(true);
});

test('another body of a version is kept by nobody, when the holders have the first one', async () => {
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

test('of two bodies of one version at most one is acknowledged, whatever the holders kept first', async () => {
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
      encodeNodeRequest({ kind: 'storePointer', stamp, record }),
    );
  }
  const replies = [];
  for (const record of [one, two]) {
    replies.push(await data({ kind: 'putPointer', record: encodePointer(record) }));
  }
  // Meanwhile the holders may have settled on one of them: it has every right to be acknowledged.
  expect(replies.filter(({ kind }) => kind === 'pointerStored').length).toBeLessThan(2);
  for (const reply of replies) {
    if (reply.kind !== 'pointerStored')
      expect(reply).toMatchObject({ refusal: { kind: 'conflict' } });
  }
  expect(misbehaved).toEqual([]);
});

test('a record of the largest size is shown whole when it was there before', async () => {
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

test('a pointer record somebody else signed, or signed for another network, is refused', async () => {
  const foreign = signPointer(new Uint8Array(32), new Uint8Array(32).fill(9), 1n, Uint8Array.of(1));
  expect(await data({ kind: 'putPointer', record: encodePointer(foreign) })).toMatchObject({
    refusal: { kind: 'notAllowed' },
  });
  expect(asked).toEqual([]);
});

test('an adult refuses whoever is not an elder and survives bytes that are no request', async () => {
  const adult = [...adults.values()][0];
  const request = encodeNodeRequest({ kind: 'fetchChunk', stamp, name: new Uint8Array(32) });
  for (const from of [null, nameOf(99)]) {
    const reply = decodeNodeReply((await adult?.handle(request, from)) ?? new Uint8Array());
    expect(reply).toMatchObject({ value: { refusal: { rule: 'eldersOnly' } } });
  }
  const reply = decodeNodeReply(
    (await adult?.handle(randomBytes(50), elderName)) ?? new Uint8Array(),
  );
  expect(reply).toMatchObject({ value: { refusal: { kind: 'malformed' } } });
});

test('the door answers malformed bytes, bounds one peer without touching another, and outlives errors', async () => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((open) => (release = open));
  const door = createClientDoor({
    label: 'elder',
    answer: async (request) => {
      if (request.kind === 'authority') throw new Error('our own bug');
      await gate;
      return { kind: 'refused', refusal: { kind: 'notFound' } };
    },
    log: silentLog,
    metrics: createMetrics(),
  });
  const kindOf = async (reply: Promise<Uint8Array>): Promise<string> => {
    const decoded = decodeClientReply(await reply);
    if (!decoded.ok) throw new Error('no reply');
    return decoded.value.kind === 'refused' ? decoded.value.refusal.kind : decoded.value.kind;
  };
  const peer = (peerId: string) => ({
    peerId,
    address: null,
    invalid: () => void invalid.push(peerId),
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

test('what is malformed inside of a request, or forged, is held against its sender; another refusal is not', async () => {
  const invalid: string[] = [];
  const from = { peerId: 'a', address: null, invalid: () => void invalid.push('a') };
  let reply: ClientReply = { kind: 'refused', refusal: { kind: 'malformed', what: 'slot' } };
  let forged = false;
  const door = createClientDoor({
    label: 'elder',
    answer: async (_request, say) => {
      if (forged) say();
      return reply;
    },
    log: silentLog,
    metrics: createMetrics(),
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
