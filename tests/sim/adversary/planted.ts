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
  /** Planted by `npm run test:long` alone. */
  readonly isLong?: boolean;
}

const role = (file: string): string => `src/roles/section-node/${file}.ts`;
const protocol = (file: string): string => `src/protocol/${file}.ts`;

export const plantedLies: readonly PlantedLie[] = [
  // Two checks, each of which suffices: with one of them gone, no lie does any harm.
  {
    name: 'a readiness proof is kept with six vouchers, and unverified',
    changes: [
      {
        file: protocol('dkg/codec'),
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
    changes: [{ file: protocol('agreement/codec'), line: '= 2 ** 31;', instead: '= 2 ** 32 - 1;' }],
    plan: { about: ['agreement', 'reports', 'strong'] },
    seeds: [2, 1, 3, 4, 5, 6],
    // Not a step of the adversary's own.
    found: /a step threw: (?!.*adversary).*fits 4 bytes/,
    isLong: true,
  },
  {
    name: 'a stranger has as many states checked as it sends',
    changes: [
      {
        file: role('verifying'),
        line: 'return ofSender === 0 && ofKind.length < maxVerifying;',
        instead: 'return ofKind.length >= 0;',
      },
    ],
    plan: { about: ['update', 'way'] },
    seeds: [1, 2, 3, 4],
    found: /work without end for one stranger/,
    isLong: true,
  },
  {
    name: 'a statement counts unverified',
    changes: [
      {
        file: protocol('agreement/admit'),
        line: "if (!verifyStatement(config, statement)) return 'invalidSignature';",
        instead: '',
      },
    ],
    plan: { about: ['agreement'] },
    seeds: [2, 1, 3, 4],
    found: /honest node blamed: agreement/,
  },
  {
    name: 'two statements convict whoever they name',
    changes: [
      {
        file: protocol('agreement/admit'),
        line: 'if (verifyStatement(config, statement)) convict(turn, before, statement);',
        instead: 'convict(turn, before, statement);',
      },
    ],
    plan: { about: ['agreement', 'vote', 'strong'] },
    seeds: [2, 1, 3, 4],
    found: /honest node blamed: agreement equivocation/,
    isLong: true,
  },
  {
    name: 'a list of dealings counts unverified',
    changes: [
      {
        file: protocol('dkg/take'),
        line: "if (!signedBy(config, list.candidate, bytes, list.signature)) return forged(state, from, 'list');",
        instead: '',
      },
    ],
    plan: { about: ['dkg', 'parts'], turn: 'handover', slow: true },
    seeds: [2, 1, 3, 4],
    found: /honest node blamed: dkg/,
    isLong: true,
  },
  {
    name: 'the root of a money list counts unverified',
    changes: [
      {
        file: protocol('handover/machine'),
        line: 'if (elder === undefined || !isSigned(config, root)) {',
        instead: 'void isSigned; if (elder === undefined) {',
      },
    ],
    plan: { about: ['handover', 'news'], turn: 'handover' },
    seeds: [1, 2, 3, 4],
    found: /honest node blamed: handover twoRoots/,
    isLong: true,
  },
  {
    name: 'an answer counts in its own round only',
    changes: [
      {
        file: role('machine'),
        line: 'heed(config, heardFrom(before, from), from,',
        instead:
          "heed(config, payload.kind === 'pong' && payload.round === before.round ? heardFrom(before, from) : before, from,",
      },
    ],
    plan: { turn: 'life', healAtMs: 40_000 },
    seeds: [1, 2, 3],
    found: /an honest member has left/,
  },
  {
    name: 'a member that gives false data is removed instead of demoted',
    changes: [
      {
        file: role('suspicion'),
        line: "suspicion !== undefined && suspicion.hardSilence === (body.kind === 'leave')",
        instead: 'suspicion !== undefined',
      },
    ],
    plan: { about: ['endorse', 'leave'], turn: 'life', isOneFalse: true, healAtMs: 20_000 },
    seeds: [5, 1, 2, 3, 4],
    found: /an honest member has left/,
  },
];
