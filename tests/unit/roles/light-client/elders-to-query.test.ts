/** Goal: a light client asks all elders, the closest first. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareDistance, toXorName } from '#address/xor-name.ts';
import { eldersFor } from '#roles/light-client/elders-to-query.ts';

const name = (n: number) => toXorName(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n : 5)));

test('all elders are asked, closest first, and the given list is not changed', () => {
  const elders = [1, 2, 3, 4, 5, 6, 7].map((n) => ({ name: name(n) }));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (target) => {
      const before = [...elders];
      const asked = eldersFor(elders, target);
      expect(elders).toEqual(before);
      expect(new Set(asked)).toEqual(new Set(elders));
      for (const [i, elder] of asked.entries()) {
        const next = asked[i + 1];
        if (next !== undefined) {
          expect(compareDistance(target, elder.name, next.name)).toBeLessThan(0);
        }
      }
    }),
  );
});
