/**
 * Goal: a verifier's tree grows only by proof, and ends the same in every order.
 * Method: a toy network that hands over and splits; every rule of the README broken once; random
 * histories applied by several verifiers in several orders.
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
  chainForPeer,
  chainPage,
  closestSection,
  createTree,
  epochOf,
  isKnownKey,
  isNewerThanKnown,
  learn,
  maxChainLinks,
  newestKey,
  performVerifyUpdate,
  planUpdate,
  sectionProofOf,
  sectionFor,
  sectionsOf,
  namesUnderCurrentKeys,
  trustedUpdate,
  successorBytes,
  handoversSince,
  trustFor,
  verifySignedAuthority,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import {
  both,
  describeAll,
  genesis,
  grow,
  nameUnder,
  only,
  sign,
  succeed,
  type TestSection,
} from './network.ts';

const genesisSection = genesis();
const { anchor } = genesisSection;
const k1 = only(succeed(genesisSection, 'k1').children);
const split = succeed(k1, 'zero', 'one');
const [zero, one] = both(split.children);
const quarter = both(succeed(zero, 'zero zero', 'zero one').children);

/** Plans, verifies and learns, as a node does; throws when refused. */
function applyProof(tree: SectionTree, proof: SectionProof): SectionTree {
  const plan = planUpdate(tree, proof);
  if (plan.kind === 'same') return tree;
  if (plan.kind === 'refused') throw new Error(plan.fault.kind);
  const verified = performVerifyUpdate(toySuite, plan.job);
  if (!verified.ok) throw new Error(verified.error.kind);
  return learn(tree, verified.value).tree;
}

const treeOf = (...all: readonly TestSection[]): SectionTree =>
  all.reduce(
    (tree, section) => applyProof(tree, sectionProofOf(sign(section))),
    createTree(anchor),
  );

describe('plan and learn', () => {
  test('SECTION-A2: a chain of records proves a section of the third epoch from genesis', () => {
    expect(verifySignedAuthority(toySuite, anchor, sign(quarter[0])).ok).toBe(true);
    const tree = treeOf(quarter[0]);
    expect(describeAll(sectionsOf(tree))).toBe('00');
    expect(epochOf(tree, quarter[1].state.authority.key)).toBe(3n);
  });

  test('SECTION-T1: a chain from another genesis or with a gap is refused', () => {
    const other = genesis('stranger');
    const tree = createTree(anchor);
    expect(planUpdate(tree, sectionProofOf(sign(other)))).toMatchObject({ kind: 'refused' });
    const [first, , third] = quarter[0].chain;
    if (first === undefined || third === undefined) throw new Error('three links');
    const holed = { ...sign(quarter[0]), chain: [first, third] };
    expect(planUpdate(tree, sectionProofOf(holed))).toMatchObject({ kind: 'refused' });
    const swapped = { ...sign(quarter[0]), chain: [...quarter[0].chain].reverse() };
    expect(planUpdate(tree, sectionProofOf(swapped))).toMatchObject({ kind: 'refused' });
  });

  test('SECTION-T2: a chain may start at any known key; only new links are verified', () => {
    const tree = treeOf(k1);
    const plan = planUpdate(tree, sectionProofOf(sign(zero)));
    if (plan.kind !== 'verify') throw new Error('news');
    expect(plan.job.proof.links).toHaveLength(1);
    expect(plan.job.checkShares).toBe(true);
    expect(applyProof(tree, sectionProofOf(sign(zero, 1)))).toEqual(
      applyProof(tree, sectionProofOf(sign(zero))),
    );
  });

  test('SECTION-T3: the same or older state is ignored; a newer generation costs one pairing', () => {
    const tree = treeOf(grow(k1));
    expect(planUpdate(tree, sectionProofOf(sign(grow(k1))))).toEqual({ kind: 'same' });
    expect(planUpdate(tree, sectionProofOf(sign(k1)))).toEqual({ kind: 'same' });
    expect(planUpdate(tree, sectionProofOf(sign(genesisSection)))).toEqual({ kind: 'same' });
    const plan = planUpdate(tree, sectionProofOf(sign(grow(grow(k1)))));
    expect(plan).toMatchObject({ kind: 'verify', job: { checkShares: false } });
    if (plan.kind === 'verify') expect(plan.job.proof.links).toEqual([]);
  });

  test('SECTION-T4, N33: a conflicting record is refused, the pair is the fraud proof, the first stays', () => {
    const tree = treeOf(zero);
    const fork = succeed(k1, 'thief');
    const plan = planUpdate(tree, sectionProofOf(sign(only(fork.children))));
    if (plan.kind !== 'verify') throw new Error('worth checking');
    const verified = performVerifyUpdate(toySuite, plan.job);
    if (!verified.ok) throw new Error('really signed twice');
    const learnt = learn(tree, verified.value);
    expect(learnt.tree).toBe(tree);
    expect(learnt.fork).toEqual({ first: split.link, second: fork.link });
  });

  test('SECTION-T4: a conflicting record without the key’s signature is no fork', () => {
    const fork = succeed({ ...k1, secret: genesisSection.secret }, 'thief');
    const plan = planUpdate(treeOf(zero), sectionProofOf(sign(only(fork.children))));
    if (plan.kind !== 'verify') throw new Error('worth checking');
    expect(performVerifyUpdate(toySuite, plan.job).ok).toBe(false);
  });

  test('SECTION-T4: two conflicting records verified at the same time → the later one is the fork', () => {
    const tree = treeOf(k1);
    const jobs = [sign(zero), sign(only(succeed(k1, 'thief').children))].map((signed) => {
      const plan = planUpdate(tree, sectionProofOf(signed));
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

  test('SECTION-T5: an ancestor is removed only when longer prefixes cover all its names', () => {
    expect(describeAll(sectionsOf(treeOf(k1)))).toBe('()');
    expect(describeAll(sectionsOf(treeOf(k1, zero)))).toBe('() 0');
    expect(describeAll(sectionsOf(treeOf(k1, zero, one)))).toBe('0 1');
    expect(describeAll(sectionsOf(treeOf(k1, one, quarter[0], quarter[1])))).toBe('00 01 1');
    expect(describeAll(sectionsOf(treeOf(one, quarter[0], quarter[1], zero, k1)))).toBe('00 01 1');
  });

  test('SECTION-A9: a record with names beyond its parent, or with wrong halves, is refused', () => {
    const tree = treeOf(zero);
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
      const forged = { ...sign(only(children), 0), chain: [{ record, signature }] };
      expect(planUpdate(tree, sectionProofOf(forged))).toMatchObject({ kind: 'refused' });
    }
  });

  test('N28: elders, prefix or shares other than the record’s are refused', () => {
    const signed = sign(zero, 1);
    const elders = sign(one).authority.elders;
    const forged = { ...signed, authority: { ...signed.authority, elders } };
    expect(planUpdate(treeOf(k1), sectionProofOf(forged))).toMatchObject({
      kind: 'refused',
      fault: { rule: 'N28' },
    });
  });

  test('planted bug, N28: without the charter hash, other shares are accepted', () => {
    const signed = sign(zero, 1);
    const others = sign(one).authority.elders;
    const elders = signed.authority.elders.map((each, at) => ({
      ...each,
      publicShare: others[at]?.publicShare ?? each.publicShare,
    }));
    const forged = { ...signed, authority: { ...signed.authority, elders }, chain: [] };
    const tree = applyProof(treeOf(k1), { links: signed.chain, authority: null });
    expect(planUpdate(tree, sectionProofOf(forged)).kind).toBe('refused');
    const keys = new Map([...tree.keys].map(([id, key]) => [id, { ...key, charterHash: null }]));
    expect(planUpdate({ ...tree, keys }, sectionProofOf(forged)).kind).toBe('verify');
  });

  test('SECTION-T6: a page without its authority is learnt, and the next page starts at its end', () => {
    let last: TestSection = genesisSection;
    for (let i = 0; i < 40; i++) last = only(succeed(last, `page ${i}`).children);
    const { key } = last.state.authority;
    const whole = treeOf(genesisSection);
    let server = createTree(anchor);
    for (let i = 0; i < last.chain.length; i += maxChainLinks) {
      server = applyProof(server, {
        links: last.chain.slice(i, i + maxChainLinks),
        authority: null,
      });
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
      tree = applyProof(tree, { links: page.links, authority: null });
    }
    expect(pages).toEqual([16, 16, 8]);
    expect(chainBetween(tree, anchor.genesisKey, key)).toEqual(last.chain);
    expect(handoversSince(tree, anchor.genesisKey)).toBe(40);
    expect(chainForPeer(server, anchor.genesisKey, key)).toEqual(last.chain.slice(-1));
    expect(planUpdate(tree, sectionProofOf({ ...sign(last), chain: last.chain }))).toMatchObject({
      kind: 'refused',
    });
  });

  test('stored updates are applied without verification; pins are trusted like genesis', () => {
    const stored = learn(createTree(anchor), trustedUpdate(sectionProofOf(sign(zero)))).tree;
    expect(stored).toEqual(treeOf(zero));
    const pin = trustFor(stored, zero.state.authority.key);
    if (pin === undefined) throw new Error('known');
    const pinned = applyProof(createTree(anchor, [pin]), sectionProofOf(sign(quarter[0], 1)));
    expect(describeAll(sectionsOf(pinned))).toBe('00');
    expect(verifySignedAuthority(toySuite, anchor, sign(zero, 0), pin).ok).toBe(true);
  });
});

describe('lookup', () => {
  const tree = treeOf(one, quarter[0], quarter[1]);
  const name = (bits: string) => nameUnder(parsePrefix(bits) ?? EMPTY_PREFIX, 'any');
  const shown = (
    found: { readonly prefix: typeof EMPTY_PREFIX } | undefined,
  ): string | undefined => (found === undefined ? undefined : showPrefix(found.prefix));

  test('by name and closest', () => {
    expect(shown(sectionFor(tree, name('011')))).toBe('01');
    expect(shown(sectionFor(treeOf(k1, zero), name('1')))).toBe('()');
    expect(shown(closestSection(tree, name('00'), parsePrefix('00')))).toBe('01');
    expect(shown(closestSection(treeOf(zero), name('1')))).toBe('0');
    expect(sectionFor(createTree(anchor), name('0'))).toBeUndefined();
  });

  test('a half known only by its link can be asked', () => {
    const firstBytes = (of: ReturnType<typeof treeOf>) =>
      namesUnderCurrentKeys(of).map((bits) => bits[0]);
    expect(firstBytes(createTree(anchor))).toEqual([0]);
    expect(firstBytes(treeOf(k1, zero))).toEqual([0, 128]);
    expect(firstBytes(tree)).toHaveLength(3);
  });

  test('chains lead from a key to its descendants only', () => {
    const from = k1.state.authority.key;
    expect(chainBetween(tree, from, quarter[0].state.authority.key)).toHaveLength(2);
    expect(chainBetween(tree, quarter[0].state.authority.key, from)).toBeUndefined();
    expect(chainBetween(tree, one.state.authority.key, zero.state.authority.key)).toBeUndefined();
    expect(chainBetween(tree, new Uint8Array(96), from)).toBeUndefined();
    expect(isKnownKey(tree, new Uint8Array(96))).toBe(false);
    expect(handoversSince(tree, from)).toBe(2);
    expect(handoversSince(tree, one.state.authority.key)).toBe(0);
  });
});

describe('random histories', () => {
  /** Each number selects one of the current sections, which grows, hands over or splits. */
  const history = (moves: readonly (readonly [number, 'grow' | 'succeed' | 'split'])[]) => {
    const world = genesis('random', 0);
    let current: readonly TestSection[] = [world];
    const all: TestSection[] = [world];
    for (const [step, [which, what]] of moves.entries()) {
      const at = which % current.length;
      const one = current[at] ?? world;
      const next =
        what === 'grow'
          ? [grow(one)]
          : what === 'succeed'
            ? succeed(one, `h${step}`).children
            : succeed(one, `s${step} 0`, `s${step} 1`).children;
      current = current.flatMap((each, i) => (i === at ? next : [each]));
      all.push(...next);
    }
    return { anchor: world.anchor, living: current, all };
  };

  test('sections and keys stay consistent, and every order of updates gives the same tree', () => {
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
          const learnAll = (sections: readonly TestSection[]): SectionTree =>
            sections.reduce(
              (tree, each) => applyProof(tree, sectionProofOf(sign(each))),
              createTree(trust),
            );
          const tree = learnAll(shuffled);
          const straight = learnAll(all);
          expect(sectionsOf(tree)).toEqual(sectionsOf(straight));
          expect(new Set(tree.keys.keys())).toEqual(new Set(straight.keys.keys()));
          // Exactly the current sections are known, each under the newest key of its chain.
          expect(
            sectionsOf(tree)
              .map(({ key }) => toHex(key))
              .sort(),
          ).toEqual(living.map(({ state }) => toHex(state.authority.key)).sort());
          for (const { state } of living) {
            const { key, prefix } = state.authority;
            expect(newestKey(tree, trust.genesisKey, prefix.bits)).toEqual(key);
            expect(isNewerThanKnown(tree, state.authority)).toBe(false);
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
