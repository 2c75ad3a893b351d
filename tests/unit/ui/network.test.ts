/** Goal: the Network page draws the tree of the sections, and describes their changes. */
import { describe, expect, test } from 'vitest';
import type { NetworkView, SectionView } from '../../../src/bridge/worker-messages.ts';
import { NetworkController } from '../../../src/ui/network/network-controller.svelte.ts';
import { changesBetween, layOutTree, prefixTree } from '../../../src/ui/network/section-tree.ts';
import type { App } from '../../../src/ui/shared/app.svelte.ts';

const node = (name: string, age = 5) => ({ name: name.repeat(6), age });
const section = (
  prefix: string,
  key: string,
  elders: string,
  adults: string,
  epoch = 0,
): SectionView => ({
  prefix,
  key,
  epoch,
  generation: epoch * 10,
  elders: [...elders].map((name) => ({
    ...node(name, 90),
    transport: null,
    state: 'idle',
    roundTripMs: null,
    bytesIn: 0,
    bytesOut: 0,
  })),
  adults: [...adults].map((name) => node(name)),
  stall: null,
});
const whole = section('()', 'k0', 'abcdefg', 'hij');

describe('the tree', () => {
  test('one section is one leaf over all names', () => {
    expect(layOutTree(prefixTree([whole]))).toEqual([
      { bits: '', depth: 0, from: 0, to: 1, section: whole, isLeaf: true },
    ]);
  });

  test('each half gets half the width, and an unknown half stays visible', () => {
    const known = [section('0', 'k1', 'a', ''), section('110', 'k2', 'b', '')];
    const leaves = layOutTree(prefixTree(known)).filter(({ isLeaf }) => isLeaf);
    expect(leaves.map(({ bits, from, to, section: at }) => [bits, from, to, at?.key])).toEqual([
      ['0', 0, 0.5, 'k1'],
      ['10', 0.5, 0.75, undefined],
      ['110', 0.75, 0.875, 'k2'],
      ['111', 0.875, 1, undefined],
    ]);
  });
});

describe('changes', () => {
  test('neither the first view nor another transport is a change', () => {
    expect(changesBetween([], [whole])).toEqual([]);
    expect(changesBetween([whole], [{ ...whole, generation: 4 }])).toEqual([]);
  });

  test('members come and go', () => {
    expect(changesBetween([whole], [section('()', 'k0', 'abcdefg', 'ijk')])).toEqual([
      'kkkkkk joined the section.',
      'hhhhhh is no longer in the section.',
    ]);
  });

  test('a handover names the new elders', () => {
    expect(changesBetween([whole], [section('()', 'k1', 'abcdefh', 'ij', 1)])).toEqual([
      'The section handed over to a new key, epoch 1; new among its elders: hhhhhh.',
    ]);
  });

  test('each half of a split is shown as soon as it is proven', () => {
    const zero = section('0', 'k1', 'abcdefg', '', 1);
    const one = section('1', 'k2', 'hijklmn', '', 1);
    expect(changesBetween([whole], [whole, zero])).toEqual([
      'The section split: 0 has elders of its own now.',
    ]);
    expect(changesBetween([zero], [zero, one])).toEqual(['Section 1 was verified.']);
  });

  test('the newest is first, and only a few are kept', () => {
    const controller = new NetworkController({} as App);
    const see = (sections: readonly SectionView[]): void =>
      controller.update({ sections } as NetworkView);
    controller.update(null);
    for (let epoch = 0; epoch < 12; epoch++) see([section('()', `k${epoch}`, 'a', '', epoch)]);
    expect(controller.changes).toHaveLength(8);
    expect(controller.changes[0]?.sentence).toContain('epoch 11');
  });
});
