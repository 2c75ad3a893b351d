/**
 * Goal: however many keys a network has had, current sections stay known, their money is checked, and
 * pins are read back unchanged (SECTION-T7, N33, N34).
 * Method: a fast section with thousands of handovers next to a slow one; links count as verified.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import {
  createTree,
  learn,
  maxKnownKeys,
  planUpdate,
  trustedUpdate,
  type SectionTree,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import { decodeTrustStore, encodeTrustStore } from '#roles/light-client/stored-sections.ts';
import { both, genesis, only, sign, succeed, type TestSection } from '../../section/network.ts';

const born = genesis('many', 0);
const [fast, slowFirst] = both(succeed(born, 'fast', 'slow').children);
const slow = only(succeed(slowFirst, 'slow later').children);
const keyOf = ({ state }: TestSection): string => toHex(state.authority.key);

const learnt = (tree: SectionTree, living: TestSection, links: number): SectionTree =>
  learn(
    tree,
    trustedUpdate({
      links: links === 0 ? [] : living.chain.slice(-links),
      authority: sign(living, 0),
    }),
  ).tree;

/**
 * The fast section after `count` handovers. The links are copies of one with other keys: signatures are
 * not checked here, and real key generations would take minutes.
 */
function afterHandovers(count: number) {
  let tree = learnt(learnt(createTree(born.anchor), fast, 1), slow, 2);
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
    ({ tree } = learn(tree, trustedUpdate(proof)));
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

test('a slow section next to a fast one is never pruned, and pins are read back unchanged', () => {
  const { tree, newest } = afterHandovers(maxKnownKeys + 50);
  expect(tree.keys.size).toBeLessThanOrEqual(maxKnownKeys);
  expect(tree.keys.has(keyOf(slow))).toBe(true);
  // The chain of the slow one is complete, so its next state has a known key.
  expect(tree.keys.has(keyOf(slowFirst))).toBe(true);
  const next = only(succeed(slow, 'slow at last').children);
  const proof = { links: next.chain.slice(-1), authority: sign(next, 0) };
  expect(planUpdate(tree, proof).kind).toBe('verify');
  const currentKeys = (of: SectionTree) =>
    moneyKeysOf(of)
      .current.map(({ key }) => toHex(key))
      .sort();
  expect(currentKeys(tree)).toEqual([keyOf(slow), keyOf(newest)].sort());

  let read = tree;
  for (let life = 0; life < 2; life++) {
    const pins = decodeTrustStore(encodeTrustStore({ tree: read, fork: null }), born.anchor);
    if (pins === undefined) throw new Error('pins that can be read');
    expect([...pins.tree.keys.keys()].sort()).toEqual([...tree.keys.keys()].sort());
    expect(currentKeys(pins.tree)).toEqual(currentKeys(tree));
    for (const [id, key] of tree.keys) {
      expect(pins.tree.keys.get(id)?.successor === null).toBe(key.successor === null);
    }
    read = pins.tree;
  }
  const later = only(succeed({ ...newest, chain: [] }, 'fast at last').children);
  expect(learnt(read, later, 1).keys.has(keyOf(later))).toBe(true);
}, 120_000);
