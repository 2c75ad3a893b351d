/**
 * Goal: a key that two liars made with three honest candidates alone is one that every honest one
 * gets its share of, once the section has decided for it (D12); the name of the key is not enough.
 * Method: seven real machines on hand-carried messages; two of them lie as tests/sim/second-list.ts does.
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
import { castOf, must, toySuites, type DkgMachine } from '../../sim/dkg-world.ts';
import { secondListOf } from '../../sim/second-list.ts';

function openWorld() {
  const cast = castOf();
  const { ids } = cast;
  const states = new Map<string, DkgState>();
  const facts = new Map<string, DkgFact[]>(ids.map((id) => [id, []]));
  const queue: { readonly from: string; readonly to: string; readonly message: DkgMessage }[] = [];
  /** Who has a share, by hex of the key. */
  const shares = new Map<string, Set<string>>();
  const ready: string[] = [];
  let drawn = 0;
  const context = (id: string) => ({ now: 0, entropy: sha256(utf8(`${id}${drawn++}`)) });
  const configOf = (id: string) => must(cast.configs.get(id));

  const eat = (id: string, { state, effects }: ReturnType<DkgMachine['step']>): void => {
    states.set(id, state);
    for (const effect of effects) {
      if (effect.kind === 'persist') must(facts.get(id)).push(effect.fact);
      if (effect.kind === 'send') {
        for (const to of effect.to) queue.push({ from: id, to, message: effect.message });
      }
      if (effect.kind === 'compute') {
        const result = performDkgJob(effect.job, toySuites);
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
    eat(id, dkg.step(configOf(id), must(states.get(id)), event, context(id)));
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
    eat(id, dkg.start(configOf(id), must(facts.get(id)), context(id)));
  for (const id of ids) begin(id);
  settle();
  const tell = (id: string, input: DkgInput): void => step(id, { kind: 'input', input });
  return { cast, ids, states, shares, ready, step, settle, tick, tell, restart: begin };
}

/** All hold the first list; then a liar and its mate show three honest ones a second. */
function showSecond() {
  const world = openWorld();
  const { cast, ids, states, ready } = world;
  world.tick(12);
  const firstKey = must(ready[0]);
  const named = must(states.get(must(ids[0]))).named;
  const liar = must([7, 6, 5].find((index) => !named.has(index)));
  const mate = must([7, 6, 5].find((index) => index !== liar));
  const idOf = (index: number) => must(ids[index - 1]);
  const honest = ids.filter((id) => id !== idOf(liar) && id !== idOf(mate));
  const config = cast.config(liar);
  const second = secondListOf(config, must(states.get(idOf(liar))));
  if (second === null) throw new Error('seven dealings');
  const { sessionId } = config;
  const holding = { tick: 0, keys: 127, lists: 127, readiness: [] };
  const from = idOf(liar);
  for (const to of [...honest.slice(0, 3), idOf(mate)]) {
    const { list, dealing, readiness } = second;
    const parts = { keys: [], lists: [list], readiness: [readiness] };
    const message = { kind: 'parts', sessionId, holding, ...parts } as const;
    world.step(to, { kind: 'received', from, message });
    world.step(to, {
      ...{ kind: 'received', from },
      message: { kind: 'dealing', sessionId, holding, dealing },
    });
  }
  world.settle();
  world.tick(6);
  const key = must(ready.find((each) => each !== firstKey));
  const { dealings: list } = second.list;
  return { ...world, key, honest, list };
}

const keyOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

test('a second list that two honest candidates never saw becomes a key with a ready proof', () => {
  const { shares, key, honest } = showSecond();
  expect(honest.filter((id) => shares.get(key)?.has(id))).toEqual(honest.slice(0, 3));
});

test('every honest candidate gets its share of it once the section has decided for that list', () => {
  const world = showSecond();
  for (const id of world.ids) {
    world.tell(id, { kind: 'finish', list: world.list });
    world.tell(id, { kind: 'won', key: keyOf(world.key) });
  }
  world.settle();
  world.tick(20);
  expect(world.honest.filter((id) => world.shares.get(world.key)?.has(id))).toEqual(world.honest);
  expect(world.honest.map((id) => world.states.get(id)?.kind)).toEqual(Array(5).fill('ended'));
});

test('also one that restarts between the decision and its share', () => {
  const world = showSecond();
  const late = must(world.honest[4]);
  world.tell(late, { kind: 'finish', list: world.list });
  world.restart(late);
  for (const id of world.ids) world.tell(id, { kind: 'finish', list: world.list });
  world.settle();
  world.tick(20);
  expect(world.honest.filter((id) => world.shares.get(world.key)?.has(id))).toEqual(world.honest);
});

test('planted: whoever is told the name of the key alone has no share of it, however long it waits', () => {
  const world = showSecond();
  for (const id of world.ids) world.tell(id, { kind: 'won', key: keyOf(world.key) });
  world.settle();
  world.tick(60);
  expect(world.shares.get(world.key)?.size).toBeLessThan(7);
  expect(world.honest.filter((id) => world.shares.get(world.key)?.has(id))).toHaveLength(3);
});
