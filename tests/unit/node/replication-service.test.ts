/**
 * Goal: with real folders and real signatures four adults hold everything while members join, leave,
 * fill up and lie. Method: the services of a dozen nodes in one process, all messages through the
 * codecs; the test passes states as the section's machine would.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareDistance, nameToId } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import {
  comparePointers,
  encodePointer,
  pointerAddress,
  signPointer,
  type PointerRecord,
} from '#data/pointer-record.ts';
import { createElderData } from '#node/chunk-storage/elder-data-service.ts';
import { createSigner, publicKeyOf } from '#node/keys/native-ed25519.ts';
import { createAuditor } from '#node/chunk-storage/replication-audit.ts';
import type { Holdings } from '#node/chunk-storage/holdings.ts';
import { nativeProofOf } from '#node/chunk-storage/copies.ts';
import { startReplication } from '#node/chunk-storage/replication-service.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { err } from '#core/result.ts';
import { createMemoryFacts } from '../../support/memory-facts.ts';
import {
  challengeOf,
  confirmationBytes,
  encodeReplicationMessage,
  noDigest,
  possessionProof,
  stateRefOf,
  type Item,
} from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node-requests.ts';
import {
  createDataNodes,
  nameOf,
  networkId,
  sectionOf,
  seedOf,
  type DataNode,
  type DataNodes,
} from './data-nodes.ts';
import { silentLog } from '../../support/silent-log.ts';

const elder = 1;
const adults = [11, 12, 13, 14, 15, 16];
let folder: string;
let nodes: DataNodes;
let section: SectionAuthority;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-replication-'));
  nodes = createDataNodes(folder);
  section = sectionOf([elder], adults);
});
afterEach(async () => {
  await nodes.stop();
  rmSync(folder, { recursive: true });
});

/** Nothing is stored, and there is room. */
const emptyHoldings = (): Holdings =>
  ({ scan: async () => undefined, isFull: () => false }) as unknown as Holdings;

test('a state that cannot be stored → is reported to its node, once', async () => {
  const failures: unknown[] = [];
  const replication = await startReplication({
    ...{ label: 'adult', name: nameOf(adults[0] ?? 0), identitySeed: seedOf(11), networkId },
    ...{ log: silentLog, metrics: createMetrics(), holdings: emptyHoldings() },
    facts: {
      ...createMemoryFacts(),
      append: async () => {
        throw new Error('no space');
      },
    },
    send: () => undefined,
    request: async () => err('gone'),
    blamed: () => undefined,
    failed: (error) => void failures.push(error),
  });
  await replication.adoptState(section, []);
  await replication.adoptState(section, []);
  expect(failures.map(String)).toEqual(['Error: no space']);
  await replication.stop();
});

const startAll = async (): Promise<void> => {
  for (const byte of [elder, ...adults]) await nodes.start(byte);
  await nodes.adopt(section);
};

const nodeOf = (byte: number): DataNode => {
  const node = nodes.running.get(nameToId(nameOf(byte)));
  if (node === undefined) throw new Error('it does not run');
  return node;
};

/** The elder's own service, with its machine's knowledge of full adults. */
const elderData = () => {
  const { replication } = nodeOf(elder);
  return createElderData({
    label: 'elder',
    authority: () => section,
    request: (holder, request) => nodes.request(nameOf(elder), holder, request),
    full: replication.full,
    repair: replication.repair,
    misbehaved: () => undefined,
    log: silentLog,
  });
};

const chunkOf = (size = 400) => {
  const bytes = new Uint8Array(randomBytes(size));
  return { bytes, name: new Uint8Array(createHash('sha256').update(bytes).digest()) };
};
const put = async (piece: { readonly name: Uint8Array; readonly bytes: Uint8Array }) => {
  const reply = await elderData()({ kind: 'putChunk', ...piece });
  return reply.kind === 'stored' ? reply.receipts.length : reply;
};
const adopt = async (next: SectionAuthority): Promise<void> => {
  section = next;
  await nodes.adopt(next);
};

const closest = (name: Uint8Array, among: readonly number[], count = 4): readonly number[] =>
  [...among].sort((a, b) => compareDistance(name, nameOf(a), nameOf(b))).slice(0, count);

/** The nodes that have the file on disk, sorted. */
const onDisk = (name: Uint8Array): readonly number[] => {
  const hex = toHex(name);
  const has = (byte: number): boolean => {
    const shelf = join(folder, nameToId(nameOf(byte)), 'chunks', hex.slice(0, 2));
    try {
      return readdirSync(shelf).includes(hex);
    } catch {
      return false;
    }
  };
  return [elder, ...adults, 17, 18].filter(has);
};

const sorted = (bytes: readonly number[]): readonly number[] => [...bytes].sort((a, b) => a - b);

async function until(fits: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await fits())) {
    if (Date.now() > deadline) throw new Error('it never came about');
    await new Promise((go) => setTimeout(go, 10));
  }
}
const untilHeldBy = (name: Uint8Array, holders: readonly number[]): Promise<void> =>
  until(() => onDisk(name).join() === sorted(holders).join());

test('REPLICATION-R3: when an adult leaves for good, the next in line fetches its copies', async () => {
  await startAll();
  const pieces = Array.from({ length: 12 }, () => chunkOf());
  for (const piece of pieces) expect(await put(piece)).toBe(4);
  const gone = adults[0] ?? 0;
  await nodeOf(gone).stop();
  const left = adults.filter((each) => each !== gone);
  await adopt(sectionOf([elder], left, 2n));
  for (const { name } of pieces) {
    await until(() => closest(name, left).every((each) => onDisk(name).includes(each)));
  }
  expect(nodes.blamed).toEqual([]);
});

test('REPLICATION-R7: a new adult gets its copies, and a former holder removes its own after that', async () => {
  await startAll();
  const pieces = Array.from({ length: 12 }, () => chunkOf());
  for (const piece of pieces) await put(piece);
  await nodes.start(17);
  await nodes.start(18);
  const all = [...adults, 17, 18];
  await adopt(sectionOf([elder], all, 2n));
  for (const { name } of pieces) await untilHeldBy(name, closest(name, all));
});

test('REPLICATION-R7: an adult that becomes an elder keeps its copies until four adults have them', async () => {
  await startAll();
  const pieces = Array.from({ length: 6 }, () => chunkOf());
  for (const piece of pieces) await put(piece);
  const [risen = 0, ...left] = adults;
  // Only three have room for its copies: nothing is removed (REPLICATION-R7).
  await adopt(sectionOf([elder, risen], left.slice(0, 3), 2n));
  await new Promise((go) => setTimeout(go, 300));
  const had = pieces.filter(({ name }) => closest(name, adults).includes(risen));
  for (const { name } of had) expect(onDisk(name)).toContain(risen);
  await adopt(sectionOf([elder, risen], left, 3n));
  for (const { name } of pieces) await untilHeldBy(name, closest(name, left));
});

test('after a restart the disk is listed, and missing copies come from the others', async () => {
  await startAll();
  const pieces = Array.from({ length: 8 }, () => chunkOf());
  for (const piece of pieces) await put(piece);
  const [first = 0] = adults;
  const own = pieces.filter(({ name }) => closest(name, adults).includes(first));
  const heldBefore = nodeOf(first).replication.backlog().held;
  expect(heldBefore).toBe(own.length);
  await nodeOf(first).stop();
  const [lost] = own;
  if (lost === undefined) return;
  const hex = toHex(lost.name);
  rmSync(join(folder, nameToId(nameOf(first)), 'chunks', hex.slice(0, 2), hex));
  const again = await nodes.start(first);
  await again.replication.inventoryComplete;
  await untilHeldBy(lost.name, closest(lost.name, adults));
  await until(() => again.replication.backlog().held === own.length);
});

test('a disk that could not be listed at the start is listed again, and missing copies are fetched', async () => {
  await startAll();
  const piece = chunkOf();
  const [holder = 0] = closest(piece.name, adults);
  await nodeOf(holder).stop();
  await put(piece);
  const chunks = join(folder, nameToId(nameOf(holder)), 'chunks');
  const inTheWay = join(chunks, toHex(piece.name).startsWith('ab') ? 'ac' : 'ab');
  writeFileSync(inTheWay, 'no folder');
  const again = await nodes.start(holder);
  expect(await put(chunkOf())).toBeGreaterThanOrEqual(3);
  rmSync(inTheWay);
  await again.replication.inventoryComplete;
  await untilHeldBy(piece.name, closest(piece.name, adults));
});

test('REPLICATION-R5: a damaged file is noticed when it is read, and fetched again', async () => {
  await startAll();
  const piece = chunkOf();
  await put(piece);
  const [holder = 0] = closest(piece.name, adults);
  const hex = toHex(piece.name);
  const path = join(folder, nameToId(nameOf(holder)), 'chunks', hex.slice(0, 2), hex);
  writeFileSync(path, 'rotten');
  const { adult } = nodeOf(holder);
  const stateRef = stateRefOf(section);
  const request = encodeNodeRequest({ kind: 'fetchChunk', stateRef, name: piece.name });
  await adult.handle(request, nameOf(elder));
  await until(
    async () => (await nodeOf(holder).holdings.read({ kind: 'chunk', ...piece })) !== null,
  );
});

test('REPLICATION-R5: a liar is blamed, and no disk stores its bytes', async () => {
  await startAll();
  const piece = chunkOf();
  const [liar = 0, ...others] = closest(piece.name, adults);
  await put(piece);
  nodeOf(liar).adult.setMode('lie');
  // At first only the liar can be asked, then an honest holder returns.
  const [gone = 0, honest = 0] = others;
  for (const each of others) await nodeOf(each).stop();
  const left = adults.filter((each) => each !== gone);
  await adopt(sectionOf([elder], left, 2n));
  await until(() =>
    nodes.blamed.some(([kind, who]) => kind === 'wrongBytes' && who === nameToId(nameOf(liar))),
  );
  await nodes.start(honest);
  await until(
    () =>
      onDisk(piece.name).length >= 4 &&
      closest(piece.name, left)
        .filter((each) => nodes.running.has(nameToId(nameOf(each))))
        .every((each) => onDisk(piece.name).includes(each)),
  );
  for (const each of onDisk(piece.name)) {
    const node = nodes.running.get(nameToId(nameOf(each)));
    if (node === undefined) continue;
    expect(await node.holdings.read({ kind: 'chunk', name: piece.name })).toEqual(piece.bytes);
  }
});

test('N42: only a holder under the sealed state gets a copy; unknown nodes and distant adults do not', async () => {
  await startAll();
  const piece = chunkOf();
  await put(piece);
  const [holder = 0, other = 0] = closest(piece.name, adults);
  const far = closest(piece.name, adults, 6)[5] ?? 0;
  const stateRef = stateRefOf(section);
  const request = encodeNodeRequest({ kind: 'fetchChunk', stateRef, name: piece.name });
  const kindFor = async (from: number) => {
    const reply = await nodes.request(nameOf(from), nameOf(holder), request);
    const decoded = reply.ok ? decodeNodeReply(reply.value) : reply;
    return decoded.ok ? decoded.value.kind : 'none';
  };
  expect(await kindFor(other)).toBe('chunk');
  expect(await kindFor(elder)).toBe('chunk');
  expect(await kindFor(far)).toBe('refused');
  expect(await kindFor(99)).toBe('refused');
});

test('records are repaired with their newest version', async () => {
  await startAll();
  const seed = new Uint8Array(32).fill(9);
  const record = (version: bigint) =>
    signPointer(networkId, seed, version, new TextEncoder().encode(`version ${version}`));
  const data = elderData();
  await data({ kind: 'putPointer', record: encodePointer(record(1n)) });
  const name = pointerAddress(networkId, record(1n).owner);
  const [late = 0, ...rest] = closest(name, adults);
  await nodeOf(late).stop();
  await data({ kind: 'putPointer', record: encodePointer(record(2n)) });
  const again = await nodes.start(late);
  const newest = encodePointer(record(2n));
  await until(async () => {
    const kept = await again.holdings.read({ kind: 'pointer', name });
    return kept !== null && toHex(kept) === toHex(newest);
  });
  for (const each of rest) {
    expect(await nodeOf(each).holdings.read({ kind: 'pointer', name })).toEqual(newest);
  }
});

test('REPLICATION-R5: a record that its owner did not sign is blamed and not stored', async () => {
  await startAll();
  const seed = new Uint8Array(32).fill(9);
  const record = encodePointer(signPointer(networkId, seed, 1n, new Uint8Array(50)));
  const name = pointerAddress(networkId, publicKeyOf(seed));
  const [late = 0, ...rest] = closest(name, adults);
  await nodeOf(late).stop();
  await elderData()({ kind: 'putPointer', record });
  for (const byte of adults) if (byte !== late) nodeOf(byte).adult.setMode('lie');
  const again = await nodes.start(late);
  await until(() => nodes.blamed.some(([kind]) => kind === 'wrongBytes'));
  expect(await again.holdings.read({ kind: 'pointer', name })).toBeNull();
  for (const byte of rest) nodeOf(byte).adult.setMode('ok');
  await until(async () => (await again.holdings.read({ kind: 'pointer', name })) !== null);
  expect(await again.holdings.read({ kind: 'pointer', name })).toEqual(record);
});

test('REPLICATION-R5: holders that missed a write and ask each other for it blame no node', async () => {
  await startAll();
  const seed = new Uint8Array(randomBytes(32));
  const [first, second] = [1n, 2n].map((version) =>
    signPointer(networkId, seed, version, Uint8Array.of(Number(version))),
  ) as [PointerRecord, PointerRecord];
  const name = pointerAddress(networkId, first.owner);
  const line = closest(name, adults);
  const missed = line.slice(0, 2);
  const repairs: Item[] = [];
  const data = createElderData({
    label: 'elder',
    authority: () => section,
    request: (holder, request) => nodes.request(nameOf(elder), holder, request),
    full: () => new Set(),
    repair: (_holder, item) => void repairs.push(item),
    misbehaved: () => undefined,
    log: silentLog,
  });
  await data({ kind: 'putPointer', record: encodePointer(first) });
  for (const byte of missed) nodeOf(byte).adult.setMode('off');
  expect((await data({ kind: 'putPointer', record: encodePointer(second) })).kind).toBe(
    'pointerStored',
  );
  for (const byte of missed) nodeOf(byte).adult.setMode('ok');
  expect(repairs).toHaveLength(2);
  for (const byte of missed) {
    const message = { kind: 'repair', stateRef: stateRefOf(section), items: [...repairs] } as const;
    await nodeOf(byte).replication.receive(
      nameToId(nameOf(elder)),
      encodeReplicationMessage(message),
    );
  }
  for (const byte of missed) {
    await until(async () => {
      const kept = await nodeOf(byte).holdings.read({ kind: 'pointer', name });
      return kept !== null && toHex(kept) === toHex(encodePointer(second));
    });
  }
  expect(nodes.blamed.filter(([kind]) => kind === 'wrongBytes')).toEqual([]);
});

test.each([
  { name: 'the holders’ own', order: [0, 1] },
  { name: 'the surplus one', order: [1, 0] },
])(
  'REPLICATION-R10: of two bodies of one version $name wins, all holders have it, and the surplus copy is removed',
  async ({ order }) => {
    await startAll();
    const seed = new Uint8Array(randomBytes(32));
    const records = [1, 2]
      .map((body) => signPointer(networkId, seed, 1n, Uint8Array.of(body)))
      .sort((a, b) => -comparePointers(a, b));
    const [held, far] = order.map((at) => records[at]) as [PointerRecord, PointerRecord];
    const name = pointerAddress(networkId, held.owner);
    const line = closest(name, adults, adults.length);
    const give = (byte: number, record: PointerRecord) =>
      nodes.request(
        nameOf(elder),
        nameOf(byte),
        encodeNodeRequest({
          kind: 'storePointer',
          stateRef: stateRefOf(section),
          record: encodePointer(record),
        }),
      );
    for (const byte of line.slice(0, 4)) await give(byte, held);
    // Stored by one of the next in line while a holder was unresponsive.
    const [surplus = 0] = line.slice(4);
    await give(surplus, far);
    const keptBy = (byte: number) => nodeOf(byte).holdings.read({ kind: 'pointer', name });
    await until(async () => (await keptBy(surplus)) === null);
    const winner = encodePointer(records[0] ?? held);
    for (const byte of line.slice(0, 4)) expect(await keptBy(byte)).toEqual(winner);
    expect(nodes.blamed).toEqual([]);
  },
);

test('REPLICATION-P2: a write that finds no room causes a report immediately', async () => {
  const node = await nodes.start(11, 100);
  await nodes.adopt(section);
  const { bytes, name } = chunkOf();
  const stored = await node.replication.store({ kind: 'chunk', name }, () =>
    node.holdings.putChunk(name, bytes),
  );
  expect(stored).toEqual({ ok: false, error: 'full' });
  await until(() => node.replication.full().has(node.id));
});

test('REPLICATION-P2: a full adult reports it, is skipped, and withdraws it when there is room', async () => {
  const [small = 0, ...others] = adults;
  await nodes.start(small, 2_000);
  for (const byte of [elder, ...others]) await nodes.start(byte);
  await nodes.adopt(section);
  const { id, holdings } = nodeOf(small);
  const isFull = (): boolean => nodeOf(elder).replication.full().has(id);
  const names: Uint8Array[] = [];
  while (!isFull()) {
    const piece = chunkOf();
    names.push(piece.name);
    expect(await put(piece)).toBe(4);
    expect(holdings.usedBytes()).toBeLessThanOrEqual(2_000);
  }
  for (let n = 0; n < 10; n++) expect(await put(chunkOf())).toBe(4);
  expect(holdings.usedBytes()).toBeLessThanOrEqual(2_000);
  for (const name of names) expect(onDisk(name).length).toBeGreaterThanOrEqual(4);
  // Still full after a restart, until other adults take over its copies.
  await nodeOf(small).stop();
  const again = await nodes.start(small, 2_000);
  await again.replication.inventoryComplete;
  expect(again.replication.full()).toContain(id);
  await adopt(sectionOf([elder, small], others, 2n));
  await until(() => again.holdings.usedBytes() === 0 && !isFull());
  for (const name of names) expect(onDisk(name).length).toBeGreaterThanOrEqual(4);
});

test('N42: an audit finds holders that agree, one that lacks the chunk, and one with a false proof', async () => {
  await startAll();
  const piece = chunkOf();
  await put(piece);
  const { name, bytes } = piece;
  const item: Item = { kind: 'chunk', name, size: bytes.length, version: 0n, digest: noDigest };
  const [forger = 0, lacking = 0] = closest(piece.name, adults);
  const verdicts: string[] = [];
  const blamed: string[] = [];
  const missed = new Set<string>();
  const { replication } = nodeOf(elder);
  const auditor = createAuditor({
    networkId,
    name: nameOf(elder),
    section: () => section,
    full: replication.full,
    send: (to, message) => {
      const target = fromHex(to);
      const request = encodeNodeRequest({ kind: 'deliver', protocol: 'replication', message });
      if (target.ok) void nodes.request(nameOf(elder), target.value, request);
    },
    request: (to, bytes) => nodes.request(nameOf(elder), to, bytes),
    repair: replication.repair,
    blamed: (kind, culprit) => void blamed.push(`${kind} ${culprit}`),
    onMissed: (culprit) => void missed.add(culprit),
    onVerdict: (kind) => void verdicts.push(kind),
    everyMs: 150,
    answerTimeoutMs: 100,
  });
  try {
    let forging = false;
    nodes.messageListeners.set(nameToId(nameOf(elder)), (from, message) => {
      if (!forging || message.kind !== 'confirmed' || from !== nameToId(nameOf(forger))) {
        return auditor.onMessage(from, message);
      }
      const { stateRef, nonce } = message;
      const proof = new Uint8Array(32);
      const challenge = challengeOf(networkId, nameOf(elder), nonce);
      const signed = confirmationBytes(networkId, stateRef, nameOf(forger), item, challenge, proof);
      auditor.onMessage(from, {
        ...message,
        proof,
        signature: createSigner(seedOf(forger))(signed),
      });
    });
    auditor.addStored(item);
    await until(() => verdicts.length > 0);
    expect(new Set(verdicts)).toEqual(new Set(['agreed']));
    // The elder sends a repair message to the one that lost its file.
    await nodeOf(lacking).holdings.remove(item);
    await untilHeldBy(piece.name, closest(piece.name, adults));
    forging = true;
    await until(() => blamed.length > 0);
    expect(new Set(blamed)).toEqual(new Set([`wrongProof ${nameToId(nameOf(forger))}`]));
    // A holder that does not answer while the others agree has missed its copy.
    forging = false;
    await nodeOf(lacking).stop();
    await until(() => missed.has(nameToId(nameOf(lacking))));
  } finally {
    auditor.stop();
  }
});

test('an acknowledged write is stored, however many removals cross it', async () => {
  await startAll();
  const piece = chunkOf();
  const all = [...adults, 17, 18];
  await nodes.start(17);
  await nodes.start(18);
  // Adults that alternate between near and far offer, prove and remove while clients write.
  for (let generation = 2n; generation < 20n; generation++) {
    const members = generation % 2n === 0n ? all : adults;
    await adopt(sectionOf([elder], members, generation));
    const receipts = await put(piece);
    expect(receipts).toBe(4);
    expect(onDisk(piece.name).length).toBeGreaterThanOrEqual(4);
    await new Promise((go) => setTimeout(go, Number(generation) * 7));
  }
});

test('the platform’s hash gives the same proof as the machine’s', () => {
  const [challenge, bytes] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(999))];
  expect(nativeProofOf(challenge, 'chunk', bytes)).toEqual(
    possessionProof(challenge, 'chunk', bytes),
  );
});
