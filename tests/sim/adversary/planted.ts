/**
 * Bugs planted into the source: checks that 0.1 lacked, as far as well-formed lies show their absence.
 * Each is a line of the product and what stands there instead, so a check that moves has to be planted
 * anew. docs/simulation.md lists the checks whose absence no lie has shown yet.
 */
import type { LiesPlan } from '../scenarios/lies.ts';

export interface Change {
  readonly file: string;
  /** Text that the file holds exactly once. */
  readonly line: string;
  readonly instead: string;
}

export interface PlantedLie {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly plan: Omit<LiesPlan, 'machine' | 'compute'>;
  readonly seeds: readonly number[];
  readonly found: RegExp;
}

const role = (file: string): string => `src/roles/section-node/${file}.ts`;

export const plantedLies: readonly PlantedLie[] = [
  // Two checks, each of which suffices: with one of them gone, no lie does any harm.
  {
    name: 'a readiness proof is kept with six vouchers, and unverified',
    changes: [
      {
        file: 'src/protocol/dkg/codec.ts',
        line: 'SHARES_REQUIRED, SHARES_REQUIRED)',
        instead: 'ELDER_COUNT, SHARES_REQUIRED)',
      },
      { file: role('readiness'), line: "stage: 'waiting' }", instead: "stage: 'good' }" },
    ],
    plan: { about: ['ready'] },
    seeds: [3, 1, 2, 4],
    found: /five vouch for a key/,
  },
  {
    name: 'readiness proofs of strangers are checked',
    changes: [
      {
        file: role('readiness'),
        line: 'if (isCandidate !== true) return flow(state);',
        instead: 'if (isCandidate === undefined) return flow(state);',
      },
    ],
    plan: { about: ['ready'], turn: 'handover', slow: true },
    seeds: [1, 2, 3, 4, 5, 6],
    found: /a stranger makes others do work/,
  },
  {
    name: 'a statement names the last round there is',
    changes: [
      { file: 'src/protocol/agreement/codec.ts', line: '= 2 ** 31;', instead: '= 2 ** 32 - 1;' },
    ],
    plan: { about: ['agreement', 'reports', 'strong'] },
    seeds: [2, 1, 3, 4, 5, 6],
    // Not a step of the adversary's own.
    found: /a step threw: (?!.*adversary).*fits 4 bytes/,
  },
];
