/**
 * Many instances of one machine, distinguished by a key, as one machine of the simulator: one slot,
 * one output, one transfer each. In the product the shell keeps instances in a store and loads one
 * at its first event (`src/runtime/instances.ts`).
 */
import type { Effect, Event, Machine, Protocol, Step } from '#core/machine.ts';

export interface Keyed<P extends Protocol> extends Protocol {
  readonly input: { readonly key: string; readonly input: P['input'] };
  readonly message: { readonly key: string; readonly message: P['message'] };
  readonly fact: { readonly key: string; readonly fact: P['fact'] };
  readonly output: { readonly key: string; readonly output: P['output'] };
  readonly fault: P['fault'];
  readonly timer: string;
  readonly job: P['job'];
  readonly jobId: { readonly key: string; readonly id: P['jobId'] };
  readonly result: P['result'];
}

export type KeyedState<State> = ReadonlyMap<string, State>;

/** Separates key and name in timers; keys are hex, so they never contain it. */
const separator = '|';

export function keyed<Config, State, P extends Protocol>(
  machine: Machine<Config, State, P>,
): Machine<Config, KeyedState<State>, Keyed<P>> {
  return {
    start: (config, facts, context) => {
      const byKey = new Map<string, P['fact'][]>();
      for (const { key, fact } of facts) byKey.set(key, [...(byKey.get(key) ?? []), fact]);
      const states = new Map<string, State>();
      const effects: Effect<Keyed<P>>[] = [];
      for (const [key, own] of byKey) {
        const step = machine.start(config, own, context);
        states.set(key, step.state);
        effects.push(...step.effects.map((effect) => address<P>(key, effect)));
      }
      return { state: states, effects };
    },
    step: (config, states, event, context) => {
      const [key, inner] = keyedStep(event);
      const effects: Effect<Keyed<P>>[] = [];
      let state = states.get(key);
      if (state === undefined) {
        const first: Step<State, P> = machine.start(config, [], context);
        state = first.state;
        effects.push(...first.effects.map((effect) => address<P>(key, effect)));
      }
      const step = machine.step(config, state, inner, context);
      effects.push(...step.effects.map((effect) => address<P>(key, effect)));
      return { state: new Map(states).set(key, step.state), effects };
    },
  };
}

function keyedStep<P extends Protocol>(event: Event<Keyed<P>>): readonly [string, Event<P>] {
  switch (event.kind) {
    case 'input':
      return [event.input.key, { kind: 'input', input: event.input.input }];
    case 'received':
      return [
        event.message.key,
        { kind: 'received', from: event.from, message: event.message.message },
      ];
    case 'timerFired': {
      const at = event.timer.indexOf(separator);
      return [event.timer.slice(0, at), { kind: 'timerFired', timer: event.timer.slice(at + 1) }];
    }
    case 'computed': {
      const { key, id } = event.id;
      return [key, { kind: 'computed', id, result: event.result }];
    }
  }
}

function address<P extends Protocol>(key: string, effect: Effect<P>): Effect<Keyed<P>> {
  switch (effect.kind) {
    case 'persist':
      return { kind: 'persist', fact: { key, fact: effect.fact } };
    case 'send':
      return { kind: 'send', to: effect.to, message: { key, message: effect.message } };
    case 'setTimer':
      return { kind: 'setTimer', timer: key + separator + effect.timer, afterMs: effect.afterMs };
    case 'clearTimer':
      return { kind: 'clearTimer', timer: key + separator + effect.timer };
    case 'compute':
      return { kind: 'compute', id: { key, id: effect.id }, job: effect.job };
    case 'blame':
      return effect;
    case 'output':
      return { kind: 'output', output: { key, output: effect.output } };
  }
}
