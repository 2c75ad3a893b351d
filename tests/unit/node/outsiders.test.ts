/** Goal: names cost nothing, so a node that is no member has few requests at work at once. */
import { expect, test } from 'vitest';
import { createGate, maxPerOutsider, maxPerPeer } from '#node/gate.ts';
import { createMetrics } from '#node/metrics.ts';

test.each([
  ['outside', maxPerOutsider],
  ['system', maxPerPeer],
] as const)('in the lane "%s" one peer has at most %i requests at work', async (lane, most) => {
  const gate = createGate(createMetrics());
  let finish: () => void = () => undefined;
  const work = new Promise<void>((done) => {
    finish = done;
  });
  const entered = Array.from({ length: most }, () =>
    gate.enter(lane, { peerId: 'peer', address: null }, 100, () => work),
  );
  const refused = await gate.enter(lane, { peerId: 'peer', address: null }, 100, () => work);
  expect(refused).toMatchObject({ ok: false, error: { kind: 'busy', credit: most } });
  const other = gate.enter(lane, { peerId: 'another peer', address: null }, 100, () =>
    Promise.resolve('done'),
  );
  expect(await other).toEqual({ ok: true, value: 'done' });
  finish();
  await Promise.all(entered);
});
