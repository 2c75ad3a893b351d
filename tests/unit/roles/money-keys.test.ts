/** Goal: what a client tells its payments is what its verified tree says: who signs, and who did (N34). */
import { expect, test } from 'vitest';
import { showPrefix } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  emptyTree,
  learn,
  proofOf,
  storedUpdate,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import { both, genesis, only, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('money keys', 2);
const first = succeed(born, 'first');
const next = only(first.children);
const split = succeed(next, 'zero', 'one');
const [zero, one] = both(split.children);

const knowing = (...proofs: readonly SectionProof[]): SectionTree =>
  proofs.reduce((tree, proof) => learn(tree, storedUpdate(proof)).tree, emptyTree(born.anchor));
const told = (living: Living): SectionProof => proofOf(sign(living));
const shown = (tree: SectionTree) => {
  const { current, superseded } = moneyKeysOf(tree);
  return {
    current: current.map(({ prefix, epoch }) => `${showPrefix(prefix)} ${epoch}`),
    superseded: superseded.map(({ prefix, epoch }) => `${showPrefix(prefix)} ${epoch}`),
  };
};

test('the genesis section alone signs, and nobody did before', () => {
  expect(shown(knowing(told(born)))).toEqual({ current: ['() 0'], superseded: [] });
});

test('N34: a key that named its successor counts by its sealed root only', () => {
  const tree = knowing(told(born), told(next));
  expect(shown(tree)).toEqual({ current: ['() 1'], superseded: ['() 0'] });
  const [ended] = moneyKeysOf(tree).superseded;
  expect(toHex(ended?.key ?? new Uint8Array())).toBe(toHex(born.anchor.genesisKey));
  expect(ended?.sealedRoot).toEqual(first.link.record.sealedRoot);
});

test('after a split both halves sign, and the whole does not, even before both were shown', () => {
  const link = { links: [first.link, split.link], authority: null };
  expect(shown(knowing(told(born), told(next), link))).toEqual({
    current: [],
    superseded: ['() 0', '() 1'],
  });
  expect(shown(knowing(told(zero)))).toEqual({ current: ['0 2'], superseded: ['() 0', '() 1'] });
  expect(shown(knowing(told(zero), told(one)))).toEqual({
    current: ['0 2', '1 2'],
    superseded: ['() 0', '() 1'],
  });
});
