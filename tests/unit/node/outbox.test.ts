/** Goal: peers that cannot be reached leave little behind. Method: a host that reaches nobody. */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeHost } from '#network/node-host.ts';
import type { AddressBook } from '#node/address-book.ts';
import type { Metrics } from '#node/metrics.ts';
import { createOutbox } from '#node/outbox.ts';

test('of thousands of peers that could not be reached a few are remembered', async () => {
  const gauges = new Map<string, () => number>();
  const metrics: Metrics = {
    count: () => undefined,
    gauge: (name, read) => void gauges.set(name, read),
    toText: () => '',
    toNumbers: () => ({}),
    stop: () => undefined,
  };
  const host: Pick<NodeHost, 'request'> = {
    request: async () => ({ ok: false, error: { kind: 'unreachable' } }),
  };
  const book: Pick<AddressBook, 'addressesOf'> = { addressesOf: () => [] };
  const outbox = createOutbox(host as NodeHost, book as AddressBook, 'tag', metrics);
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
