/**
 * Bugs planted into the source: checks that 0.1 lacked, as far as well-formed lies show their
 * absence. Each is a line of the product and its replacement, so a moved check must be planted
 * anew. docs/simulation.md lists the checks whose absence no lie has shown yet.
 */
import type { LiesPlan } from '../scenarios/lies.ts';

export interface Change {
  readonly file: string;
  /** Text that the file contains exactly once. */
  readonly line: string;
  readonly instead: string;
}

export interface PlantedLie {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly plan: Omit<LiesPlan, 'machine' | 'compute'>;
  readonly seeds: readonly number[];
  readonly found: RegExp;
  /** Planted only by `npm run test:long`. */
  readonly isLong?: boolean;
}

const role = (file: string): string => `src/roles/section-node/${file}.ts`;
const protocol = (file: string): string => `src/protocol/${file}.ts`;

export const plantedLies: readonly PlantedLie[] = [
  // Two checks, each of which suffices: removing only one has no effect.
  {
    name: 'a readiness proof is kept with six vouchers, and unverified',
    changes: [
      {
        file: protocol('dkg/codec'),
        line: 'SHARES_REQUIRED, SHARES_REQUIRED)',
        instead: 'ELDER_COUNT, SHARES_REQUIRED)',
      },
      {
        file: role('dkg/readiness-proofs'),
        line: "stage: 'waiting' }",
        instead: "stage: 'good' }",
      },
    ],
    plan: { about: ['ready'] },
    seeds: [3, 1, 2, 4],
    found: /five vouch for a key/,
  },
  {
    name: 'readiness proofs of outsiders are checked',
    changes: [
      {
        file: role('dkg/readiness-proofs'),
        line: 'if (isCandidate !== true) return nodeStep(state);',
        instead: 'if (isCandidate === undefined) return nodeStep(state);',
      },
    ],
    plan: { about: ['ready'], turn: 'handover', slow: true },
    seeds: [1, 2, 3, 4, 5, 6],
    found: /an outsider makes others do work/,
  },
  {
    name: 'a statement names the highest possible round',
    changes: [{ file: protocol('agreement/codec'), line: '= 2 ** 31;', instead: '= 2 ** 32 - 1;' }],
    plan: { about: ['agreement', 'roundChanges', 'precommit'] },
    seeds: [2, 1, 3, 4, 5, 6],
    // The throwing step must not be the adversary's own.
    found: /a step threw: (?!.*adversary).*fits 4 bytes/,
    isLong: true,
  },
  {
    name: 'an outsider has as many states checked as it sends',
    changes: [
      {
        file: role('catch-up/verification-slots'),
        line: 'return ofSender === 0 && ofKind.length < maxVerifying;',
        instead: 'return ofKind.length >= 0;',
      },
    ],
    plan: { about: ['update', 'chainSegment'] },
    seeds: [1, 2, 3, 4],
    found: /work without end for one outsider/,
    isLong: true,
  },
  {
    name: 'a statement counts unverified',
    changes: [
      {
        file: protocol('agreement/statement-faults'),
        line: "if (!verifyStatement(config, statement)) return 'invalidSignature';",
        instead: '',
      },
    ],
    plan: { about: ['agreement'] },
    seeds: [2, 1, 3, 4],
    found: /honest node blamed: agreement/,
  },
  {
    name: 'two statements convict any elder that they name',
    changes: [
      {
        file: protocol('agreement/receive-statement'),
        line: 'if (verifyStatement(config, statement)) reportEquivocation(step, before, statement);',
        instead: 'reportEquivocation(step, before, statement);',
      },
    ],
    plan: { about: ['agreement', 'prevote', 'precommit'] },
    seeds: [2, 1, 3, 4],
    found: /honest node blamed: agreement equivocation/,
    isLong: true,
  },
  {
    name: 'a list of dealings counts unverified',
    changes: [
      {
        file: protocol('dkg/receive'),
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
        file: protocol('handover/snapshot-roots'),
        line: 'if (elder === undefined || !isSigned(config, root)) {',
        instead: 'void isSigned; if (elder === undefined) {',
      },
    ],
    plan: { about: ['handover', 'progress'], turn: 'handover' },
    seeds: [1, 2, 3, 4],
    found: /honest node blamed: handover rootEquivocation/,
    isLong: true,
  },
  {
    name: 'an answer counts in its own round only',
    changes: [
      {
        file: role('machine'),
        line: 'onPayload(config, recordActivity(before, from), from,',
        instead:
          "onPayload(config, payload.kind === 'pong' && payload.round === before.pingRound ? recordActivity(before, from) : before, from,",
      },
    ],
    plan: { turn: 'steady', healAtMs: 40_000 },
    seeds: [1, 2, 3],
    found: /an honest member has left/,
  },
  {
    name: 'a member that gives false data is removed instead of demoted',
    changes: [
      {
        file: role('observations/suspicion'),
        line: "suspicion !== undefined && suspicion.reachedSilenceLimit === (body.kind === 'leave')",
        instead: 'suspicion !== undefined',
      },
    ],
    plan: { about: ['endorse', 'leave'], turn: 'steady', isOneFalse: true, healAtMs: 20_000 },
    seeds: [19],
    found: /an honest member has left/,
  },
];
