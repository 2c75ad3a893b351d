/** Goal: names are free, so a node that is not a member has few concurrent requests. */
import { expect, test } from 'vitest';
import {
  createAdmissionControl,
  maxPerOutsider,
  maxPerPeer,
} from '#node/requests/admission-control.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';

test.each([
  ['outside', maxPerOutsider],
  ['system', maxPerPeer],
] as const)('in the lane "%s" one peer has at most %i requests at work', async (lane, most) => {
  const gate = createAdmissionControl(createMetrics());
  let finish: () => void = () => undefined;
  const work = new Promise<void>((done) => {
    finish = done;
  });
  const entered = Array.from({ length: most }, () =>
    gate.run(lane, { peerId: 'peer', address: null }, 100, () => work),
  );
  const refused = await gate.run(lane, { peerId: 'peer', address: null }, 100, () => work);
  expect(refused).toMatchObject({ ok: false, error: { kind: 'busy', credit: most } });
  const other = gate.run(lane, { peerId: 'another peer', address: null }, 100, () =>
    Promise.resolve('done'),
  );
  expect(await other).toEqual({ ok: true, value: 'done' });
  finish();
  await Promise.all(entered);
});
