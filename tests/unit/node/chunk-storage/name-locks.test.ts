/** Goal: a removal never deletes a copy whose write was just acknowledged. */
import { expect, test } from 'vitest';
import { createNameLocks, limitConcurrency } from '#node/chunk-storage/name-locks.ts';
import { noDigest, type Item } from '#protocol/replication/index.ts';

const itemOf = (byte: number): Item => ({
  kind: 'chunk',
  name: new Uint8Array(32).fill(byte),
  size: 9,
  version: 0n,
  digest: noDigest,
});
const item = itemOf(1);

/** A promise resolved from outside. */
const gate = () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((done) => (open = done));
  return { open, opened };
};

test('a write waits for a removal of its own name, not of another', async () => {
  const guard = createNameLocks(() => undefined);
  const { open, opened } = gate();
  const order: string[] = [];
  guard.drop(item, async () => {
    await opened;
    order.push('dropped');
  });
  const written = guard.write(item, async () => void order.push('written'));
  await guard.write(itemOf(2), async () => void order.push('other'));
  expect(guard.isBusy(item)).toBe(true);
  open();
  await written;
  expect(order).toEqual(['other', 'dropped', 'written']);
  expect(guard.isBusy(item)).toBe(false);
});

test('a removal during a write is skipped, and the machine is informed that the copy is still there', async () => {
  const spared: Item[] = [];
  const guard = createNameLocks((each) => void spared.push(each));
  const [first, second] = [gate(), gate()];
  const writes = [guard.write(item, () => first.opened), guard.write(item, () => second.opened)];
  await Promise.resolve();
  let dropped = false;
  guard.drop(item, async () => void (dropped = true));
  first.open();
  await writes[0];
  expect(spared).toEqual([]);
  second.open();
  await writes[1];
  expect([dropped, spared]).toEqual([false, [item]]);
  guard.drop(item, async () => void (dropped = true));
  await guard.settled();
  expect(dropped).toBe(true);
});

test('after a failed write removals run again', async () => {
  const guard = createNameLocks(() => undefined);
  await expect(guard.write(item, () => Promise.reject(new Error('no disk')))).rejects.toThrow();
  expect(guard.isBusy(item)).toBe(false);
});

test('at most N calls run at a time, in the order of the requests', async () => {
  const gates = [gate(), gate(), gate()];
  const begun: number[] = [];
  const run = limitConcurrency(2, async (at: number) => {
    begun.push(at);
    await gates[at]?.opened;
  });
  const all = [0, 1, 2].map(run);
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  gates[1]?.open();
  await all[1];
  await new Promise((turn) => setImmediate(turn));
  expect(begun).toEqual([0, 1, 2]);
  for (const { open } of gates) open();
  await Promise.all(all);
});
