/**
 * Goal: a reader of pages reaches the section of a name however long the chain is, and no peer
 * makes it read without end (N31). Method: a toy network that hands over and splits, elders that
 * send honest pages, and liars whose pages make no progress.
 */
import { expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import {
  maxPages,
  startChainSync,
  chainPageFor,
  stepChainSync,
  type ChainSync,
} from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  sectionProofOf,
  sectionFor,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { both, genesis, nameUnder, only, sign, succeed } from '../section/network.ts';
import { checked, keyOf, knowing, lineFrom } from './support.ts';

const genesisSection = genesis('reading', 4);
const { anchor } = genesisSection;
const [zero, one] = both(succeed(genesisSection, 'r zero', 'r one').children);
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');
const long = lineFrom(zero, 40, 'r long');
const last = long.at(-1) ?? zero;
const whole = knowing(anchor, last);

/** One reader and one peer, without the waiting. */
function read(
  start: SectionTree,
  name: Uint8Array,
  peer: (from: Uint8Array) => SectionProof | null,
  turn: typeof stepChainSync = stepChainSync,
) {
  let tree = start;
  let sync: ChainSync = startChainSync(tree, name);
  for (let asked = 1; ; asked++) {
    const shown = peer(sync.from);
    const updated = shown === null ? undefined : checked(tree, shown);
    tree = updated ?? tree;
    const turned = turn(tree, sync, updated === undefined ? null : shown);
    if (turned.kind !== 'ask' || asked > 2 * maxPages) return { tree, asked, end: turned.kind };
    ({ sync } = turned);
  }
}

const honest = (from: Uint8Array): SectionProof => chainPageFor(whole, from, sign(last, 0));

test('N31: forty-one handovers are read in three pages, and fewer from the middle', () => {
  const read1 = read(createTree(anchor), inZero, honest);
  expect(read1).toMatchObject({ asked: 3, end: 'complete' });
  expect(sectionFor(read1.tree, inZero)?.key).toEqual(keyOf(last));
  expect(read(knowing(anchor, long[30] ?? zero), inZero, honest).asked).toBe(1);
  expect(read(read1.tree, inZero, honest)).toMatchObject({ asked: 1, end: 'complete' });
});

test('N31: a reader that knows one half of a split reads forty handovers of the other', () => {
  const done = read(knowing(anchor, one), inZero, honest);
  expect(done).toMatchObject({ asked: 3, end: 'complete' });
  expect(sectionFor(done.tree, inZero)?.key).toEqual(keyOf(last));
  expect(sectionFor(done.tree, inOne)?.key).toEqual(keyOf(one));
});

test('N31: the next page is never requested from a later key of another branch', () => {
  const other = lineFrom(one, 20, 'r other').at(-1) ?? one;
  const tree = knowing(anchor, other);
  const done = read(whole, inOne, (from) => chainPageFor(tree, from, sign(other, 0)));
  expect(done).toMatchObject({ asked: 2, end: 'complete' });
  expect(sectionFor(done.tree, inOne)?.key).toEqual(keyOf(other));
});

test('N30, N31: after a page without progress, without proof, or without answer, the reader stops', () => {
  const foreign = genesis('elsewhere', 1);
  const forged = only(succeed(last, 'r forged').children).chain.slice(-1);
  const unsigned = forged.map((link) => ({ ...link, signature: new Uint8Array(48).fill(7) }));
  const liars: Readonly<Record<string, () => SectionProof | null>> = {
    silent: () => null,
    empty: () => ({ links: [], authority: null }),
    repeating: () => ({ links: last.chain.slice(0, 16), authority: null }),
    foreign: () => sectionProofOf(sign(foreign)),
    otherSide: () => ({ links: one.chain, authority: null }),
    unsigned: () => ({ links: unsigned, authority: null }),
  };
  for (const [name, liar] of Object.entries(liars)) {
    expect([name, read(whole, inZero, liar)]).toMatchObject([name, { asked: 1, end: 'deadEnd' }]);
  }
  // One link at a time is slow but makes progress; the same page twice ends it.
  let at = 0;
  const slow = () => ({ links: last.chain.slice(at, ++at), authority: null });
  expect(read(createTree(anchor), inZero, slow)).toMatchObject({ asked: 42, end: 'deadEnd' });
});

test('N31: a chain of more than 4096 links is given up', () => {
  const tree = knowing(anchor, long[1] ?? zero);
  const reading = { name: inZero, from: keyOf(zero), pages: maxPages };
  const page = { links: last.chain.slice(1, 2), authority: null };
  expect(stepChainSync(tree, reading, page)).toEqual({ kind: 'deadEnd' });
  expect(stepChainSync(tree, { ...reading, pages: maxPages - 1 }, page)).toEqual({
    kind: 'ask',
    sync: { name: inZero, from: keyOf(long[1] ?? zero), pages: maxPages },
  });
});

test('planted: N31: a reader that continues after a page without progress never stops', () => {
  const unbounded: typeof stepChainSync = (tree, sync, page) =>
    page?.authority === null ? { kind: 'ask', sync } : stepChainSync(tree, sync, page);
  const repeating = () => ({ links: last.chain.slice(0, 16), authority: null });
  expect(read(createTree(anchor), inZero, repeating, unbounded).asked).toBeGreaterThan(maxPages);
  expect(read(createTree(anchor), inZero, repeating).asked).toBe(2);
});
