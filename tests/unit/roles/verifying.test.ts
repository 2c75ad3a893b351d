/**
 * Goal: what strangers and liars send to be verified keeps nobody else's news from being verified.
 * Method: one adult by hand; forged sealed states by strangers, members and elders, then a genuine one.
 */
import { describe, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { bindLedger, encodeSealedState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeState } from '#roles/section-node/index.ts';
import { obsoleteAfter } from '#roles/section-node/obsolete.ts';
import { elderIndex } from '#roles/section-node/peers.ts';
import type { SectionNodeFact } from '#roles/section-node/state.ts';
import { withAsked } from '#roles/section-node/verifying.ts';
import { personFor, usualPace } from '../../sim/section-world.ts';
import { both, genesis, grow, only, sign, succeed, type Living } from '../section/network.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const born = genesis('verifying', 20);
const { elders, members, key } = born.state.authority;
const sealedOf = (living: Living): Uint8Array => {
  const state = bindLedger(living.state);
  const { signature, chain } = sign({ ...living, state });
  return encodeSealedState({ state, signature, chain });
};
/** Anybody's guess of the next state: all of it as it may be, but for the signature. */
const forged = (n: number): Uint8Array => {
  const state = bindLedger(grow(born).state);
  const signature = labelledHash('safe/toy/forged', Uint8Array.of(n >> 8, n));
  return encodeSealedState({
    state,
    signature: new Uint8Array([...signature, ...signature]).slice(0, 48),
    chain: [],
  });
};
const idAt = (at: number): string => nameToId(members[at]?.name ?? key);
const stranger = (n: number): string => toHex(labelledHash('safe/toy/stranger', Uint8Array.of(n)));
const elder = (at: number): string => nameToId(elders[at]?.name ?? key);

function adult() {
  const own = members.find(
    ({ name }) => !elders.some((each) => nameToId(each.name) === nameToId(name)),
  );
  if (own === undefined) throw new Error('an adult');
  const { config, id: self } = personFor(born.anchor, usualPace, own.name);
  const facts = [{ kind: 'sealed', sealed: sealedOf(born) }] as const;
  let state: SectionNodeState = sectionNode.start(config, facts, context).state;
  /** @returns whether it is being verified now. */
  const hear = (from: string, sealed: Uint8Array): boolean => {
    const message = { key, generation: 1n, payload: { kind: 'update', sealed } } as const;
    const step = sectionNode.step(config, state, { kind: 'received', from, message }, context);
    state = step.state;
    return step.effects.some(({ kind }) => kind === 'compute');
  };
  return { self, hear };
}

const genuine = sealedOf(grow(born));

test('one stranger has one place, and its forgery does not stand for the genuine state', () => {
  const { hear } = adult();
  const tried = Array.from({ length: 12 }, (_, n) => hear(stranger(0), forged(n)));
  expect(tried.filter(Boolean)).toHaveLength(1);
  expect(hear(stranger(1), genuine)).toBe(true);
});

test('strangers without number take none of the places of members, nor members those of elders', () => {
  const { hear, self } = adult();
  const strangers = Array.from({ length: 40 }, (_, n) => hear(stranger(n), forged(n)));
  expect(strangers.filter(Boolean)).toHaveLength(8);
  const others = members
    .map((_, at) => idAt(at))
    .filter((id) => id !== self && !elders.some(({ name }) => nameToId(name) === id));
  const adults = others.map((id, n) => hear(id, forged(100 + n)));
  expect(adults.filter(Boolean)).toHaveLength(8);
  expect(hear(elder(0), genuine)).toBe(true);
});

test('two lying elders fill their own places only', () => {
  const { hear } = adult();
  for (let n = 0; n < 20; n++) for (const at of [0, 1]) hear(elder(at), forged(200 + 2 * n + at));
  expect(hear(elder(2), genuine)).toBe(true);
  expect(hear(elder(3), genuine)).toBe(false); // The same bytes are checked once.
});

describe('a node whose elders are not among those it knows', () => {
  const [zero, theirs] = both(succeed(born, 'verifying zero', 'verifying one').children);
  const later = only(succeed(only(succeed(zero, 'verifying 2').children), 'verifying 3').children);
  const newest = sealedOf(later);
  const member = zero.state.authority.members.find(
    ({ name }) => elderIndex(zero.state.authority, nameToId(name)) === 0,
  );
  const half = (facts: readonly SectionNodeFact[]) => {
    if (member === undefined) throw new Error('an adult');
    const { config } = personFor(born.anchor, usualPace, member.name);
    let state: SectionNodeState = sectionNode.start(config, facts, context).state;
    const on = (event: Parameters<typeof sectionNode.step>[2]) => {
      const step = sectionNode.step(config, state, event, context);
      state = step.state;
      return step.effects;
    };
    const hear = (from: string, sealed: Uint8Array): boolean => {
      const message = { key, generation: 1n, payload: { kind: 'update', sealed } } as const;
      return on({ kind: 'received', from, message }).some((each) => each.kind === 'compute');
    };
    const fill = (): void => {
      for (let n = 0; n < 40; n++) hear(stranger(n), forged(n));
    };
    return { hear, fill, on };
  };
  const elderOfLater = nameToId(later.state.authority.elders[0]?.name ?? key);

  test('strangers cannot hold the places of those that its shell told it to ask', () => {
    const { hear, fill, on } = half([]);
    const asked = on({ kind: 'input', input: { kind: 'ask', peers: [elderOfLater] } });
    expect(asked).toMatchObject([{ kind: 'send', to: [elderOfLater] }]);
    fill();
    expect(hear(elderOfLater, newest)).toBe(true);
  });

  test('after a split the members of the other half are members, also after a restart', () => {
    const parent = { kind: 'sealed', sealed: sealedOf(born) } as const;
    const child = { kind: 'sealed', sealed: sealedOf(zero) } as const;
    const all = [parent, child];
    const gone = new Set(obsoleteAfter(all));
    const { hear, fill } = half(all.filter((_, at) => !gone.has(at)));
    fill();
    const inZero = zero.state.authority.members.map(({ name }) => nameToId(name));
    const other = members.find(({ name }) => !inZero.includes(nameToId(name)))?.name ?? key;
    expect(hear(nameToId(other), sealedOf(theirs))).toBe(true);
  });

  test('peers asked without number hold no more than fourteen places', () => {
    const peers = Array.from({ length: 40 }, (_, n) => stranger(100 + n));
    expect(withAsked(withAsked([], peers.slice(0, 7)), peers)).toEqual(peers.slice(-14));
  });
});
