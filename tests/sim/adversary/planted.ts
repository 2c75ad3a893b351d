/**
 * Bugs planted into the source, one for each class of check that 0.1 lacked. Each is a line of the
 * product and what stands there instead, so a check that moves has to be planted anew.
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
  /** Found in a few seconds: part of every test run. */
  readonly isQuick?: boolean;
}

const role = (file: string): string => `src/roles/section-node/${file}.ts`;

export const plantedLies: readonly PlantedLie[] = [
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
    isQuick: true,
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
    isQuick: true,
  },
  {
    name: 'a statement names the last round there is, and strangers may cite it',
    changes: [
      { file: 'src/protocol/agreement/codec.ts', line: '= 2 ** 31;', instead: '= 2 ** 32 - 1;' },
      { file: role('machine'), line: 'isOurs && elder > 0;', instead: 'isOurs;' },
    ],
    plan: { about: ['agreement', 'reports', 'strong'] },
    seeds: [1, 2, 3, 4, 5, 6],
    found: /a step threw/,
    isQuick: true,
  },
];
