/**
 * Seven elders decide several generations with competing proposals, some of them late or not yet
 * verifiable, while messages, links, disks and up to two elders fail.
 */
import { utf8 } from '#core/codec/bytes.ts';
import { agreement, verifyDecision, type Agreement } from '#protocol/agreement/index.ts';
import {
  agreementLog,
  logConfig,
  proposalsText,
  logScope,
  toyElders,
  validateToy,
  type AgreementLog,
  type LogConfig,
  type LogElder,
  type LogState,
} from '../agreement/agreement-log.ts';
import {
  corruptElder,
  agreementLies,
  type AgreementLie,
} from '../agreement/agreement-adversaries.ts';
import { createPrng } from '../prng.ts';
import { run, type Corrupt, type Report, type Scenario } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const generations = 3;
const healAtMs = 5_000;
const endAtMs = 120_000;
const maxRound = 100;

export interface MembershipRun {
  readonly report: Report<LogState>;
  readonly violations: readonly string[];
  readonly undelivered: number;
}

/**
 * @param only the lie of two elders in every run.
 * @param elders seven, with any signature scheme.
 */
export function runMembership(
  seed: number,
  machine: Parameters<typeof agreementLog>[0] = agreement,
  only?: AgreementLie,
  elders: readonly LogElder[] = toyElders(7),
): MembershipRun {
  const prng = createPrng(seed ^ 0x5eed);
  const liars = only === undefined ? prng.below(3) : 2;
  const corrupt = new Map<string, Corrupt<AgreementLog>>();
  while (corrupt.size < liars) {
    const index = prng.below(elders.length);
    const activeLies = new Set<AgreementLie>([
      only ?? prng.pick(agreementLies),
      only ?? prng.pick(agreementLies),
    ]);
    corrupt.set(elders[index]?.id ?? '', corruptElder(elders, index, activeLies));
  }
  const configs = new Map<string, LogConfig>();
  for (const [index, elder] of elders.entries()) {
    const plan = createPrng(seed * 7 + index);
    // Of three proposers at least one is honest and has its disk.
    const offered = Array.from({ length: generations }, (_, generation) =>
      plan.chance(0.2) || (index >= generation && index < generation + 3)
        ? [utf8(`ok:${generation} by ${index}`)]
        : [],
    );
    const offers = (generation: number): readonly Uint8Array[] => offered[generation] ?? [];
    configs.set(elder.id, logConfig(elders, elder, { generations, offers }));
  }
  const scenario: Scenario<LogConfig, LogState, AgreementLog> = {
    machine: agreementLog(machine),
    configs,
    inputs: inputsOf(elders, prng),
    compute: validateToy,
    faults: {
      latencyMs: [5, 60],
      dropProbability: 0.1,
      duplicateProbability: 0.05,
      crashProbability: 0.002,
      restartAfterMs: [50, 1_500],
      cutProbability: 0.005,
      computeMs: [0, 40],
      straggle: { probability: 0.03, upToMs: 800 },
      partition: { probability: 0.003, forMs: [200, 2_000] },
      lostTail: { probability: 0.5, facts: [1, 4], maxNodes: 2 - liars },
    },
    healAtMs,
    endAtMs,
    corrupt,
    whenRolledBack: (config) => ({ ...config, abstain: true }),
  };
  return judge(scenario, elders, seed);
}

/** Late proposals, and snapshots that one elder proposes before the others hold them. */
function inputsOf(
  elders: readonly LogElder[],
  prng: ReturnType<typeof createPrng>,
): Scenario<LogConfig, LogState, AgreementLog>['inputs'] {
  const late = elders.flatMap(({ id }, index) =>
    prng.chance(0.3)
      ? [
          {
            atMs: prng.below(2_000),
            to: id,
            input: { kind: 'propose', proposal: utf8(`ok:late by ${index}`) } as const,
          },
        ]
      : [],
  );
  const what = 'snap:a';
  const offerer = prng.pick(elders).id;
  const holds = elders.map(({ id }) => ({
    atMs: 500 + prng.below(6_000),
    to: id,
    input: { kind: 'hold', what } as const,
  }));
  const snapshot = [
    { atMs: 400, to: offerer, input: { kind: 'hold', what } as const },
    { atMs: 401, to: offerer, input: { kind: 'propose', proposal: utf8(what) } as const },
    // Inputs to a stopped node are lost; this one comes after the healing.
    ...elders.map(({ id }) => ({
      atMs: healAtMs + 3_000,
      to: id,
      input: { kind: 'hold', what } as const,
    })),
  ];
  return [...late, ...holds, ...snapshot];
}

/** Agreement, validity, no honest elder blamed, and every elder decides after the healing. */
export function judge(
  scenario: Scenario<LogConfig, LogState, AgreementLog>,
  elders: readonly LogElder[],
  seed: number,
): MembershipRun {
  const violations: string[] = [];
  const decisions = new Map<number, string>();
  const blamed = (fault: Agreement['fault']): boolean =>
    elders.some(({ id }) => id === fault.culprit) && scenario.corrupt?.has(fault.culprit) !== true;
  const report = run(scenario, seed, ({ node, outputs, faults }) => {
    if (!node.honest) return;
    for (const fault of faults) {
      if (blamed(fault)) {
        violations.push(`no honest elder is blamed: ${fault.kind} ${fault.culprit.slice(0, 8)}`);
      }
    }
    for (const { generation, decision } of outputs) {
      const text = proposalsText(decision.proposals);
      const before = decisions.get(generation);
      if (before !== undefined && before !== text) {
        violations.push(`agreement: generation ${generation}: [${before}] and [${text}]`);
      }
      decisions.set(generation, text);
      if (!verifyDecision(logScope(elders, generation), decision)) {
        violations.push(`a decision of generation ${generation} does not verify`);
      }
      // Each honest round costs a timeout; no run is long enough for this many.
      if (decision.certificate.round > maxRound) violations.push('a liar drives the round');
      const decided = node.state.decided.slice(0, generation);
      const valid = decision.proposals.every((proposal) => {
        const holds = new Set([new TextDecoder().decode(proposal)]);
        return validateToy({ proposal, decided, holds }).kind === 'valid';
      });
      if (!valid) violations.push(`validity: generation ${generation}: [${text}]`);
    }
  });
  const undelivered = report.nodes.filter(
    ({ id, honest, state }) =>
      honest && state.decided.length < (scenario.configs.get(id)?.generations ?? 0),
  ).length;
  return { report, violations, undelivered };
}

export const membershipScenario: SimScenario = {
  name: 'membership',
  run: (seed) => {
    const { report, violations, undelivered } = runMembership(seed);
    return { events: report.events, violations, undelivered };
  },
};
