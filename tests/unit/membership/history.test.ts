/**
 * Goal: no decision breaks the invariants of a section (N7, N8, N22, N24–N26, N29, N36–N39).
 * Method: long random histories, with invalid proposals beside honest ones; then the same histories
 * with one rule broken, which must be detected.
 */
import { describe, expect, test } from 'vitest';
import { trailingZeroBits } from '#protocol/node-age/index.ts';
import { sectionRules, type SectionRules } from '#protocol/membership/index.ts';
import { Broken, runHistory, type Tally } from './history.ts';

describe('long histories', () => {
  test('every generation of three sections satisfies the rules', () => {
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

/** `SectionRules` whose functions may have a narrower result. */
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
    name: 'N8: acts that no longer fit are applied',
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
    name: 'N22: membership acts are decided while closing',
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
    rules: { mayRelocateNow: ({ ledger }) => ledger.phase.kind === 'open' },
    found: /N24/,
  },
  {
    name: 'N24: any names may be the next elders',
    rules: { verifyReady: () => true },
    found: /N24/,
  },
  {
    name: 'N20: a key succeeds itself',
    rules: { areKeysNew: () => true, verifyReady: () => true },
    found: /N20|N24/,
  },
  {
    name: 'N25: a key generation without a reason',
    rules: {
      keygenPlansNeeded: (state) =>
        sectionRules.keygenPlansNeeded({
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
    name: 'N29: the last seven may leave',
    rules: { mayRemove: () => true },
    found: /N29/,
  },
  {
    name: 'N36: the youngest relocate first',
    rules: {
      selectRelocations: ({ candidates, churnId }) =>
        [...candidates]
          .filter((name) => (name[31] ?? 0) <= trailingZeroBits(churnId))
          .sort((a, b) => (a[31] ?? 0) - (b[31] ?? 0))
          .slice(0, 3),
    },
    found: /N36|MEMBERSHIP-B10/,
  },
  {
    name: 'N36: any candidate is selected to relocate',
    rules: { selectRelocations: ({ candidates }) => candidates.slice(0, 1) },
    found: /N36/,
  },
  {
    name: 'N37: placement is the name, which can be ground',
    rules: { placementOf: (name) => name },
    found: /N37/,
  },
  {
    name: 'N38: used certificates are not listed',
    rules: { withUsedCertificate: ({ usedCertificates }) => usedCertificates },
    found: /N38/,
  },
  {
    name: 'N38: certificates are not checked for reuse',
    rules: { isCertificateUnused: () => true },
    found: /N38/,
  },
  {
    name: 'N38: a certificate for another section is accepted',
    rules: { isDestination: () => true },
    found: /N38/,
  },
  {
    name: 'N39: joining needs no vacancy',
    rules: { hasVacancy: () => true },
    found: /N39/,
  },
  {
    name: 'N39: vacancies go by name',
    rules: { canonicalOrder: (acts) => sectionRules.canonicalOrder(acts, new Uint8Array(32)) },
    found: /N39|N26/,
  },
  {
    name: 'N39: new members always trigger the lottery',
    rules: { holdsLottery: (_, turnover) => turnover.length > 0 },
    found: /N39/,
  },
  {
    name: 'MEMBERSHIP-B5: a joiner chooses its age',
    rules: { isAgeRight: () => true },
    found: /MEMBERSHIP-B5/,
  },
];

describe('planted bugs', () => {
  test.each(mutants)('$name: detected', ({ rules, found }) => {
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
