/**
 * Goal: a node's disk keeps what the present needs and not the node's whole life, and a start on what
 * is left is the same start. Method: elders die and the section hands over, under crashes; each start
 * is made twice, once on all facts and once on those left after every sealed state.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { decodeSealedState, encodeSealedState } from '#protocol/section/index.ts';
import { obsoleteAfter, sectionNode, type SectionNodeFact } from '#roles/section-node/index.ts';
import { runHandover } from '../../sim/scenarios/handover.ts';
import type { SectionMachine } from '../../sim/section-check.ts';
import { createPrng } from '../../sim/prng.ts';
import { found, rough } from '../../sim/section-world.ts';

/** As the store does it: after every sealed state what is obsolete then. */
const kept = (facts: readonly SectionNodeFact[]): readonly SectionNodeFact[] =>
  facts.reduce<readonly SectionNodeFact[]>((before, fact) => {
    const all = [...before, fact];
    if (fact.kind !== 'sealed') return all;
    const gone = new Set(obsoleteAfter(all));
    return all.filter((_, at) => !gone.has(at));
  }, []);

test('N11: a start on the facts that are left is the start on all of them', () => {
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
  const noLoss = { ...rough, lostTail: { probability: 0, facts: [1, 1], maxNodes: 0 } } as const;
  const { violations } = runHandover(1, { machine, faults: noLoss });
  expect(violations).toEqual([]);
  expect(starts).toBeGreaterThan(50);
  expect(most).toBeGreaterThan(50);
  for (const facts of diskOf.values()) {
    const left = kept(facts);
    const count = (kind: SectionNodeFact['kind']): number =>
      left.filter((fact) => fact.kind === kind).length;
    // The newest one, and the last under the key before if the node was a member then.
    const keys = left.flatMap((fact) => {
      const sealed = fact.kind === 'sealed' ? decodeSealedState(fact.sealed) : undefined;
      return sealed?.ok === true ? [toHex(sealed.value.state.authority.key)] : [];
    });
    expect([1, 2]).toContain(keys.length);
    expect(new Set(keys).size).toBe(keys.length);
    expect(count('agreement')).toBe(0); // The section has come to rest.
  }
});

test('N18: of an erased share nothing is left, and of an ended key generation neither', () => {
  const { sealed } = found(createPrng(1), Array<number>(9).fill(6));
  const { key } = sealed.state.authority;
  const share = { kind: 'share', key, secretShare: new Uint8Array(32), index: 1 } as const;
  const facts: readonly SectionNodeFact[] = [
    { kind: 'joining', ticket: null },
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

test('without a sealed state nothing is obsolete', () => {
  expect(obsoleteAfter([{ kind: 'joining', ticket: null }, { kind: 'removed' }])).toEqual([]);
});
