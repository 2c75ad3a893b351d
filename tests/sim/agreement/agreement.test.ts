/**
 * Goal: seven elders never decide twice, always decide once, and blame no honest elder (N1–N5, N7,
 * N9–N11); each rule is needed.
 * Method: 100 random stories with up to two liars; the scripted traces TRACE-C1–C3; planted bugs.
 */
import { describe, expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, Machine } from '#core/machine.ts';
import {
  agreement,
  agreementRules,
  createAgreement,
  proposalHash,
  type Agreement,
  type AgreementConfig,
  type AgreementState,
} from '#protocol/agreement/index.ts';
import {
  agreementLog,
  decodeOnce,
  logConfig,
  toyElders,
  validateToy,
  wrap,
} from './agreement-log.ts';
import type { AgreementLog, LogConfig, LogState } from './agreement-log.ts';
import { adversarySigner, agreementLies, type AgreementLie } from './agreement-adversaries.ts';
import { judge, membershipScenario, runMembership } from '../scenarios/membership.ts';
import type { Corrupt, Faults, Scenario } from '../world.ts';

type AgreementMachine = Machine<AgreementConfig, AgreementState, Agreement>;

const seeds = process.env['SEED'] ? [Number(process.env['SEED'])] : range(1, 40);
const calm: Faults = {
  latencyMs: [10, 10],
  dropProbability: 0,
  duplicateProbability: 0,
  crashProbability: 0,
  restartAfterMs: [0, 0],
  cutProbability: 0,
  computeMs: [0, 0],
};
const elders = toyElders(7);
const [a, b] = [utf8('ok:a'), utf8('ok:b')];

describe('agreement', () => {
  test('any faults, up to two liars → one valid decision per generation for all, and no honest elder is blamed', () => {
    for (const seed of seeds) {
      const { violations, undelivered } = membershipScenario.run(seed);
      expect({ seed, violations, undelivered }).toEqual({ seed, violations: [], undelivered: 0 });
    }
  });

  test('the same seed twice → the same trace', () => {
    for (const seed of [3, 14, 15]) {
      expect(runMembership(seed).report.trace).toEqual(runMembership(seed).report.trace);
    }
  });

  test.each(agreementLies)('two elders with the lie %s → no effect on agreement', (lie) => {
    for (const seed of [1, 2]) expect(fate(seed, agreement, lie)).toBe('sound');
  });

  test('TRACE-C1: five precommits shown to only one elder → they bind all others (N1, N2)', () => {
    expect(traceC1(agreement)).toBe('sound');
  });

  test('TRACE-C2: two unresponsive elders, an honest 3/2 split → both are decided (N3)', () => {
    expect(traceC2(agreement)).toBe('sound');
  });

  test('TRACE-C3: one elder proposes that another leave → no honest elder adopts it (N7)', () => {
    expect(traceC3(agreement)).toBe('sound');
  });

  test('N3: two elders have left the round → three that hold a certificate follow them', () => {
    expect(traceHeldCertificate(agreement)).toBe('sound');
  });

  test('N10: an elder crashes at its first prevote → it re-sends the same prevote', () => {
    expect(traceLostState(agreement)).toBe('sound');
  });
});

describe('planted bugs', () => {
  const rules = agreementRules;
  const mutants: Readonly<Record<string, AgreementMachine>> = {
    'N1: four are enough': createAgreement({ ...rules, quorum: () => 4 }),
    'N1: votes again in the same round when it has seen more': createAgreement({
      ...rules,
      mayPrevote: (state) =>
        rules.mayPrevote(state) ||
        (state.round === 0 &&
          state.validHashes.length > (state.lastSent.prevote?.prevote.value.length ?? 0)),
    }),
    'N2: the round change omits the lock': createAgreement({ ...rules, lockOf: () => null }),
    'N2: the lock does not fix the value': createAgreement({
      ...rules,
      valueOf: (reports) => rules.valueOf(reports.map((report) => ({ ...report, highest: null }))),
    }),
    'N3: waits for a provable split': createAgreement({ ...rules, mayRunRoundTimer: () => false }),
    'N3: the round timer follows the rule literally': createAgreement({
      ...rules,
      mayRunRoundTimer: (state, quorum) =>
        state.prevotes.size >= quorum && rules.certificateOf(state, quorum) === undefined,
    }),
    'N3: follows one round change': createAgreement({
      ...rules,
      provenRound: (state) =>
        Math.max(0, ...[...state.roundChanges.values()].map(({ round }) => round)),
    }),
    'N4: evidence removes a vote from a certificate': createAgreement({
      ...rules,
      mayCount: (state, voter) => !state.equivocators.has(voter),
    }),
    'N5: two rounds are evidence': createAgreement({
      ...rules,
      provesEquivocation: (first, second) => first.kind === second.kind,
    }),
    'N7: adopts unchecked proposals': createAgreement({ ...rules, verdict: () => 'valid' }),
    'N9: counts proposals that it does not hold': createAgreement({
      ...rules,
      isSettled: () => true,
    }),
    'N10: persists nothing': withEffects((effects) =>
      effects.filter(({ kind }) => kind !== 'persist'),
    ),
    'N10: sends before it persists': withEffects((effects) => [
      ...effects.filter(({ kind }) => kind !== 'persist'),
      ...effects.filter(({ kind }) => kind === 'persist'),
    ]),
    'N11: sends the decision to no elder': withEffects((effects) =>
      effects.filter((effect) => effect.kind !== 'send' || effect.message.kind !== 'decision'),
    ),
  };

  test.each(Object.keys(mutants))('%s', (name) => {
    const machine = mutants[name];
    if (machine === undefined) throw new Error(name);
    expect(caught(machine)).toBe(true);
  });
});

/** In the order of cost: scripts first, then random stories with the lies. */
function caught(machine: AgreementMachine): boolean {
  const stories: (() => string)[] = [
    () => traceC2(machine),
    () => traceC3(machine),
    () => traceC1(machine),
    () => traceHeldCertificate(machine),
    () => traceLostState(machine),
    ...agreementLies.map((lie) => () => fate(1, machine, lie)),
    ...range(1, 30).map((seed) => () => fate(seed, machine)),
  ];
  return stories.some((story) => {
    try {
      return story() !== 'sound';
    } catch {
      return true; // A broken invariant inside the machine counts as caught.
    }
  });
}

function fate(seed: number, machine: AgreementMachine, lie?: AgreementLie): string {
  const { violations, undelivered } = runMembership(seed, machine, lie);
  return verdict(violations, undelivered);
}

const verdict = (violations: readonly string[], undelivered: number): string =>
  violations[0] ?? (undelivered === 0 ? 'sound' : `${undelivered} without a decision`);

/** One generation, seven elders, each with its proposals; only liars cause faults. */
function play(
  machine: AgreementMachine,
  seed: number,
  offers: readonly (readonly Uint8Array[])[],
  corrupt: ReadonlyMap<string, Corrupt<AgreementLog>>,
  faults: Faults = calm,
  healAtMs = 0,
): string {
  const configs = new Map(
    elders.map((elder, index): [string, LogConfig] => [
      elder.id,
      logConfig(elders, elder, { generations: 1, offers: () => offers[index] ?? [] }),
    ]),
  );
  const scenario: Scenario<LogConfig, LogState, AgreementLog> = {
    machine: agreementLog(machine),
    configs,
    inputs: [],
    compute: validateToy,
    faults,
    healAtMs,
    endAtMs: 60_000,
    corrupt,
  };
  const { violations, undelivered } = judge(scenario, elders, seed);
  return verdict(violations, undelivered);
}

/** A network that drops the script's messages: `from` and `to` are positions, `nowMs` the time. */
function losing(
  machine: AgreementMachine,
  isLost: (from: number, to: number, kind: string, nowMs: number) => boolean,
): AgreementMachine {
  return {
    ...machine,
    step: (config, state, event, context) => {
      const step = machine.step(config, state, event, context);
      const from = config.elders.indexOf(config.self);
      const effects = step.effects.map((effect) =>
        effect.kind !== 'send'
          ? effect
          : {
              ...effect,
              to: effect.to.filter((id) => {
                const to = elders.findIndex((elder) => elder.id === id);
                return !isLost(from, to, effect.message.kind, context.now);
              }),
            },
      );
      return { state: step.state, effects };
    },
  };
}

/**
 * h0 h1 h2 prevote {a}, h3 h4 prevote {b}; the liars prevote {a} to the first three and {b} to the
 * others, and their precommits reach h0 only, which decides {a} but cannot send it. h3 and h4 see a
 * split and change the round before they receive the certificate.
 */
function traceC1(machine: AgreementMachine): string {
  const corrupt = new Map<string, Corrupt<AgreementLog>>();
  for (const index of [5, 6]) {
    const own = adversarySigner(elders, index);
    corrupt.set(elders[index]?.id ?? '', (message, to) => {
      const honest = 'bytes' in message ? decodeOnce(message.bytes) : undefined;
      if (honest === undefined) return [];
      const near = ![3, 4].includes(elders.findIndex(({ id }) => id === to));
      if (honest.kind === 'prevote' && honest.prevote.round === 0) {
        const prevote = own.prevote(0n, 0, [proposalHash(near ? a : b)]);
        return [wrap({ ...honest, prevote, proposals: [near ? a : b] })];
      }
      if (honest.kind === 'precommit' && honest.precommit.certificate.round === 0) {
        return to === elders[0]?.id ? [message] : [];
      }
      if (honest.kind === 'roundChanges') {
        const [mine] = honest.roundChanges;
        const report = own.roundChange(0n, mine?.round ?? 1, null, mine?.proposals ?? []);
        return [wrap({ ...honest, roundChanges: [report] })];
      }
      return honest.kind === 'decision' ? [] : [message];
    });
  }
  const scripted = losing(
    machine,
    (from, to, kind, nowMs) =>
      (kind === 'decision' && from === 0 && nowMs < 5_000) ||
      (kind === 'precommit' && from <= 2 && (to === 3 || to === 4) && nowMs < 5_000),
  );
  return play(scripted, 1, [[a], [a], [a], [b], [b], [a], [a]], corrupt);
}

/** Two are unresponsive, three propose {a}, two {b}: neither gets five prevotes. */
function traceC2(machine: AgreementMachine): string {
  const sendsNothing: Corrupt<AgreementLog> = () => [];
  const corrupt = new Map([5, 6].map((index) => [elders[index]?.id ?? '', sendsNothing]));
  return play(machine, 1, [[a], [a], [a], [b], [b]], corrupt);
}

/** `leave:` has no endorsements, so it is invalid; the elders have no other proposal at first. */
function traceC3(machine: AgreementMachine): string {
  const proposal = utf8('leave:h1');
  const own = adversarySigner(elders, 6);
  const corrupt = new Map<string, Corrupt<AgreementLog>>([
    [
      elders[6]?.id ?? '',
      (message) => {
        if (message.kind !== 'prevote') return [message];
        const prevote = own.prevote(0n, 0, [proposalHash(proposal)]);
        return [wrap({ kind: 'prevote', generation: 0n, prevote, proposals: [proposal] })];
      },
    ],
  ]);
  return play(machine, 1, [[], [], [], [a], [], [], [a]], corrupt, { ...calm, latencyMs: [5, 60] });
}

/**
 * Honest 3/2; the liars prevote {a} to h0 h1 h2 and send nothing else. So the three have a
 * certificate, which h3 and h4 receive after their round timers expired.
 */
function traceHeldCertificate(machine: AgreementMachine): string {
  const corrupt = new Map<string, Corrupt<AgreementLog>>();
  for (const index of [5, 6]) {
    corrupt.set(elders[index]?.id ?? '', (message, to) =>
      message.kind === 'prevote' && elders.findIndex(({ id }) => id === to) <= 2 ? [message] : [],
    );
  }
  const scripted = losing(
    machine,
    (from, to, kind, nowMs) =>
      kind === 'precommit' && from <= 2 && (to === 3 || to === 4) && nowMs < 1_000,
  );
  return play(scripted, 1, [[a], [a], [a], [b], [b], [a], [a]], corrupt);
}

/**
 * N10: an elder that crashes at its first prevote and is given another proposal re-sends the first.
 */
function traceLostState(machine: AgreementMachine): string {
  const [self, other] = elders;
  if (self === undefined || other === undefined) return 'no elders';
  const config: AgreementConfig = {
    ...logConfig(elders, self, { generations: 1, offers: () => [] }),
    generation: 0n,
  };
  const context = { now: 0, entropy: new Uint8Array(32) };
  const runOnce = (facts: readonly Agreement['fact'][], proposal: Uint8Array) => {
    const kept = [...facts];
    const sent: string[] = [];
    const take = (
      step: ReturnType<AgreementMachine['start']>,
    ): ReturnType<AgreementMachine['start']> => {
      for (const effect of step.effects) {
        if (effect.kind === 'persist') kept.push(effect.fact);
        if (effect.kind === 'send' && effect.message.kind === 'prevote') {
          sent.push(toHex(effect.message.prevote.signature));
          return step; // The crash.
        }
      }
      return step;
    };
    let { state } = take(machine.start(config, kept, context));
    if (sent.length === 0) {
      const input = { kind: 'propose', proposal } as const;
      const asked = take(machine.step(config, state, { kind: 'input', input }, context));
      state = asked.state;
      for (const effect of asked.effects) {
        if (effect.kind !== 'compute') continue;
        const result = { kind: 'valid' } as const;
        take(machine.step(config, state, { kind: 'computed', id: effect.id, result }, context));
      }
    }
    return { kept, sent };
  };
  const first = runOnce([], a);
  const second = runOnce(first.kept, b);
  return first.sent.join() === second.sent.join() ? 'sound' : 'two different prevotes';
}

function withEffects(
  change: (effects: readonly Effect<Agreement>[]) => readonly Effect<Agreement>[],
): AgreementMachine {
  return {
    start: (config, facts, context) => {
      const { state, effects } = agreement.start(config, facts, context);
      return { state, effects: change(effects) };
    },
    step: (config, state, event, context) => {
      const step = agreement.step(config, state, event, context);
      return { state: step.state, effects: change(step.effects) };
    },
  };
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
