/**
 * Goal: unknown peers and liars cannot block the verification of updates from other senders.
 * Method: one adult by hand; forged states from unknown peers, members and elders, then a genuine one.
 */
import { describe, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { withLedgerRoot, encodeSealedState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeState } from '#roles/section-node/index.ts';
import { prunableAfter } from '#roles/section-node/stored-facts/prune-facts.ts';
import { elderIndex } from '#roles/section-node/recipients.ts';
import type { SectionNodeFact } from '#roles/section-node/state.ts';
import { withQueriedPeers } from '#roles/section-node/catch-up/verification-slots.ts';
import { simNodeFor, usualSectionPace } from '../../../sim/section/section-world.ts';
import {
  both,
  genesis,
  grow,
  only,
  sign,
  succeed,
  type TestSection,
} from '../../section/network.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const born = genesis('verifying', 20);
const { elders, members, key } = born.state.authority;
const sealedOf = (living: TestSection): Uint8Array => {
  const state = withLedgerRoot(living.state);
  const { signature, chain } = sign({ ...living, state });
  return encodeSealedState({ state, signature, chain });
};
/** A plausible next state with an invalid signature. */
const forged = (n: number): Uint8Array => {
  const state = withLedgerRoot(grow(born).state);
  const signature = labelledHash('safe/toy/forged', Uint8Array.of(n >> 8, n));
  return encodeSealedState({
    state,
    signature: new Uint8Array([...signature, ...signature]).slice(0, 48),
    chain: [],
  });
};
const idAt = (at: number): string => nameToId(members[at]?.name ?? key);
const unknownPeer = (n: number): string =>
  toHex(labelledHash('safe/toy/stranger', Uint8Array.of(n)));
const elder = (at: number): string => nameToId(elders[at]?.name ?? key);

function adult() {
  const own = members.find(
    ({ name }) => !elders.some((each) => nameToId(each.name) === nameToId(name)),
  );
  if (own === undefined) throw new Error('an adult');
  const { config, id: self } = simNodeFor(born.anchor, usualSectionPace, own.name);
  const facts = [{ kind: 'sealed', sealed: sealedOf(born) }] as const;
  let state: SectionNodeState = sectionNode.start(config, facts, context).state;
  /** @returns whether it started a verification. */
  const receive = (from: string, sealed: Uint8Array): boolean => {
    const message = { key, generation: 1n, payload: { kind: 'update', sealed } } as const;
    const step = sectionNode.step(config, state, { kind: 'received', from, message }, context);
    state = step.state;
    return step.effects.some(({ kind }) => kind === 'compute');
  };
  return { self, receive };
}

const genuine = sealedOf(grow(born));

test('an unknown peer has one slot, and its forgery does not block the genuine state', () => {
  const { receive } = adult();
  const checked = Array.from({ length: 12 }, (_, n) => receive(unknownPeer(0), forged(n)));
  expect(checked.filter(Boolean)).toHaveLength(1);
  expect(receive(unknownPeer(1), genuine)).toBe(true);
});

test('any number of unknown peers leaves the slots of members free, and members those of elders', () => {
  const { receive, self } = adult();
  const accepted = Array.from({ length: 40 }, (_, n) => receive(unknownPeer(n), forged(n)));
  expect(accepted.filter(Boolean)).toHaveLength(8);
  const others = members
    .map((_, at) => idAt(at))
    .filter((id) => id !== self && !elders.some(({ name }) => nameToId(name) === id));
  const adults = others.map((id, n) => receive(id, forged(100 + n)));
  expect(adults.filter(Boolean)).toHaveLength(8);
  expect(receive(elder(0), genuine)).toBe(true);
});

test('two lying elders fill only their own slots', () => {
  const { receive } = adult();
  for (let n = 0; n < 20; n++)
    for (const at of [0, 1]) receive(elder(at), forged(200 + 2 * n + at));
  expect(receive(elder(2), genuine)).toBe(true);
  expect(receive(elder(3), genuine)).toBe(false); // The same bytes are verified once.
});

describe('a node that does not know its elders', () => {
  const [zero, theirs] = both(succeed(born, 'verifying zero', 'verifying one').children);
  const later = only(succeed(only(succeed(zero, 'verifying 2').children), 'verifying 3').children);
  const newest = sealedOf(later);
  const member = zero.state.authority.members.find(
    ({ name }) => elderIndex(zero.state.authority, nameToId(name)) === 0,
  );
  const half = (facts: readonly SectionNodeFact[]) => {
    if (member === undefined) throw new Error('an adult');
    const { config } = simNodeFor(born.anchor, usualSectionPace, member.name);
    let state: SectionNodeState = sectionNode.start(config, facts, context).state;
    const on = (event: Parameters<typeof sectionNode.step>[2]) => {
      const step = sectionNode.step(config, state, event, context);
      state = step.state;
      return step.effects;
    };
    const receive = (from: string, sealed: Uint8Array): boolean => {
      const message = { key, generation: 1n, payload: { kind: 'update', sealed } } as const;
      return on({ kind: 'received', from, message }).some((each) => each.kind === 'compute');
    };
    const fill = (): void => {
      for (let n = 0; n < 40; n++) receive(unknownPeer(n), forged(n));
    };
    return { receive, fill, on };
  };
  const elderOfLater = nameToId(later.state.authority.elders[0]?.name ?? key);

  test('unknown peers cannot take the slots of peers that its shell queries', () => {
    const { receive, fill, on } = half([]);
    const asked = on({ kind: 'input', input: { kind: 'queryPeers', peers: [elderOfLater] } });
    expect(asked).toMatchObject([{ kind: 'send', to: [elderOfLater] }]);
    fill();
    expect(receive(elderOfLater, newest)).toBe(true);
  });

  test('after a split the members of the other half are members, also after a restart', () => {
    const parent = { kind: 'sealed', sealed: sealedOf(born) } as const;
    const child = { kind: 'sealed', sealed: sealedOf(zero) } as const;
    const all = [parent, child];
    const gone = new Set(prunableAfter(all));
    const { receive, fill } = half(all.filter((_, at) => !gone.has(at)));
    fill();
    const inZero = zero.state.authority.members.map(({ name }) => nameToId(name));
    const other = members.find(({ name }) => !inZero.includes(nameToId(name)))?.name ?? key;
    expect(receive(nameToId(other), sealedOf(theirs))).toBe(true);
  });

  test('any number of queried peers → at most fourteen slots', () => {
    const peers = Array.from({ length: 40 }, (_, n) => unknownPeer(100 + n));
    expect(withQueriedPeers(withQueriedPeers([], peers.slice(0, 7)), peers)).toEqual(
      peers.slice(-14),
    );
  });
});
