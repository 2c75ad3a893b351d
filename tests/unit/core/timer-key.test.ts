/** Goal: a machine that sets or clears a timer again means the same one, however it writes it. Method: by example. */
import { expect, test } from 'vitest';
import { timerKey } from '#core/machine.ts';

test('timers of equal fields have one key, in any order; others have different ones', () => {
  const first = { kind: 'dkg', instance: 'a' };
  expect(timerKey({ instance: 'a', kind: 'dkg' })).toBe(timerKey(first));
  const others = ['dkg', { kind: 'dkg' }, { kind: 'dkg', instance: 'b' }, { owner: first }];
  expect(new Set([first, ...others].map(timerKey)).size).toBe(1 + others.length);
});
