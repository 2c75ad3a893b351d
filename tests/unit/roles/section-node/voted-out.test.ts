/** Goal: a voted-out node stays out after restarts, and sends no join request. */
import { expect, test } from 'vitest';
import { encodeSealedState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeFact } from '#roles/section-node/index.ts';
import { createPrng } from '../../../sim/prng.ts';
import {
  foundSection,
  nameFor,
  simNodeFor,
  usualSectionPace,
} from '../../../sim/section/section-world.ts';

const prng = createPrng(7);
const { anchor, simNodes, sealed } = foundSection(prng, Array<number>(9).fill(6));
const state: SectionNodeFact = { kind: 'sealed', sealed: encodeSealedState(sealed) };
const context = { now: 0, entropy: new Uint8Array(32) };
const outsider = simNodeFor(anchor, usualSectionPace, nameFor(prng, 6));

const start = (facts: readonly SectionNodeFact[], config = outsider.config) => {
  const { effects } = sectionNode.start(config, facts, context);
  return {
    outputs: effects.flatMap((each) => (each.kind === 'output' ? [each.output.kind] : [])),
    sent: effects.filter(({ kind }) => kind === 'send').length,
  };
};

test('N40: `removed` is output at every start, before the role', () => {
  const facts: readonly SectionNodeFact[] = [
    { kind: 'joining', certificate: null },
    state,
    { kind: 'removed' },
  ];
  expect(start(facts)).toEqual({ outputs: ['removed', 'adopted'], sent: 0 });
  expect(start([...facts, { kind: 'removed' }]).outputs).toEqual(['removed', 'adopted']);
});

test('a node that never was a member, and a current member, do not output `removed`', () => {
  expect(start([{ kind: 'joining', certificate: null }, state]).outputs).toEqual(['adopted']);
  expect(start([state], simNodes[8]?.config).outputs).toEqual(['adopted']);
});
