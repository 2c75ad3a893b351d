/**
 * Goal: the well-formed lies of `lies` find what 0.1 did not check: with that check taken out of the
 * source, some seed shows it. Method: adversary/changed-source.ts, for the quick ones of the list; all of
 * it in tests/long/lies-planted.test.ts. Without the change the same seeds are quiet: lies.test.ts.
 */
import { expect, test, vi } from 'vitest';
import { hunt } from './adversary/changed-source.ts';
import { plantedLies } from './adversary/planted.ts';

vi.setConfig({ testTimeout: 240_000 });

test.for(plantedLies.filter(({ isQuick }) => isQuick === true))(
  'planted: $name',
  async ({ ...bug }) => {
    const { found, others } = await hunt(bug);
    expect(found, others.join('\n')).not.toBeNull();
  },
);
