import { expect, test } from 'vitest';
import { castOf, missing, play } from './dkg-world.ts';
test('go', () => {
  const cast = castOf();
  const started = performance.now();
  let events = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const out = play(seed, { cast, ...(seed % 3 === 0 ? { sleeper: cast.ids[seed % 7] } : {}) } as never);
    events += out.report.events;
    const m = missing(cast, out);
    if (m.length > 0) console.log(seed, m, out.ready.size, out.report.nodes.map((n) => n.state.kind));
  }
  console.log(performance.now() - started, events);
  expect(1).toBe(1);
});
