/**
 * Goal: a verifier's picture of the network grows only by proof, and grows alike in every order.
 * Method: a toy network that hands over and splits; every rule of the README broken once; random
 * histories told to several verifiers in several orders.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  child,
  EMPTY_PREFIX,
  isWithin,
  matches,
  parsePrefix,
  showPrefix,
} from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import {
  chainBetween,
  chainFor,
  chainPage,
  closestSection,
  emptyTree,
  epochOf,
  isKnownKey,
  isNews,
  learn,
  maxChainLinks,
  newestKey,
  performVerifyUpdate,
  planUpdate,
  proofOf,
  sectionFor,
  sectionsOf,
  placesOf,
  storedUpdate,
  successorBytes,
  successorsSince,
  trustFor,
  verifySignedAuthority,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import {
  both,
  describeAll,
  genesis,
  grow,
  nameUnder,
  only,
  sign,
  succeed,
  type Living,
} from './network.ts';

const born = genesis();
const { anchor } = born;
const k1 = only(succeed(born, 'k1').children);
const split = succeed(k1, 'zero', 'one');
const [zero, one] = both(split.children);
const quarter = both(succeed(zero, 'zero zero', 'zero one').children);

/** Plans, checks and learns, as a node does; throws when refused. */
function tell(tree: SectionTree, proof: SectionProof): SectionTree {
  const plan = planUpdate(tree, proof);
  if (plan.kind === 'same') return tree;
  if (plan.kind === 'refused') throw new Error(plan.fault.kind);
  const verified = performVerifyUpdate(toySuite, plan.job);
  if (!verified.ok) throw new Error(verified.error.kind);
  return learn(tree, verified.value).tree;
}

const knowing = (...all: readonly Living[]): SectionTree =>
  all.reduce((tree, living) => tell(tree, proofOf(sign(living))), emptyTree(anchor));

describe('plan and learn', () => {
  test('A2: a chain of records leads a verifier from genesis to a section of the third epoch', () => {
    expect(verifySignedAuthority(toySuite, anchor, sign(quarter[0])).ok).toBe(true);
    const tree = knowing(quarter[0]);
    expect(describeAll(sectionsOf(tree))).toBe('00');
    expect(epochOf(tree, quarter[1].state.authority.key)).toBe(3n);
  });

  test('T1: a chain from an unrelated genesis is refused, and so is one with a hole', () => {
    const stranger = genesis('stranger');
    const tree = emptyTree(anchor);
    expect(planUpdate(tree, proofOf(sign(stranger)))).toMatchObject({ kind: 'refused' });
    const [first, , third] = quarter[0].chain;
    if (first === undefined || third === undefined) throw new Error('three links');
    const holed = { ...sign(quarter[0]), chain: [first, third] };
    expect(planUpdate(tree, proofOf(holed))).toMatchObject({ kind: 'refused' });
    const swapped = { ...sign(quarter[0]), chain: [...quarter[0].chain].reverse() };
    expect(planUpdate(tree, proofOf(swapped))).toMatchObject({ kind: 'refused' });
  });

  test('T2: a chain may start at any known key, and only what is new is checked', () => {
    const tree = knowing(k1);
    const plan = planUpdate(tree, proofOf(sign(zero)));
    if (plan.kind !== 'verify') throw new Error('news');
    expect(plan.job.proof.links).toHaveLength(1);
    expect(plan.job.checkShares).toBe(true);
    expect(tell(tree, proofOf(sign(zero, 1)))).toEqual(tell(tree, proofOf(sign(zero))));
  });

  test('T3: the same is ignored, the older is ignored, the newer generation costs one pairing', () => {
    const tree = knowing(grow(k1));
    expect(planUpdate(tree, proofOf(sign(grow(k1))))).toEqual({ kind: 'same' });
    expect(planUpdate(tree, proofOf(sign(k1)))).toEqual({ kind: 'same' });
    expect(planUpdate(tree, proofOf(sign(born)))).toEqual({ kind: 'same' });
    const plan = planUpdate(tree, proofOf(sign(grow(grow(k1)))));
    expect(plan).toMatchObject({ kind: 'verify', job: { checkShares: false } });
    if (plan.kind === 'verify') expect(plan.job.proof.links).toEqual([]);
  });

  test('T4, N33: a second word of a key is refused, the pair is the proof, and the first stays', () => {
    const tree = knowing(zero);
    const fork = succeed(k1, 'thief');
    const plan = planUpdate(tree, proofOf(sign(only(fork.children))));
    if (plan.kind !== 'verify') throw new Error('worth checking');
    const verified = performVerifyUpdate(toySuite, plan.job);
    if (!verified.ok) throw new Error('really signed twice');
    const learnt = learn(tree, verified.value);
    expect(learnt.tree).toBe(tree);
    expect(learnt.fork).toEqual({ first: split.link, second: fork.link });
  });

  test('T4: a second word that the key did not sign is no fork', () => {
    const fork = succeed({ ...k1, secret: born.secret }, 'thief');
    const plan = planUpdate(knowing(zero), proofOf(sign(only(fork.children))));
    if (plan.kind !== 'verify') throw new Error('worth checking');
    expect(performVerifyUpdate(toySuite, plan.job).ok).toBe(false);
  });

  test('T4: two second words that were verified at the same time: the later one is the fork', () => {
    const tree = knowing(k1);
    const jobs = [sign(zero), sign(only(succeed(k1, 'thief').children))].map((signed) => {
      const plan = planUpdate(tree, proofOf(signed));
      if (plan.kind !== 'verify') throw new Error('worth checking');
      const verified = performVerifyUpdate(toySuite, plan.job);
      if (!verified.ok) throw new Error('both are signed');
      return verified.value;
    });
    const [first, second] = jobs;
    if (first === undefined || second === undefined) throw new Error('two');
    const after = learn(tree, first);
    expect(after.fork).toBeNull();
    expect(learn(after.tree, second).fork).not.toBeNull();
  });

  test('T5: an ancestor goes when all its names are answered for, not before', () => {
    expect(describeAll(sectionsOf(knowing(k1)))).toBe('()');
    expect(describeAll(sectionsOf(knowing(k1, zero)))).toBe('() 0');
    expect(describeAll(sectionsOf(knowing(k1, zero, one)))).toBe('0 1');
    expect(describeAll(sectionsOf(knowing(k1, one, quarter[0], quarter[1])))).toBe('00 01 1');
    expect(describeAll(sectionsOf(knowing(one, quarter[0], quarter[1], zero, k1)))).toBe('00 01 1');
  });

  test('A9: a record that claims names beyond its parent, or halves that do not fit, is refused', () => {
    const tree = knowing(zero);
    const { link, children } = succeed(zero, 'greedy');
    for (const prefix of [
      EMPTY_PREFIX,
      child(EMPTY_PREFIX, 1),
      child(zero.state.authority.prefix, 0),
    ]) {
      const record = {
        ...link.record,
        children: link.record.children.map((each) => ({ ...each, prefix })),
      };
      const signature = toySuite.sign(zero.secret, 'SUCCESSOR', successorBytes(record));
      const lie = { ...sign(only(children), 0), chain: [{ record, signature }] };
      expect(planUpdate(tree, proofOf(lie))).toMatchObject({ kind: 'refused' });
    }
  });

  test('N28: elders, prefix and shares are those of the record that named the key', () => {
    const signed = sign(zero, 1);
    const elders = sign(one).authority.elders;
    const lie = { ...signed, authority: { ...signed.authority, elders } };
    expect(planUpdate(knowing(k1), proofOf(lie))).toMatchObject({
      kind: 'refused',
      fault: { rule: 'N28' },
    });
  });

  test('planted bug, N28: without the hash of the record other shares are believed', () => {
    const signed = sign(zero, 1);
    const others = sign(one).authority.elders;
    const elders = signed.authority.elders.map((each, at) => ({
      ...each,
      publicShare: others[at]?.publicShare ?? each.publicShare,
    }));
    const lie = { ...signed, authority: { ...signed.authority, elders }, chain: [] };
    const tree = tell(knowing(k1), { links: signed.chain, authority: null });
    expect(planUpdate(tree, proofOf(lie)).kind).toBe('refused');
    const keys = new Map([...tree.keys].map(([id, key]) => [id, { ...key, charterHash: null }]));
    expect(planUpdate({ ...tree, keys }, proofOf(lie)).kind).toBe('verify');
  });

  test('T6: a page without its authority is learnt, and the next page starts there', () => {
    let last: Living = born;
    for (let i = 0; i < 40; i++) last = only(succeed(last, `page ${i}`).children);
    const { key } = last.state.authority;
    const whole = knowing(born);
    let server = emptyTree(anchor);
    for (let i = 0; i < last.chain.length; i += maxChainLinks) {
      server = tell(server, { links: last.chain.slice(i, i + maxChainLinks), authority: null });
    }
    let tree = whole;
    const pages: number[] = [];
    for (
      let at = anchor.genesisKey;
      !equalBytes(at, key);
      at = newestKey(tree, at, key.slice(0, 32))
    ) {
      const page = chainPage(server, at, key);
      if (page === undefined) throw new Error('an ancestor');
      pages.push(page.links.length);
      tree = tell(tree, { links: page.links, authority: null });
    }
    expect(pages).toEqual([16, 16, 8]);
    expect(chainBetween(tree, anchor.genesisKey, key)).toEqual(last.chain);
    expect(successorsSince(tree, anchor.genesisKey)).toBe(40);
    expect(chainFor(server, anchor.genesisKey, key)).toEqual(last.chain.slice(-1));
    expect(planUpdate(tree, proofOf({ ...sign(last), chain: last.chain }))).toMatchObject({
      kind: 'refused',
    });
  });

  test('what was stored is taken in without a signature, and pins stand beside genesis', () => {
    const stored = learn(emptyTree(anchor), storedUpdate(proofOf(sign(zero)))).tree;
    expect(stored).toEqual(knowing(zero));
    const pin = trustFor(stored, zero.state.authority.key);
    if (pin === undefined) throw new Error('known');
    const pinned = tell(emptyTree(anchor, [pin]), proofOf(sign(quarter[0], 1)));
    expect(describeAll(sectionsOf(pinned))).toBe('00');
    expect(verifySignedAuthority(toySuite, anchor, sign(zero, 0), pin).ok).toBe(true);
  });
});

describe('lookup', () => {
  const tree = knowing(one, quarter[0], quarter[1]);
  const name = (bits: string) => nameUnder(parsePrefix(bits) ?? EMPTY_PREFIX, 'any');
  const shown = (
    found: { readonly prefix: typeof EMPTY_PREFIX } | undefined,
  ): string | undefined => (found === undefined ? undefined : showPrefix(found.prefix));

  test('by name and closest', () => {
    expect(shown(sectionFor(tree, name('011')))).toBe('01');
    expect(shown(sectionFor(knowing(k1, zero), name('1')))).toBe('()');
    expect(shown(closestSection(tree, name('00'), parsePrefix('00')))).toBe('01');
    expect(shown(closestSection(knowing(zero), name('1')))).toBe('0');
    expect(sectionFor(emptyTree(anchor), name('0'))).toBeUndefined();
  });

  test('a half of a split that is known by its link alone is a place to ask at', () => {
    const places = (of: ReturnType<typeof knowing>) => placesOf(of).map((bits) => bits[0]);
    expect(places(emptyTree(anchor))).toEqual([0]);
    expect(places(knowing(k1, zero))).toEqual([0, 128]);
    expect(places(tree)).toHaveLength(3);
  });

  test('chains lead from a key to its descendants and to nobody else', () => {
    const from = k1.state.authority.key;
    expect(chainBetween(tree, from, quarter[0].state.authority.key)).toHaveLength(2);
    expect(chainBetween(tree, quarter[0].state.authority.key, from)).toBeUndefined();
    expect(chainBetween(tree, one.state.authority.key, zero.state.authority.key)).toBeUndefined();
    expect(chainBetween(tree, new Uint8Array(96), from)).toBeUndefined();
    expect(isKnownKey(tree, new Uint8Array(96))).toBe(false);
    expect(successorsSince(tree, from)).toBe(2);
    expect(successorsSince(tree, one.state.authority.key)).toBe(0);
  });
});

describe('random histories', () => {
  /** Each number acts on one of the living sections: grow, hand over, split. */
  const history = (moves: readonly (readonly [number, 'grow' | 'succeed' | 'split'])[]) => {
    const world = genesis('random', 0);
    let living: readonly Living[] = [world];
    const all: Living[] = [world];
    for (const [step, [which, what]] of moves.entries()) {
      const at = which % living.length;
      const one = living[at] ?? world;
      const next =
        what === 'grow'
          ? [grow(one)]
          : what === 'succeed'
            ? succeed(one, `h${step}`).children
            : succeed(one, `s${step} 0`, `s${step} 1`).children;
      living = living.flatMap((each, i) => (i === at ? next : [each]));
      all.push(...next);
    }
    return { anchor: world.anchor, living, all };
  };

  test('map and keys stay in step, and every order of telling ends alike', () => {
    const move = fc.tuple(
      fc.nat(20),
      fc.constantFrom('grow', 'succeed', 'split') as fc.Arbitrary<'grow' | 'succeed' | 'split'>,
    );
    fc.assert(
      fc.property(
        fc.array(move, { maxLength: 12 }),
        fc.array(fc.nat(1000), { minLength: 32, maxLength: 32 }),
        (moves, order) => {
          const { anchor: trust, living, all } = history(moves);
          const shuffled = all
            .map((each, i) => ({ each, rank: order[i % order.length] ?? 0 }))
            .sort((a, b) => a.rank - b.rank)
            .map(({ each }) => each);
          const learnAll = (told: readonly Living[]): SectionTree =>
            told.reduce((tree, each) => tell(tree, proofOf(sign(each))), emptyTree(trust));
          const tree = learnAll(shuffled);
          const straight = learnAll(all);
          expect(sectionsOf(tree)).toEqual(sectionsOf(straight));
          expect(new Set(tree.keys.keys())).toEqual(new Set(straight.keys.keys()));
          // Exactly the living sections are held, each under the last key of its line.
          expect(
            sectionsOf(tree)
              .map(({ key }) => toHex(key))
              .sort(),
          ).toEqual(living.map(({ state }) => toHex(state.authority.key)).sort());
          for (const { state } of living) {
            const { key, prefix } = state.authority;
            expect(newestKey(tree, trust.genesisKey, prefix.bits)).toEqual(key);
            expect(isNews(tree, state.authority)).toBe(false);
          }
          for (const known of tree.keys.values()) {
            expect(known.successor === null).toBe(
              living.some(({ state }) => equalBytes(state.authority.key, known.key)),
            );
            expect(sectionsOf(tree).some(({ prefix }) => isWithin(prefix, known.prefix))).toBe(
              true,
            );
          }
          expect(matches(EMPTY_PREFIX, trust.networkId)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
