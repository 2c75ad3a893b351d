/**
 * Goal: whoever reads pages of links comes to the section of a name however long the way is, and no
 * peer makes it read for ever (N31). Method: a toy network that hands over and splits, elders that
 * show honest pages, and liars that show what leads nowhere.
 */
import { expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import {
  maxPages,
  openReading,
  pageFor,
  turnPage,
  type Reading,
} from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  proofOf,
  sectionFor,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { both, genesis, nameUnder, only, sign, succeed } from '../section/network.ts';
import { checked, keyOf, knowing, lineFrom } from './support.ts';

const born = genesis('reading', 4);
const { anchor } = born;
const [zero, one] = both(succeed(born, 'r zero', 'r one').children);
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');
const long = lineFrom(zero, 40, 'r long');
const last = long.at(-1) ?? zero;
const whole = knowing(anchor, last);

/** One reader and one peer; as the programs do it, without the waiting. */
function read(
  start: SectionTree,
  name: Uint8Array,
  peer: (from: Uint8Array) => SectionProof | null,
  turn: typeof turnPage = turnPage,
) {
  let tree = start;
  let reading: Reading = openReading(tree, name);
  for (let asked = 1; ; asked++) {
    const shown = peer(reading.from);
    const wiser = shown === null ? undefined : checked(tree, shown);
    tree = wiser ?? tree;
    const turned = turn(tree, reading, wiser === undefined ? null : shown);
    if (turned.kind !== 'ask' || asked > 2 * maxPages) return { tree, asked, end: turned.kind };
    ({ reading } = turned);
  }
}

const honest = (from: Uint8Array): SectionProof => pageFor(whole, from, sign(last, 0));

test('N31: forty-one handovers are read in three pages, and from the middle in what is left', () => {
  const read1 = read(emptyTree(anchor), inZero, honest);
  expect(read1).toMatchObject({ asked: 3, end: 'arrived' });
  expect(sectionFor(read1.tree, inZero)?.key).toEqual(keyOf(last));
  expect(read(knowing(anchor, long[30] ?? zero), inZero, honest).asked).toBe(1);
  expect(read(read1.tree, inZero, honest)).toMatchObject({ asked: 1, end: 'arrived' });
});

test('N31: whoever knows one half of a split reads forty handovers of the other', () => {
  const done = read(knowing(anchor, one), inZero, honest);
  expect(done).toMatchObject({ asked: 3, end: 'arrived' });
  expect(sectionFor(done.tree, inZero)?.key).toEqual(keyOf(last));
  expect(sectionFor(done.tree, inOne)?.key).toEqual(keyOf(one));
});

test('N31: a later key of another branch is not what the next page is asked from', () => {
  const other = lineFrom(one, 20, 'r other').at(-1) ?? one;
  const tree = knowing(anchor, other);
  const done = read(whole, inOne, (from) => pageFor(tree, from, sign(other, 0)));
  expect(done).toMatchObject({ asked: 2, end: 'arrived' });
  expect(sectionFor(done.tree, inOne)?.key).toEqual(keyOf(other));
});

test('N30, N31: a page that leads nowhere, is not proven, or does not come, is the last one', () => {
  const stranger = genesis('elsewhere', 1);
  const forged = only(succeed(last, 'r forged').children).chain.slice(-1);
  const unsigned = forged.map((link) => ({ ...link, signature: new Uint8Array(48).fill(7) }));
  const liars: Readonly<Record<string, () => SectionProof | null>> = {
    silent: () => null,
    empty: () => ({ links: [], authority: null }),
    repeating: () => ({ links: last.chain.slice(0, 16), authority: null }),
    stranger: () => proofOf(sign(stranger)),
    otherSide: () => ({ links: one.chain, authority: null }),
    unsigned: () => ({ links: unsigned, authority: null }),
  };
  for (const [name, liar] of Object.entries(liars)) {
    expect([name, read(whole, inZero, liar)]).toMatchObject([
      name,
      { asked: 1, end: 'ledNowhere' },
    ]);
  }
  // One link at a time is slow, and leads on; then the same page twice ends it.
  let at = 0;
  const slow = () => ({ links: last.chain.slice(at, ++at), authority: null });
  expect(read(emptyTree(anchor), inZero, slow)).toMatchObject({ asked: 42, end: 'ledNowhere' });
});

test('N31: a way of more than 4096 links is given up', () => {
  const tree = knowing(anchor, long[1] ?? zero);
  const reading = { name: inZero, from: keyOf(zero), pages: maxPages };
  const page = { links: last.chain.slice(1, 2), authority: null };
  expect(turnPage(tree, reading, page)).toEqual({ kind: 'ledNowhere' });
  expect(turnPage(tree, { ...reading, pages: maxPages - 1 }, page)).toEqual({
    kind: 'ask',
    reading: { name: inZero, from: keyOf(long[1] ?? zero), pages: maxPages },
  });
});

test('planted: N31: a reader that asks on after a page that leads nowhere asks for ever', () => {
  const stubborn: typeof turnPage = (tree, reading, page) =>
    page?.authority === null ? { kind: 'ask', reading } : turnPage(tree, reading, page);
  const repeating = () => ({ links: last.chain.slice(0, 16), authority: null });
  expect(read(emptyTree(anchor), inZero, repeating, stubborn).asked).toBeGreaterThan(maxPages);
  expect(read(emptyTree(anchor), inZero, repeating).asked).toBe(2);
});
