/**
 * Goal: seven elders never decide twice, always decide once, and blame nobody honest (N1–N5, N7,
 * N9–N11); each rule is needed.
 * Method: 100 random stories with up to two liars; the traces C1–C3 told by hand; planted bugs.
 */
import { describe, expect, test } from 'vitest';
import { utf8 } from '#core/codec/bytes.ts';
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
import { agreementLog, logConfig, toyElders, validateToy, wrap } from './agreement-log.ts';
import type { Log, LogConfig, LogState } from './agreement-log.ts';
import { liar, lies, type Lie } from './agreement-lies.ts';
import { judge, membershipScenario, runMembership } from './scenarios/membership.ts';
import type { Corrupt, Faults, Scenario } from './world.ts';

type AgreementMachine = Machine<AgreementConfig, AgreementState, Agreement>;

const seeds = process.env['SEED'] ? [Number(process.env['SEED'])] : range(1, 100);
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
  test('one decision per generation, valid, for everyone, and no honest elder is blamed', () => {
    for (const seed of seeds) {
      const { violations, undelivered } = membershipScenario.run(seed);
      expect({ seed, violations, undelivered }).toEqual({ seed, violations: [], undelivered: 0 });
    }
  });

  test('a seed told twice is the same story', () => {
    for (const seed of [3, 14, 15]) {
      expect(runMembership(seed).report.trace).toEqual(runMembership(seed).report.trace);
    }
  });

  test.each(lies)('two elders with the lie %s change nothing', (lie) => {
    for (const seed of [1, 2]) expect(fate(seed, agreement, lie)).toBe('sound');
  });

  test('C1: five strong votes shown to one elder alone bind all others (N1, N2)', () => {
    for (let seed = 1; seed <= 5; seed++) expect(traceC1(agreement, seed)).toBe('sound');
  });

  test('C2: two silent elders and an honest 3/2 split decide both (N3)', () => {
    expect(traceC2(agreement)).toBe('sound');
  });

  test('C3: one elder’s wish that another leave is adopted by nobody (N7)', () => {
    expect(traceC3(agreement)).toBe('sound');
  });

  test('N3: three that hold a certificate follow two that have left the round', () => {
    for (let seed = 1; seed <= 3; seed++)
      expect(traceHeldCertificate(agreement, seed)).toBe('sound');
  });
});

describe('planted bugs', () => {
  const rules = agreementRules;
  const mutants: Readonly<Record<string, AgreementMachine>> = {
    'N1: four are enough': createAgreement({ ...rules, quorum: () => 4 }),
    'N1: votes again in the same round when it has seen more': createAgreement({
      ...rules,
      mayVote: (state) =>
        rules.mayVote(state) ||
        (state.round === 0 && state.seen.length > (state.said.vote?.vote.value.length ?? 0)),
    }),
    'N2: the lock is not reported': createAgreement({ ...rules, lockOf: () => null }),
    'N2: the lock does not fix the value': createAgreement({
      ...rules,
      valueOf: (reports) => rules.valueOf(reports.map((report) => ({ ...report, highest: null }))),
    }),
    'N3: waits for a provable split': createAgreement({ ...rules, mayPace: () => false }),
    'N3: the tick as the rule is written': createAgreement({
      ...rules,
      mayPace: (state, quorum) =>
        state.votes.size >= quorum && rules.certificateOf(state, quorum) === undefined,
    }),
    'N3: follows one report': createAgreement({
      ...rules,
      provenRound: (state) => Math.max(0, ...[...state.reports.values()].map(({ round }) => round)),
    }),
    'N4: evidence takes a vote out of a certificate': createAgreement({
      ...rules,
      mayStand: (state, voter) => !state.convicted.has(voter),
    }),
    'N5: two rounds are evidence': createAgreement({
      ...rules,
      convicts: (first, second) => first.kind === second.kind,
    }),
    'N7: adopts what it has not checked': createAgreement({ ...rules, verdict: () => 'valid' }),
    'N9: counts what it does not hold': createAgreement({ ...rules, isSettled: () => true }),
    'N10: writes nothing down': withEffects((effects) =>
      effects.filter(({ kind }) => kind !== 'persist'),
    ),
    'N10: speaks first': withEffects((effects) => [
      ...effects.filter(({ kind }) => kind !== 'persist'),
      ...effects.filter(({ kind }) => kind === 'persist'),
    ]),
    'N11: says the decision to nobody': withEffects((effects) =>
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
    ...range(1, 5).map((seed) => () => traceC1(machine, seed)),
    ...range(1, 3).map((seed) => () => traceHeldCertificate(machine, seed)),
    ...range(1, 60).map((seed) => () => fate(seed, machine)),
    ...lies.map((lie) => () => fate(1, machine, lie)),
  ];
  return stories.some((story) => {
    try {
      return story() !== 'sound';
    } catch {
      return true; // A broken invariant inside the machine is caught, too.
    }
  });
}

function fate(seed: number, machine: AgreementMachine, lie?: Lie): string {
  const { violations, undelivered } = runMembership(seed, machine, lie);
  return verdict(violations, undelivered);
}

const verdict = (violations: readonly string[], undelivered: number): string =>
  violations[0] ?? (undelivered === 0 ? 'sound' : `${undelivered} without a decision`);

/** One generation, seven elders, each with its offers; nothing fails but what the liars do. */
function play(
  machine: AgreementMachine,
  seed: number,
  offers: readonly (readonly Uint8Array[])[],
  corrupt: ReadonlyMap<string, Corrupt<Log>>,
  faults: Faults = calm,
  healAtMs = 0,
): string {
  const configs = new Map(
    elders.map((elder, index): [string, LogConfig] => [
      elder.id,
      logConfig(elders, elder, { generations: 1, offers: () => offers[index] ?? [] }),
    ]),
  );
  const scenario: Scenario<LogConfig, LogState, Log> = {
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

/**
 * h0 h1 h2 and both liars vote {a}, h3 h4 vote {b}. The liars' strong votes reach h0 only, which
 * decides; h0 is cut off from the others until they have gone on.
 */
function traceC1(machine: AgreementMachine, seed: number): string {
  const victim = elders[0]?.id ?? '';
  const corrupt = new Map<string, Corrupt<Log>>();
  for (const index of [5, 6]) {
    const own = liar(elders, index);
    corrupt.set(elders[index]?.id ?? '', (message, to) => {
      if (!('bytes' in message)) return [];
      // Round 0: equal votes for all of the first three. Afterwards: {b} again and again.
      if (message.kind === 'vote') {
        const near = elders.findIndex(({ id }) => id === to) <= 2;
        const value = [proposalHash(near ? a : b)];
        const vote = own.vote(0n, 0, value);
        return [wrap({ kind: 'vote', generation: 0n, vote, proposals: [near ? a : b] })];
      }
      if (message.kind === 'strong') return to === victim ? [message] : [];
      if (message.kind === 'reports') {
        const report = own.report(0n, 1, null, [proposalHash(b)]);
        return [wrap({ kind: 'reports', generation: 0n, reports: [report] })];
      }
      return message.kind === 'ask' ? [message] : [];
    });
  }
  // What h0 says after it has decided is lost until the faults heal.
  const faults: Faults = { ...calm, dropProbability: 0.25, latencyMs: [5, 40] };
  const offers = [[a], [a], [a], [b], [b], [a], [a]];
  const base = agreementLog(machine);
  const quiet: AgreementMachine = {
    ...machine,
    step: (config, state, event, context) => {
      const step = machine.step(config, state, event, context);
      const muted = context.now < 6_000 && config.self === elders[0]?.name;
      return {
        state: step.state,
        effects: muted
          ? step.effects.filter(
              (effect) => effect.kind !== 'send' || effect.message.kind !== 'decision',
            )
          : step.effects,
      };
    },
  };
  void base;
  return play(quiet, seed, offers, corrupt, faults, 3_000);
}

/** Two are silent, three want {a}, two want {b}: four and one never become five. */
function traceC2(machine: AgreementMachine): string {
  const silent: Corrupt<Log> = () => [];
  const corrupt = new Map([5, 6].map((index) => [elders[index]?.id ?? '', silent]));
  return play(machine, 1, [[a], [a], [a], [b], [b]], corrupt);
}

/** `leave:` has no endorsements, so it is not valid; the elders have nothing else to say at first. */
function traceC3(machine: AgreementMachine): string {
  const wish = utf8('leave:h1');
  const own = liar(elders, 6);
  const corrupt = new Map<string, Corrupt<Log>>([
    [
      elders[6]?.id ?? '',
      (message) => {
        if (message.kind !== 'vote') return [message];
        const vote = own.vote(0n, 0, [proposalHash(wish)]);
        return [wrap({ kind: 'vote', generation: 0n, vote, proposals: [wish] })];
      },
    ],
  ]);
  return play(machine, 1, [[], [], [], [a], [], [], [a]], corrupt, { ...calm, latencyMs: [5, 60] });
}

/**
 * Honest 3/2; the liars' votes for {a} reach h0 alone, late: it has a certificate when h3 and h4
 * have left the round. The liars say nothing else.
 */
function traceHeldCertificate(machine: AgreementMachine, seed: number): string {
  const corrupt = new Map<string, Corrupt<Log>>();
  for (const index of [5, 6]) {
    corrupt.set(elders[index]?.id ?? '', (message, to) => {
      if (message.kind === 'vote' && to === elders[0]?.id) return [message];
      return [];
    });
  }
  const leaves: AgreementMachine = {
    ...machine,
    step: (config, state, event, context) => {
      // h3 and h4 have the shorter patience, as any two may: the waits are local.
      const patient = elders.findIndex(({ name }) => name === config.self) < 3;
      const paceMs = patient ? config.paceMs : config.paceMs / 10;
      return machine.step({ ...config, paceMs }, state, event, context);
    },
  };
  const faults = { ...calm, latencyMs: [5, 40] as const };
  return play(leaves, seed, [[a], [a], [a], [b], [b], [a], [a]], corrupt, faults);
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
