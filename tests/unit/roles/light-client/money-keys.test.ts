/** Goal: a client's payments use the current and superseded keys of its verified tree (N34). */
import { expect, test } from 'vitest';
import { showPrefix } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  createTree,
  learn,
  sectionProofOf,
  trustedUpdate,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import { both, genesis, only, sign, succeed, type TestSection } from '../../section/network.ts';

const born = genesis('money keys', 2);
const first = succeed(born, 'first');
const next = only(first.children);
const split = succeed(next, 'zero', 'one');
const [zero, one] = both(split.children);

const knowing = (...proofs: readonly SectionProof[]): SectionTree =>
  proofs.reduce((tree, proof) => learn(tree, trustedUpdate(proof)).tree, createTree(born.anchor));
const proofOf = (living: TestSection): SectionProof => sectionProofOf(sign(living));
const shown = (tree: SectionTree) => {
  const { current, superseded } = moneyKeysOf(tree);
  return {
    current: current.map(({ prefix, epoch }) => `${showPrefix(prefix)} ${epoch}`),
    superseded: superseded.map(({ prefix, epoch }) => `${showPrefix(prefix)} ${epoch}`),
  };
};

test('only the genesis section signs, and no key is superseded', () => {
  expect(shown(knowing(proofOf(born)))).toEqual({ current: ['() 0'], superseded: [] });
});

test('N34: a key with a known successor counts only by its sealed root', () => {
  const tree = knowing(proofOf(born), proofOf(next));
  expect(shown(tree)).toEqual({ current: ['() 1'], superseded: ['() 0'] });
  const [ended] = moneyKeysOf(tree).superseded;
  expect(toHex(ended?.key ?? new Uint8Array())).toBe(toHex(born.anchor.genesisKey));
  expect(ended?.sealedRoot).toEqual(first.link.record.sealedRoot);
});

test('after a split both halves sign and the parent does not, even before both are known', () => {
  const link = { links: [first.link, split.link], authority: null };
  expect(shown(knowing(proofOf(born), proofOf(next), link))).toEqual({
    current: [],
    superseded: ['() 0', '() 1'],
  });
  expect(shown(knowing(proofOf(zero)))).toEqual({ current: ['0 2'], superseded: ['() 0', '() 1'] });
  expect(shown(knowing(proofOf(zero), proofOf(one)))).toEqual({
    current: ['0 2', '1 2'],
    superseded: ['() 0', '() 1'],
  });
});
