/**
 * Goal: whatever is decided, a section stays a section (N7, N8, N22, N24–N26, N29, N36–N39).
 * Method: long random histories, mallory proposing beside honest elders; then the same histories
 * with one rule broken, which must be noticed.
 */
import { describe, expect, test } from 'vitest';
import { trailingZeroBits } from '#protocol/node-age/index.ts';
import { sectionRules, type SectionRules } from '#protocol/membership/index.ts';
import { Broken, runHistory, type Tally } from './history.ts';

describe('long histories', () => {
  test('every generation of three sections keeps the rules', () => {
    const tallies = [5, 8, 11].map((seed) => runHistory(seed, 200));
    const sum = (of: keyof Tally): number => tallies.reduce((all, each) => all + each[of], 0);
    expect(sum('joined')).toBeGreaterThan(150);
    expect(sum('left')).toBeGreaterThan(50);
    expect(sum('demoted')).toBeGreaterThan(10);
    expect(sum('movedIn')).toBeGreaterThan(20);
    expect(sum('handovers')).toBeGreaterThan(20);
    expect(sum('splits')).toBeGreaterThan(0);
    expect(sum('refused')).toBeGreaterThan(2000);
    expect(sum('dropped')).toBeGreaterThan(30);
  });
});

/** `SectionRules` with functions of any narrower result. */
type Mutation = { readonly [Name in keyof SectionRules]?: SectionRules[Name] };

const mutants: readonly {
  readonly name: string;
  readonly rules: Mutation;
  readonly found: RegExp;
}[] = [
  {
    name: 'N7: two endorsements remove a member',
    rules: { endorsementsNeeded: () => 2 },
    found: /N7/,
  },
  {
    name: 'N8: what no longer fits is applied all the same',
    rules: { isDropped: () => false },
    found: /N\d+|B\d/,
  },
  {
    name: 'N8: leaves are applied last',
    rules: {
      canonicalOrder: (acts, churnId) => [...sectionRules.canonicalOrder(acts, churnId)].reverse(),
    },
    found: /N\d+/,
  },
  {
    name: 'N22: membership goes on while closing',
    rules: { isDecidable: () => true },
    found: /N22/,
  },
  {
    name: 'N24: a session outlives its candidate',
    rules: { isEligible: () => true },
    found: /N24/,
  },
  {
    name: 'N24: nodes move during a key generation',
    rules: { mayMoveNow: ({ ledger }) => ledger.phase.kind === 'open' },
    found: /N24/,
  },
  {
    name: 'N24: any elders may take over',
    rules: { verifyReady: () => true },
    found: /N24/,
  },
  {
    name: 'N20: a key succeeds itself',
    rules: { areKeysNew: () => true, verifyReady: () => true },
    found: /N20|N24/,
  },
  {
    name: 'N25: a key generation for no reason',
    rules: {
      plansWanted: (state) =>
        sectionRules.plansWanted({
          ...state,
          ledger: { ...state.ledger, activated: state.ledger.activated - 8n },
        }),
    },
    found: /N25/,
  },
  {
    name: 'N26: one half of a split is ready',
    rules: { isComplete: () => true },
    found: /N26/,
  },
  {
    name: 'N26: the first handover in the list wins',
    rules: {
      canonicalOrder: (acts, churnId) =>
        [...sectionRules.canonicalOrder(acts, churnId)].sort((a, b) =>
          a.body.kind === 'handover' && b.body.kind === 'handover'
            ? a.body.ready.length - b.body.ready.length
            : 0,
        ),
    },
    found: /N26/,
  },
  {
    name: 'N29: the last ones may leave',
    rules: { mayLose: () => true },
    found: /N29/,
  },
  {
    name: 'N36: beginners move first',
    rules: {
      drawMovers: ({ candidates, churnId }) =>
        [...candidates]
          .filter((name) => (name[31] ?? 0) <= trailingZeroBits(churnId))
          .sort((a, b) => (a[31] ?? 0) - (b[31] ?? 0))
          .slice(0, 3),
    },
    found: /N36|B10/,
  },
  {
    name: 'N36: everybody draws a lot',
    rules: { drawMovers: ({ candidates }) => candidates.slice(0, 1) },
    found: /N36/,
  },
  {
    name: 'N37: data is placed by the ground name',
    rules: { placementOf: (name) => name },
    found: /N37/,
  },
  {
    name: 'N38: a used ticket is forgotten',
    rules: { consume: ({ consumed }) => consumed },
    found: /N38/,
  },
  {
    name: 'N38: nobody looks whether a ticket was used',
    rules: { isTicketUnused: () => true },
    found: /N38/,
  },
  {
    name: 'N38: a ticket for another section is taken',
    rules: { isDestination: () => true },
    found: /N38/,
  },
  {
    name: 'N39: joining needs no place',
    rules: { hasPlace: () => true },
    found: /N39/,
  },
  {
    name: 'N39: places go by name',
    rules: { canonicalOrder: (acts) => sectionRules.canonicalOrder(acts, new Uint8Array(32)) },
    found: /N39|N26/,
  },
  {
    name: 'N39: beginners draw lots for ever',
    rules: { drawsLots: (_, turnover) => turnover.length > 0 },
    found: /N39/,
  },
  {
    name: 'B5: a joiner chooses its age',
    rules: { isAgeRight: () => true },
    found: /B5/,
  },
];

describe('planted bugs', () => {
  test.each(mutants)('$name: noticed', ({ rules, found }) => {
    const broken = { ...sectionRules, ...rules };
    const fails = [11, 8, 5, 4, 9, 3, 7].some((seed) => {
      try {
        runHistory(seed, 250, broken);
        return false;
      } catch (problem) {
        if (!(problem instanceof Broken)) throw problem;
        expect(problem.message).toMatch(found);
        return true;
      }
    });
    expect(fails).toBe(true);
  });
});
