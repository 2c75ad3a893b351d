/**
 * Goal: after the section decided for a key that two liars made with only three honest candidates,
 * every honest candidate gets its share (DKG-D12); the key alone is not enough.
 * Method: seven real machines with messages delivered by hand; two lie as in
 * tests/sim/dkg/second-list.ts.
 */
import { expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import type { Event } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  dkg,
  performDkgJob,
  type Dkg,
  type DkgFact,
  type DkgInput,
  type DkgMessage,
  type DkgState,
} from '#protocol/dkg/index.ts';
import { dkgCastOf, valueOf, toyDkgSuites, type DkgMachine } from '../../sim/dkg/dkg-world.ts';
import { secondListOf } from '../../sim/dkg/second-list.ts';

function openWorld() {
  const cast = dkgCastOf();
  const { ids } = cast;
  const states = new Map<string, DkgState>();
  const facts = new Map<string, DkgFact[]>(ids.map((id) => [id, []]));
  const queue: { readonly from: string; readonly to: string; readonly message: DkgMessage }[] = [];
  /** Candidates with a share, by hex of the key. */
  const shares = new Map<string, Set<string>>();
  const ready: string[] = [];
  let drawn = 0;
  const context = (id: string) => ({ now: 0, entropy: sha256(utf8(`${id}${drawn++}`)) });
  const configOf = (id: string) => valueOf(cast.configs.get(id));

  const eat = (id: string, { state, effects }: ReturnType<DkgMachine['step']>): void => {
    states.set(id, state);
    for (const effect of effects) {
      if (effect.kind === 'persist') valueOf(facts.get(id)).push(effect.fact);
      if (effect.kind === 'send') {
        for (const to of effect.to) queue.push({ from: id, to, message: effect.message });
      }
      if (effect.kind === 'compute') {
        const result = performDkgJob(effect.job, toyDkgSuites);
        step(id, { kind: 'computed', id: effect.id, result });
      }
      if (effect.kind !== 'output') continue;
      const { output } = effect;
      if (output.kind === 'ready') ready.push(toHex(output.ready.key));
      if (output.kind !== 'share') continue;
      const key = toHex(output.share.key);
      shares.set(key, (shares.get(key) ?? new Set()).add(id));
    }
  };
  const step = (id: string, event: Event<Dkg>): void =>
    eat(id, dkg.step(configOf(id), valueOf(states.get(id)), event, context(id)));
  const settle = (): void => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      step(next.to, { kind: 'received', from: next.from, message: next.message });
    }
  };
  const tick = (times: number): void => {
    for (let n = 0; n < times; n++) {
      for (const id of ids) step(id, { kind: 'timerFired', timer: 'gossip' });
      settle();
    }
  };
  const begin = (id: string): void =>
    eat(id, dkg.start(configOf(id), valueOf(facts.get(id)), context(id)));
  for (const id of ids) begin(id);
  settle();
  const input = (id: string, request: DkgInput): void =>
    step(id, { kind: 'input', input: request });
  return { cast, ids, states, shares, ready, step, settle, tick, input, restart: begin };
}

/**
 * All hold the first list; then a liar and its accomplice send a second one to three honest ones.
 */
function showSecond() {
  const world = openWorld();
  const { cast, ids, states, ready } = world;
  world.tick(12);
  const firstKey = valueOf(ready[0]);
  const named = valueOf(states.get(valueOf(ids[0]))).proposed;
  const liar = valueOf([7, 6, 5].find((index) => !named.has(index)));
  const accomplice = valueOf([7, 6, 5].find((index) => index !== liar));
  const idOf = (index: number) => valueOf(ids[index - 1]);
  const honest = ids.filter((id) => id !== idOf(liar) && id !== idOf(accomplice));
  const config = cast.config(liar);
  const second = secondListOf(config, valueOf(states.get(idOf(liar))));
  if (second === null) throw new Error('seven dealings');
  const { sessionId } = config;
  const inventory = { tick: 0, keys: 127, lists: 127, readiness: [] };
  const from = idOf(liar);
  for (const to of [...honest.slice(0, 3), idOf(accomplice)]) {
    const { list, dealing, readiness } = second;
    const parts = { keys: [], lists: [list], readiness: [readiness] };
    const message = { kind: 'parts', sessionId, inventory, ...parts } as const;
    world.step(to, { kind: 'received', from, message });
    world.step(to, {
      ...{ kind: 'received', from },
      message: { kind: 'dealing', sessionId, inventory, dealing },
    });
  }
  world.settle();
  world.tick(6);
  const key = valueOf(ready.find((each) => each !== firstKey));
  const { dealings: list } = second.list;
  return { ...world, key, honest, list };
}

const keyOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

test('a second list that two honest candidates never received becomes a key with a readiness proof', () => {
  const { shares, key, honest } = showSecond();
  expect(honest.filter((id) => shares.get(key)?.has(id))).toEqual(honest.slice(0, 3));
});

test('DKG-D12: after the section’s decision for that list, every honest candidate gets its share', () => {
  const world = showSecond();
  for (const id of world.ids) {
    world.input(id, { kind: 'finish', list: world.list });
    world.input(id, { kind: 'selected', key: keyOf(world.key) });
  }
  world.settle();
  world.tick(20);
  expect(world.honest.filter((id) => world.shares.get(world.key)?.has(id))).toEqual(world.honest);
  expect(world.honest.map((id) => world.states.get(id)?.kind)).toEqual(Array(5).fill('ended'));
});

test('DKG-D12: so does one that restarts between the decision and its share', () => {
  const world = showSecond();
  const late = valueOf(world.honest[4]);
  world.input(late, { kind: 'finish', list: world.list });
  world.restart(late);
  for (const id of world.ids) world.input(id, { kind: 'finish', list: world.list });
  world.settle();
  world.tick(20);
  expect(world.honest.filter((id) => world.shares.get(world.key)?.has(id))).toEqual(world.honest);
});

test('planted: a candidate that receives only the selected key never gets its share', () => {
  const world = showSecond();
  for (const id of world.ids) world.input(id, { kind: 'selected', key: keyOf(world.key) });
  world.settle();
  world.tick(60);
  expect(world.shares.get(world.key)?.size).toBeLessThan(7);
  expect(world.honest.filter((id) => world.shares.get(world.key)?.has(id))).toHaveLength(3);
});
