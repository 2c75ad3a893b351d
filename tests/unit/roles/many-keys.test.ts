/**
 * Goal: however many keys a network has had, a section that speaks is known, money of it is judged, and
 * what was pinned is read again as it was (T7, N33, N34).
 * Method: a fast section of thousands of handovers beside a slow one; links are taken as verified.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import {
  emptyTree,
  learn,
  maxKnownKeys,
  planUpdate,
  storedUpdate,
  type SectionTree,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import { decodePins, encodePins } from '#roles/light-client/pins.ts';
import { both, genesis, only, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('many', 0);
const [fast, slowFirst] = both(succeed(born, 'fast', 'slow').children);
const slow = only(succeed(slowFirst, 'slow later').children);
const keyOf = ({ state }: Living): string => toHex(state.authority.key);

const learnt = (tree: SectionTree, living: Living, links: number): SectionTree =>
  learn(
    tree,
    storedUpdate({
      links: links === 0 ? [] : living.chain.slice(-links),
      authority: sign(living, 0),
    }),
  ).tree;

/**
 * The fast section as it is after so many handovers. The links between are copies of one with other keys:
 * whether they are signed is not looked at here, and real key generations would take minutes.
 */
function afterHandovers(count: number) {
  let tree = learnt(learnt(emptyTree(born.anchor), fast, 1), slow, 2);
  const { link: pattern } = succeed(fast, 'pattern');
  const { record } = pattern;
  const [child] = record.children;
  if (child === undefined) throw new Error('one child');
  let parentKey = fast.state.authority.key;
  for (let n = 0; n < count; n++) {
    const key = new Uint8Array(96).fill(9);
    new DataView(key.buffer).setUint32(0, n);
    const epoch = record.epoch + BigInt(n);
    const next = { ...record, parentKey, epoch, children: [{ ...child, key }] };
    const proof = { links: [{ ...pattern, record: next }], authority: null };
    ({ tree } = learn(tree, storedUpdate(proof)));
    parentKey = key;
  }
  const { authority, ledger } = fast.state;
  const epoch = authority.epoch + BigInt(count);
  const last = {
    ...fast,
    chain: [],
    state: { authority: { ...authority, key: parentKey, epoch }, ledger },
  };
  const newest = only(succeed(last, 'fast now').children);
  return { tree: learnt(tree, newest, 1), newest };
}

test('a slow section beside a fast one is never forgotten, and pins are read back whole', () => {
  const { tree, newest } = afterHandovers(maxKnownKeys + 50);
  expect(tree.keys.size).toBeLessThanOrEqual(maxKnownKeys);
  expect(tree.keys.has(keyOf(slow))).toBe(true);
  // The way of the slow one is whole, and its next state is no unknown key.
  expect(tree.keys.has(keyOf(slowFirst))).toBe(true);
  const next = only(succeed(slow, 'slow at last').children);
  const proof = { links: next.chain.slice(-1), authority: sign(next, 0) };
  expect(planUpdate(tree, proof).kind).toBe('verify');
  const speaking = (of: SectionTree) =>
    moneyKeysOf(of)
      .current.map(({ key }) => toHex(key))
      .sort();
  expect(speaking(tree)).toEqual([keyOf(slow), keyOf(newest)].sort());

  let read = tree;
  for (let life = 0; life < 2; life++) {
    const pins = decodePins(encodePins({ tree: read, fork: null }), born.anchor);
    if (pins === undefined) throw new Error('pins that can be read');
    expect([...pins.tree.keys.keys()].sort()).toEqual([...tree.keys.keys()].sort());
    expect(speaking(pins.tree)).toEqual(speaking(tree));
    for (const [id, key] of tree.keys) {
      expect(pins.tree.keys.get(id)?.successor === null).toBe(key.successor === null);
    }
    read = pins.tree;
  }
  const later = only(succeed({ ...newest, chain: [] }, 'fast at last').children);
  expect(learnt(read, later, 1).keys.has(keyOf(later))).toBe(true);
}, 120_000);
