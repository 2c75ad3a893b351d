/**
 * Goal: a node that looks for its section keeps what the join point named, and a member names members to
 * newcomers: its own, and after a split those of the other half. Strangers are named to nobody.
 * Method: a whole node whose section is a stub that adopts what the test says.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { parsePrefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { err } from '#core/result.ts';
import type { NodeHost } from '#network/node-host.ts';
import { createAddressBook } from '#node/address-book.ts';
import { silentLog } from '#node/log.ts';
import { createMetrics } from '#node/metrics.ts';
import { openIdentity } from '#node/node-folder.ts';
import { openNodeFacts, startNode } from '#node/node.ts';
import type { SectionPorts, Standing } from '#node/section-port.ts';
import {
  decodeAddressRecord,
  encodeAddressRecord,
  signAddressRecord,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { decodeLobbyReply, encodeLobbyRequest } from '#roles/wire/lobby.ts';
import { nameOf, networkId, sectionOf, seedOf } from '../roles/plain-section.ts';

const self = 30;
const recordOf = (n: number): Uint8Array =>
  encodeAddressRecord(signAddressRecord(seedOf(n), networkId, 1n, ['/ip4/192.0.2.1/tcp/1']));

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function running() {
  const folder = mkdtempSync(join(tmpdir(), 'kept-addresses-'));
  stops.push(() => rmSync(folder, { recursive: true }));
  const opened = await openIdentity(folder, 'node');
  const identity = { ...opened, name: nameOf(self), seed: seedOf(self) };
  const facts = openNodeFacts(identity);
  stops.push(facts.close);
  const book = createAddressBook(networkId, null);
  const lobby: Parameters<NodeHost['serve']>[2][] = [];
  let ports: SectionPorts | undefined;
  const node = await startNode({
    identity,
    host: {
      name: identity.name,
      peerId: 'self',
      addresses: () => [],
      serve: async (_, tag, handler) => {
        if (tag === 'lobby') lobby.push(handler);
      },
      request: async () => err({ kind: 'unreachable' }),
      reach: async () => true,
      comesFrom: () => new Set(),
      cut: async () => undefined,
      know: () => undefined,
      heldBytes: () => 0,
      connections: () => 0,
      stop: async () => undefined,
    },
    anchor: { networkId, genesisKey: new Uint8Array(96).fill(2) },
    file: { name: 'test', text: '{}' } as never,
    facts,
    book,
    jobs: { run: () => new Promise<never>(() => undefined), stop: async () => undefined } as never,
    log: silentLog,
    metrics: createMetrics(),
    dataLimitBytes: 1_000_000,
    openSection: async (given) => {
      ports = given;
      return {
        receive: async () => true,
        storage: () => undefined,
        tell: () => undefined,
        misbehaved: () => undefined,
        stop: () => undefined,
      };
    },
  });
  stops.push(node.stop);
  const adopt = async (
    role: Standing['role'],
    authority: SectionAuthority,
    previous: SectionAuthority | null,
  ): Promise<void> => {
    const signed = { authority, signature: new Uint8Array(48), chain: [] };
    ports?.adopted({ role, signed, previous, share: null });
    // A member's role is opened in its own time.
    await vi.waitFor(() => expect(node.signed()?.authority).toBe(authority), { timeout: 20_000 });
  };
  const named = async (): Promise<readonly string[]> => {
    const from = { peerId: 'peer', name: nameOf(90), address: null, invalid: () => undefined };
    const bytes = await lobby[0]?.(encodeLobbyRequest({ kind: 'which' }), from);
    const reply = decodeLobbyReply(bytes ?? new Uint8Array());
    if (!reply.ok || reply.value.kind !== 'network') throw new Error('no network');
    return idsOf(reply.value.records);
  };
  const pinned = (): readonly string[] => book.pinned().map(nameToId);
  return { book, adopt, named, pinned };
}

const idsOf = (records: readonly Uint8Array[]): readonly string[] =>
  records.map((bytes) => {
    const record = decodeAddressRecord(bytes);
    return record.ok ? nameToId(record.value.name) : 'unread';
  });

test('a node keeps what the join point named until it is a member, whatever state it learns meanwhile', async () => {
  const { book, adopt, pinned } = await running();
  for (const n of [50, 51]) book.offer(recordOf(n));
  await adopt('outsider', sectionOf([11, 12, 13, 14]).authority, null);
  expect(pinned()).toEqual(expect.arrayContaining([50, 51].map((n) => nameToId(nameOf(n)))));
  await adopt('adult', sectionOf([11, 12, 13, self]).authority, null);
  expect(pinned()).not.toContain(nameToId(nameOf(50)));
});

test('after a split the members of before are named to newcomers, and strangers are not', async () => {
  const { book, adopt, named } = await running();
  const parent = sectionOf([11, 12, self]).authority;
  const half = sectionOf([11, self], parsePrefix('0'), 2).authority;
  await adopt('adult', parent, null);
  for (const n of [11, 12]) book.offer(recordOf(n), nameOf(n), '192.0.2.1');
  book.offer(recordOf(70), nameOf(70), '192.0.2.2');
  expect(book.names().map(nameToId)).toContain(nameToId(nameOf(70)));
  await adopt('adult', half, parent);
  const ids = await named();
  expect(ids).toEqual(expect.arrayContaining([11, 12].map((n) => nameToId(nameOf(n)))));
  expect(ids).not.toContain(nameToId(nameOf(70)));
});
