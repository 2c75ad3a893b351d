/**
 * Goal: disk use does not grow with the node's age, and a start from the remaining facts yields the same
 * state. Method: elders fail and the section hands over, under crashes; each start runs twice, on all
 * facts and on those left after every sealed state.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { decodeSealedState, encodeSealedState } from '#protocol/section/index.ts';
import { prunableAfter, sectionNode, type SectionNodeFact } from '#roles/section-node/index.ts';
import { runHandover } from '../../../sim/scenarios/handover.ts';
import type { SectionMachine } from '../../../sim/section/section-check.ts';
import { createPrng } from '../../../sim/prng.ts';
import { foundSection, faultyNetwork } from '../../../sim/section/section-world.ts';

/** As the store does it: prunes after every sealed state. */
const kept = (facts: readonly SectionNodeFact[]): readonly SectionNodeFact[] =>
  facts.reduce<readonly SectionNodeFact[]>((before, fact) => {
    const all = [...before, fact];
    if (fact.kind !== 'sealed') return all;
    const gone = new Set(prunableAfter(all));
    return all.filter((_, at) => !gone.has(at));
  }, []);

test('N11: a start on the remaining facts equals a start on all facts', () => {
  const diskOf = new Map<string, SectionNodeFact[]>();
  let starts = 0;
  let most = 0;
  const machine: SectionMachine = {
    ...sectionNode,
    step: (config, state, event, context) => {
      const step = sectionNode.step(config, state, event, context);
      const facts = diskOf.get(config.self) ?? [];
      const fresh = step.effects.flatMap((each) => (each.kind === 'persist' ? [each.fact] : []));
      diskOf.set(config.self, [...facts, ...fresh]);
      if (!fresh.some(({ kind }) => kind !== 'agreement' && kind !== 'dkg')) return step;
      const all = [...facts, ...fresh];
      const left = kept(all);
      const whole = sectionNode.start(config, all, context);
      const begun = sectionNode.start(config, left, context);
      expect(begun.effects).toEqual(whole.effects);
      expect(begun.state).toEqual(whole.state);
      starts += 1;
      most = Math.max(most, all.length);
      return step;
    },
  };
  const noLoss = {
    ...faultyNetwork,
    lostTail: { probability: 0, facts: [1, 1], maxNodes: 0 },
  } as const;
  const { violations } = runHandover(1, { machine, faults: noLoss });
  expect(violations).toEqual([]);
  expect(starts).toBeGreaterThan(50);
  expect(most).toBeGreaterThan(50);
  for (const facts of diskOf.values()) {
    const left = kept(facts);
    const count = (kind: SectionNodeFact['kind']): number =>
      left.filter((fact) => fact.kind === kind).length;
    // The newest one, and the last under the previous key if the node was a member then.
    const keys = left.flatMap((fact) => {
      const sealed = fact.kind === 'sealed' ? decodeSealedState(fact.sealed) : undefined;
      return sealed?.ok === true ? [toHex(sealed.value.state.authority.key)] : [];
    });
    expect([1, 2]).toContain(keys.length);
    expect(new Set(keys).size).toBe(keys.length);
    expect(count('agreement')).toBe(0); // The section has come to rest.
  }
});

test('N18: erased shares and ended key generations leave no facts', () => {
  const { sealed } = foundSection(createPrng(1), Array<number>(9).fill(6));
  const { key } = sealed.state.authority;
  const share = { kind: 'share', key, secretShare: new Uint8Array(32), index: 1 } as const;
  const facts: readonly SectionNodeFact[] = [
    { kind: 'joining', certificate: null },
    share,
    { kind: 'sessionOver', id: `${'ab'.repeat(32)}.0` },
    { kind: 'shareErased', key },
    { kind: 'removed' },
    { kind: 'removed' },
    { kind: 'sealed', sealed: encodeSealedState(sealed) },
  ];
  expect(kept(facts).map(({ kind }) => kind)).toEqual(['joining', 'removed', 'sealed']);
  expect(kept([...facts, share]).at(-1)).toBe(share);
});

test('without a sealed state no fact is prunable', () => {
  expect(prunableAfter([{ kind: 'joining', certificate: null }, { kind: 'removed' }])).toEqual([]);
});
