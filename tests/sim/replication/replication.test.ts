/**
 * Goal: no chunk is lost while three of its holders fail together, four copies are restored, and
 * repairs keep to their budget (N37, N41–N43).
 * Method: seeds of churn (10 here, `SEEDS=50` or the scenario for more), crashes, liars, full disks
 * and splits; then the same world with one bug planted at a time, which some seed must show for the
 * right reason.
 */
import { describe, expect, test, vi } from 'vitest';
import type { Effect } from '#core/machine.ts';
import {
  replication,
  type Item,
  type Replication,
  type ReplicationConfig,
} from '#protocol/replication/index.ts';
import type { AdultConfig } from './replication-net.ts';
import { runReplication } from '../scenarios/replication.ts';

vi.setConfig({ testTimeout: 120_000 });

test('any seed → nothing is lost, everything has four copies, the budget holds', () => {
  const seeds = Number(process.env['SEEDS'] ?? 10);
  let moved = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const { violations, undelivered, bytesMoved } = runReplication(seed);
    expect({ seed, violations, undelivered }).toEqual({ seed, violations: [], undelivered: 0 });
    moved += bytesMoved;
  }
  expect(moved).toBeGreaterThan(0);
});

const withEffects = (
  change: (effect: Effect<Replication>) => readonly Effect<Replication>[],
): AdultConfig['machine'] => ({
  start: replication.start,
  step: (config, state, event, context) => {
    const step = replication.step(config, state, event, context);
    return { ...step, effects: step.effects.flatMap(change) };
  },
});

const withConfig = (change: Partial<ReplicationConfig>): AdultConfig['machine'] => ({
  start: (config, facts, context) => replication.start({ ...config, ...change }, facts, context),
  step: (config, state, event, context) =>
    replication.step({ ...config, ...change }, state, event, context),
});

interface Mutant {
  readonly name: string;
  readonly planted: Partial<AdultConfig>;
  readonly found: RegExp;
}

const mutants: readonly Mutant[] = [
  {
    name: 'N43: a surplus copy is dropped when it is offered, without a receipt from the holders',
    planted: {
      machine: withEffects((effect) =>
        effect.kind === 'send' && effect.message.kind === 'confirm'
          ? effect.message.challenges.map(({ item }) => ({
              kind: 'output',
              output: { kind: 'drop', item },
            }))
          : [effect],
      ),
    },
    found: /last copy|lost/,
  },
  {
    name: 'N43: surplus copies are never dropped',
    planted: {
      machine: withEffects((effect) =>
        effect.kind === 'output' && effect.output.kind === 'drop' ? [] : [effect],
      ),
    },
    found: /undelivered/,
  },
  {
    name: 'N43: repairs have no budget',
    planted: {
      machine: withConfig({ budgetBytesPerTick: 1e9, budgetBurstBytes: 1e9 }),
    },
    found: /bytes moved/,
  },
  {
    name: 'N42: any bytes that a holder sends are stored',
    planted: { openItem: (_network, wanted) => ({ ...(wanted as Item), size: 40 }) },
    found: /do not fit their name/,
  },
  {
    name: 'N42: other members never count as holders: no copy is passed on',
    planted: { mayHandOver: () => false },
    found: /undelivered|lost/,
  },
  {
    name: 'REPLICATION-R10: a holder keeps the first body of a version that it was given',
    planted: { isAtLeast: (a, b) => a.version >= b.version },
    found: /undelivered/,
  },
  {
    name: 'REPLICATION-R5: an older record of a holder without a receipt counts as false',
    planted: {
      machine: {
        start: replication.start,
        step: (config, state, event, context) => {
          if (event.kind !== 'input' || event.input.kind !== 'fetched') {
            return replication.step(config, state, event, context);
          }
          const { outcome } = event.input;
          const changed =
            outcome.kind === 'older' ? { ...outcome, kind: 'wrong' as const } : outcome;
          const input = { ...event.input, outcome: changed };
          return replication.step(config, state, { ...event, input }, context);
        },
      },
    },
    found: /an honest node was blamed/,
  },
  {
    name: 'REPLICATION-R3: listings are discarded',
    planted: {
      machine: {
        start: replication.start,
        step: (config, state, event, context) => {
          // Offers and elders remain, but a new member does not learn from them which items it lacks.
          if (event.kind !== 'received' || event.message.kind !== 'listing') {
            return replication.step(config, state, event, context);
          }
          const message = { ...event.message, items: [], next: null };
          return replication.step(config, state, { ...event, message }, context);
        },
      },
    },
    found: /undelivered|lost/,
  },
];

function storyOf(seed: number, planted: Partial<AdultConfig>): string {
  try {
    return runReplication(seed, planted).undelivered > 0 ? 'undelivered' : '';
  } catch (error) {
    return String(error);
  }
}

describe('planted bugs', () => {
  test.each(mutants)('$name', ({ planted, found }) => {
    for (let seed = 1; seed <= 12; seed++) {
      if (found.test(storyOf(seed, planted))) return;
    }
    expect.fail('no seed noticed it');
  });
});
