/**
 * Goal: seven elders never decide twice, always decide once, and blame nobody honest (N1–N5, N7,
 * N9–N11); each rule is needed.
 * Method: 100 random stories with up to two liars; the traces C1–C3 told by hand; planted bugs.
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
    expect(traceC1(agreement)).toBe('sound');
  });

  test('C2: two silent elders and an honest 3/2 split decide both (N3)', () => {
    expect(traceC2(agreement)).toBe('sound');
  });

  test('C3: one elder’s wish that another leave is adopted by nobody (N7)', () => {
    expect(traceC3(agreement)).toBe('sound');
  });

  test('N3: three that hold a certificate follow two that have left the round', () => {
    expect(traceHeldCertificate(agreement)).toBe('sound');
  });

  test('N10: an elder that stops at its first word repeats it', () => {
    expect(traceForgetful(agreement)).toBe('sound');
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
    () => traceC1(machine),
    () => traceHeldCertificate(machine),
    () => traceForgetful(machine),
    ...lies.map((lie) => () => fate(1, machine, lie)),
    ...range(1, 30).map((seed) => () => fate(seed, machine)),
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

/** A network that loses what the script says: from and to are positions, `h` the time in ms. */
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
 * h0 h1 h2 vote {a}, h3 h4 vote {b}; the liars vote {a} before the first three and {b} before the
 * others, and their strong words reach h0 only, which decides {a} and is not heard. h3 and h4 see
 * a split and go on before they hear of the certificate.
 */
function traceC1(machine: AgreementMachine): string {
  const corrupt = new Map<string, Corrupt<Log>>();
  for (const index of [5, 6]) {
    const own = liar(elders, index);
    corrupt.set(elders[index]?.id ?? '', (message, to) => {
      const said = 'bytes' in message ? decodeOnce(message.bytes) : undefined;
      if (said === undefined) return [];
      const near = ![3, 4].includes(elders.findIndex(({ id }) => id === to));
      if (said.kind === 'vote' && said.vote.round === 0) {
        const vote = own.vote(0n, 0, [proposalHash(near ? a : b)]);
        return [wrap({ ...said, vote, proposals: [near ? a : b] })];
      }
      if (said.kind === 'strong' && said.strong.certificate.round === 0) {
        return to === elders[0]?.id ? [message] : [];
      }
      if (said.kind === 'reports') {
        const [mine] = said.reports;
        const report = own.report(0n, mine?.round ?? 1, null, mine?.proposals ?? []);
        return [wrap({ ...said, reports: [report] })];
      }
      return said.kind === 'decision' ? [] : [message];
    });
  }
  const scripted = losing(
    machine,
    (from, to, kind, nowMs) =>
      (kind === 'decision' && from === 0 && nowMs < 5_000) ||
      (kind === 'strong' && from <= 2 && (to === 3 || to === 4) && nowMs < 5_000),
  );
  return play(scripted, 1, [[a], [a], [a], [b], [b], [a], [a]], corrupt);
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
 * Honest 3/2; the liars vote {a} before h0 h1 h2 and say nothing else. So the three have a
 * certificate, of which h3 and h4 hear when their tick has carried them on.
 */
function traceHeldCertificate(machine: AgreementMachine): string {
  const corrupt = new Map<string, Corrupt<Log>>();
  for (const index of [5, 6]) {
    corrupt.set(elders[index]?.id ?? '', (message, to) =>
      message.kind === 'vote' && elders.findIndex(({ id }) => id === to) <= 2 ? [message] : [],
    );
  }
  const scripted = losing(
    machine,
    (from, to, kind, nowMs) =>
      kind === 'strong' && from <= 2 && (to === 3 || to === 4) && nowMs < 1_000,
  );
  return play(scripted, 1, [[a], [a], [a], [b], [b], [a], [a]], corrupt);
}

/** N10: an elder that stops at its first word and is asked to adopt another says the first again. */
function traceForgetful(machine: AgreementMachine): string {
  const [self, other] = elders;
  if (self === undefined || other === undefined) return 'no elders';
  const config: AgreementConfig = {
    ...logConfig(elders, self, { generations: 1, offers: () => [] }),
    generation: 0n,
  };
  const context = { now: 0, entropy: new Uint8Array(32) };
  const live = (facts: readonly Agreement['fact'][], proposal: Uint8Array) => {
    const kept = [...facts];
    const said: string[] = [];
    const take = (
      step: ReturnType<AgreementMachine['start']>,
    ): ReturnType<AgreementMachine['start']> => {
      for (const effect of step.effects) {
        if (effect.kind === 'persist') kept.push(effect.fact);
        if (effect.kind === 'send' && effect.message.kind === 'vote') {
          said.push(toHex(effect.message.vote.signature));
          return step; // It stops here.
        }
      }
      return step;
    };
    let { state } = take(machine.start(config, kept, context));
    if (said.length === 0) {
      const input = { kind: 'propose', proposal } as const;
      const asked = take(machine.step(config, state, { kind: 'input', input }, context));
      state = asked.state;
      for (const effect of asked.effects) {
        if (effect.kind !== 'compute') continue;
        const result = { kind: 'valid' } as const;
        take(machine.step(config, state, { kind: 'computed', id: effect.id, result }, context));
      }
    }
    return { kept, said };
  };
  const first = live([], a);
  const second = live(first.kept, b);
  return first.said.join() === second.said.join() ? 'sound' : 'said two things';
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
