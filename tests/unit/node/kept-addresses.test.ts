/**
 * Goal: a node that searches its section keeps the join point's records, and a member gives joining nodes
 * the records of members: its own, and after a split those of the other half. Unknown nodes' records are
 * given to no node. Method: a whole node with a stub section that adopts the test's states.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { parsePrefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { err } from '#core/result.ts';
import type { NodeHost } from '#network/node-host.ts';
import { createAddressBook } from '#node/peers/address-book.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { openIdentity } from '#node/data-folder/node-identity.ts';
import { openNodeFacts, startNode } from '#node/node.ts';
import type { SectionCallbacks, NodeStanding } from '#node/section/section-handle.ts';
import {
  decodeAddressRecord,
  encodeAddressRecord,
  signAddressRecord,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { decodeLobbyReply, encodeLobbyRequest } from '#roles/wire/lobby.ts';
import { nameOf, networkId, sectionOf, seedOf } from '../service-worker/plain-section.ts';
import { silentLog } from '../../support/silent-log.ts';

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
  let ports: SectionCallbacks | undefined;
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
      checkReachable: async () => true,
      addressGroupsOf: () => new Set(),
      setMembership: () => undefined,
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
        setVacancies: () => undefined,
        input: () => undefined,
        misbehaved: () => undefined,
        stop: () => undefined,
      };
    },
  });
  stops.push(node.stop);
  const adopt = async (
    role: NodeStanding['role'],
    authority: SectionAuthority,
    previous: SectionAuthority | null,
  ): Promise<void> => {
    const signed = { authority, signature: new Uint8Array(48), chain: [] };
    ports?.onAdopted({ role, signed, previous, share: null });
    // A member's role opens asynchronously.
    await vi.waitFor(() => expect(node.signed()?.authority).toBe(authority), { timeout: 20_000 });
  };
  const named = async (): Promise<readonly string[]> => {
    const from = {
      peerId: 'peer',
      name: nameOf(90),
      address: null,
      reportInvalid: () => undefined,
    };
    const bytes = await lobby[0]?.(encodeLobbyRequest({ kind: 'describe' }), from);
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

test('a node keeps the join point’s records until it is a member, whatever state it learns meanwhile', async () => {
  const { book, adopt, pinned } = await running();
  for (const n of [50, 51]) book.offer(recordOf(n));
  await adopt('outsider', sectionOf([11, 12, 13, 14]).authority, null);
  expect(pinned()).toEqual(expect.arrayContaining([50, 51].map((n) => nameToId(nameOf(n)))));
  await adopt('adult', sectionOf([11, 12, 13, self]).authority, null);
  expect(pinned()).not.toContain(nameToId(nameOf(50)));
});

test('after a split former members’ records are given to joining nodes, unknown nodes’ are not', async () => {
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
