/**
 * Goal: bytes that no program of ours sends count against their sender, also inside a well-formed
 * request, and nothing else does: a node that is behind, ahead or new is never cut off. Method: a whole
 * node with the section's real machine behind a host that counts, and the log of faults alone.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { err, ok } from '#core/result.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import { createAddressBook } from '#node/peers/address-book.ts';
import { createAdultService } from '#node/chunk-storage/adult-service.ts';
import { createBlameLog, maxBlameLines } from '#node/monitoring/blame-log.ts';
import type { LogLine } from '#node/monitoring/log.ts';
import { sectionRunner } from '#node/section/section-runner.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { createSigner } from '#node/keys/native-ed25519.ts';
import { openIdentity, type NodeIdentity } from '#node/data-folder/node-identity.ts';
import { openNodeFacts, startNode } from '#node/node.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import type { NodePayload } from '#roles/section-node/messages.ts';
import { signEnvelope } from '#roles/wire/node-envelope.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { encodeNodePayload } from '#roles/wire/section-messages.ts';
import { silentLog } from '../../support/silent-log.ts';

const networkId = new Uint8Array(32).fill(1);
const anchor = { networkId, genesisKey: new Uint8Array(96).fill(2) };
const known = encodeNodeRequest({ kind: 'exchangeAddresses', records: [], wanted: [] });

type Handler = Parameters<NodeHost['serve']>[2];
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function running() {
  const folder = mkdtempSync(join(tmpdir(), 'held-against-'));
  stops.push(() => rmSync(folder, { recursive: true }));
  const identity = await openIdentity(folder, 'node');
  const facts = openNodeFacts(identity);
  stops.push(facts.close);
  const handlers = new Map<string, Handler>();
  const lines: LogLine[] = [];
  const metrics = createMetrics();
  const jobs = { run: () => new Promise<never>(() => undefined), stop: async () => undefined };
  const node = await startNode({
    identity,
    host: {
      name: identity.name,
      peerId: 'self',
      addresses: () => [],
      serve: async (kind, tag, handler) => void handlers.set(tag === 'lobby' ? tag : kind, handler),
      request: async () => ok(known),
      checkReachable: async () => true,
      addressGroupsOf: () => new Set(),
      setMembership: () => undefined,
      heldBytes: () => 0,
      connections: () => 0,
      stop: async () => undefined,
    },
    anchor,
    file: { name: 'test' } as never,
    facts,
    book: createAddressBook(networkId, null),
    jobs: jobs as never,
    log: { ...silentLog, write: (line) => void lines.push(line) },
    metrics,
    dataLimitBytes: 1_000_000,
    openSection: sectionRunner({
      ...{ identity, anchor, facts, jobs: jobs as never, metrics, suites: productionSuites },
      ...{ genesis: null, requestStates: async () => [], records: () => undefined },
      ...{ certificate: null, reach: async () => false },
    }),
  });
  stops.push(node.stop);
  let strikes = 0;
  const deliver = async (
    kind: 'section' | 'data',
    message: Uint8Array,
    from: NodeIdentity | null = null,
  ): Promise<{ readonly answer: string; readonly strikes: number }> => {
    strikes = 0;
    const remote: Remote = {
      ...{ peerId: 'peer', name: (from ?? identity).name, address: null },
      reportInvalid: () => void (strikes += 1),
    };
    const protocol = kind === 'data' ? 'replication' : 'section';
    const bytes = encodeNodeRequest({ kind: 'deliver', protocol, message });
    const reply = decodeNodeReply((await handlers.get(kind)?.(bytes, remote)) ?? new Uint8Array());
    const answer = reply.ok ? reply.value.kind : 'unread';
    return { answer, strikes };
  };
  const stranger = await openIdentity(mkdtempSync(join(folder, 'stranger-')), 'stranger');
  const sealed = (payload: Uint8Array, to = identity.name, signer = stranger): Uint8Array =>
    signEnvelope(
      networkId,
      {
        ...{ from: stranger.name, to, key: new Uint8Array(96), generation: 3n },
        ...{ id: new Uint8Array(16), payload },
      },
      createSigner(signer.seed),
    );
  return { identity, stranger, sealed, deliver, lines };
}

test('an envelope, payload or body that does not decode counts against its sender', async () => {
  const { identity, stranger, sealed, deliver } = await running();
  const nonsense = new Uint8Array(40).fill(7);
  const ping = encodeNodePayload({ kind: 'ping', round: 1 });
  const refused = { answer: 'refused', strikes: 1 };
  expect(await deliver('section', nonsense, stranger)).toEqual(refused);
  expect(await deliver('section', sealed(nonsense), stranger)).toEqual(refused);
  expect(await deliver('section', sealed(ping, nonsense.slice(0, 32)), stranger)).toEqual(refused);
  expect(await deliver('section', sealed(ping, identity.name, identity), stranger)).toEqual(
    refused,
  );
  const update = encodeNodePayload({ kind: 'update', sealed: nonsense });
  expect(await deliver('section', sealed(update), stranger)).toEqual(refused);
  const way = encodeNodePayload({ kind: 'chainSegment', links: [nonsense] });
  expect(await deliver('section', sealed(way), stranger)).toEqual(refused);
  expect(await deliver('data', nonsense, stranger)).toEqual(refused);
});

test('an elder that forwards bytes under a wrong name, or no record, has not checked them', async () => {
  let strikes = 0;
  const stateRef = { keyHash: new Uint8Array(32), generation: 1n };
  const metrics = createMetrics();
  stops.push(metrics.stop);
  const adult = createAdultService({
    ...{ label: 'adult', networkId, sign: (bytes) => bytes, log: silentLog, metrics },
    holdings: { putChunk: async () => err('altered') } as never,
    replication: {
      stateRef: () => stateRef,
      store: (_: unknown, write: () => unknown) => write(),
    } as never,
    isElder: () => true,
  });
  const [name, bytes] = [new Uint8Array(32), new Uint8Array(8)];
  for (const request of [
    { kind: 'storeChunk', stateRef, name, bytes },
    { kind: 'storePointer', stateRef, record: bytes },
  ] as const) {
    await adult.handle(encodeNodeRequest(request), name, () => void (strikes += 1));
  }
  expect(strikes).toBe(2);
});

test('messages of a node that is behind, ahead, new or of another section never count against it', async () => {
  const { stranger, sealed, deliver, lines } = await running();
  const session = new Uint8Array(32).fill(9);
  const signature = new Uint8Array(48);
  const payloads: readonly NodePayload[] = [
    { kind: 'ping', round: 1 },
    { kind: 'pong', round: 2 ** 40 },
    { kind: 'stateQuery', generation: 99n },
    { kind: 'stateAnswer', generation: 99n, statements: [] },
    { kind: 'share', generation: 99n, of: 'seal', signature },
    { kind: 'join', body: new Uint8Array(80) },
    { kind: 'chainSegment', links: [] },
    { kind: 'joinRefused', reason: 'wrongSection' },
    { kind: 'requestCertificateShare', certificateId: session },
    { kind: 'certificateShare', signature },
    { kind: 'endorse', generation: 99n, body: new Uint8Array(4), signature: new Uint8Array(64) },
    {
      kind: 'dkg',
      ...{ session, child: 0 },
      message: {
        ...{ kind: 'status', sessionId: session },
        ...{ inventory: { tick: 1, keys: 0, lists: 0, readiness: [] }, wants: [] },
      },
    } as unknown as NodePayload,
  ];
  for (const payload of payloads) {
    for (let n = 0; n < 3; n++) {
      const bytes = sealed(encodeNodePayload(payload));
      expect(await deliver('section', bytes, stranger), payload.kind).toEqual({
        answer: 'accepted',
        strikes: 0,
      });
    }
  }
  expect(lines.filter(({ event }) => event === 'blamed')).toEqual([]);
});

test('faults of many unknown peers cause few log lines, and displace none about a member', async () => {
  const { stranger, deliver, lines } = await running();
  for (let n = 0; n < 5 * maxBlameLines; n++) {
    await deliver('section', new Uint8Array(40).fill(n), stranger);
  }
  expect(lines.filter(({ event }) => event === 'blamed')).toHaveLength(maxBlameLines);

  let at = 0;
  const written: LogLine[] = [];
  const metrics = createMetrics();
  const blamed = createBlameLog({
    ...{ label: 'node', metrics, isMember: (id) => id.startsWith('member') },
    log: { write: (line) => void written.push(line) },
    now: () => at,
  });
  for (let n = 0; n < 1_000; n++) blamed('malformedUpdate', nameToId(new Uint8Array(32).fill(n)));
  for (let n = 0; n < 2 * maxBlameLines; n++) blamed('badShare', `member ${n % 2}`);
  expect(written).toHaveLength(3 * maxBlameLines);
  expect(await metrics.toRecord()).toMatchObject({
    'safe_blamed_total/malformedUpdate': 1_000,
    'safe_blamed_total/badShare': 2 * maxBlameLines,
  });
  at = 60_000;
  blamed('malformedUpdate', 'stranger');
  expect(written.at(-1)).toMatchObject({ peer: 'stranger', count: 1_000 - maxBlameLines });
  metrics.stop();
});
