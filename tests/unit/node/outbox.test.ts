/**
 * Goal: unreachable peers leave little state behind, and a busy one loses no message.
 * Method: a host that reaches no peer, and one that is busy at first.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeHost } from '#network/node-host.ts';
import type { AddressBook } from '#node/peers/address-book.ts';
import type { Metrics } from '#node/monitoring/metrics.ts';
import { createOutbox } from '#node/peers/outbox.ts';
import { decodeNodeRequest, encodeNodeReply } from '#roles/wire/node-requests.ts';

const metrics: Metrics = {
  count: () => undefined,
  gauge: () => undefined,
};
const book: Pick<AddressBook, 'addressesOf'> = { addressesOf: () => [] };

test('a message refused by a busy peer is sent again after its delay, and later ones are not lost', async () => {
  const arrived: number[] = [];
  let asked = 0;
  const host: Pick<NodeHost, 'request'> = {
    request: async (_to, _kind, _tag, bytes) => {
      asked += 1;
      const request = decodeNodeRequest(bytes);
      if (asked <= 6) {
        const busy = { kind: 'busy', afterMs: 5 } as const;
        return { ok: true, value: encodeNodeReply({ kind: 'refused', refusal: busy }) };
      }
      if (request.ok && request.value.kind === 'deliver') {
        arrived.push(request.value.message[0] ?? -1);
      }
      return { ok: true, value: encodeNodeReply({ kind: 'accepted' }) };
    },
  };
  const outbox = createOutbox(host as NodeHost, book as AddressBook, 'tag', metrics);
  const to = toHex(new Uint8Array(32).fill(7));
  for (let n = 0; n < 12; n++) outbox.send(to, Uint8Array.of(n), 'test');
  await expect.poll(() => arrived.length).toBe(12);
  expect(new Set(arrived).size).toBe(12);
  outbox.stop();
});

test('an error of our own reaches the sender of a message', () => {
  const broken: Pick<AddressBook, 'addressesOf'> = {
    addressesOf: () => {
      throw new Error('ours');
    },
  };
  const host: Pick<NodeHost, 'request'> = { request: () => new Promise(() => undefined) };
  const outbox = createOutbox(host as NodeHost, broken as AddressBook, 'tag', metrics);
  const to = toHex(new Uint8Array(32).fill(7));
  expect(() => outbox.send(to, Uint8Array.of(1), 'test')).toThrow('ours');
  outbox.stop();
});

test('a peer that is always busy counts as failed in the end', async () => {
  let asked = 0;
  const host: Pick<NodeHost, 'request'> = {
    request: async () => {
      asked += 1;
      const busy = { kind: 'busy', afterMs: 1 } as const;
      return { ok: true, value: encodeNodeReply({ kind: 'refused', refusal: busy }) };
    },
  };
  const gauges = new Map<string, () => number>();
  const watching = {
    ...metrics,
    gauge: (name: string, read: () => number) => void gauges.set(name, read),
  };
  const outbox = createOutbox(host as NodeHost, book as AddressBook, 'tag', watching);
  for (let n = 0; n < 12; n++)
    outbox.send(toHex(new Uint8Array(32).fill(7)), Uint8Array.of(n), 'test');
  await expect.poll(() => gauges.get('safe_section_outbox_waiting')?.()).toBe(0);
  expect(asked).toBeLessThan(100);
  outbox.stop();
});

test('of thousands of unreachable peers a few are remembered', async () => {
  const gauges = new Map<string, () => number>();
  const watching = {
    ...metrics,
    gauge: (name: string, read: () => number) => void gauges.set(name, read),
  };
  const host: Pick<NodeHost, 'request'> = {
    request: async () => ({ ok: false, error: { kind: 'unreachable' } }),
  };
  const outbox = createOutbox(host as NodeHost, book as AddressBook, 'tag', watching);
  for (let n = 0; n < 3_000; n++) {
    const name = new Uint8Array(32);
    new DataView(name.buffer).setUint32(0, n);
    outbox.send(toHex(name), new Uint8Array(10), 'test');
  }
  await new Promise((go) => setTimeout(go, 20));
  expect(gauges.get('safe_section_outbox_waiting')?.()).toBe(0);
  expect(gauges.get('safe_section_outbox_peers')?.()).toBeLessThanOrEqual(256);
  outbox.stop();
});
