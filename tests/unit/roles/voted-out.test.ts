/** Goal: a node that its section has voted out knows that for good, and asks nobody to be let in. */
import { expect, test } from 'vitest';
import { encodeSealedState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeFact } from '#roles/section-node/index.ts';
import { createPrng } from '../../sim/prng.ts';
import { found, nameFor, personFor, usualPace } from '../../sim/section-world.ts';

const prng = createPrng(7);
const { anchor, people, sealed } = found(prng, Array<number>(9).fill(6));
const state: SectionNodeFact = { kind: 'sealed', sealed: encodeSealedState(sealed) };
const context = { now: 0, entropy: new Uint8Array(32) };
const stranger = personFor(anchor, usualPace, nameFor(prng, 6));

const start = (facts: readonly SectionNodeFact[], config = stranger.config) => {
  const { effects } = sectionNode.start(config, facts, context);
  return {
    outputs: effects.flatMap((each) => (each.kind === 'output' ? [each.output.kind] : [])),
    sent: effects.filter(({ kind }) => kind === 'send').length,
  };
};

test('N40: it is said at every start, before the role', () => {
  const facts: readonly SectionNodeFact[] = [
    { kind: 'joining', ticket: null },
    state,
    { kind: 'removed' },
  ];
  expect(start(facts)).toEqual({ outputs: ['removed', 'adopted'], sent: 0 });
  expect(start([...facts, { kind: 'removed' }]).outputs).toEqual(['removed', 'adopted']);
});

test('a node that never was a member, and one that is, hear nothing of it', () => {
  expect(start([{ kind: 'joining', ticket: null }, state]).outputs).toEqual(['adopted']);
  expect(start([state], people[8]?.config).outputs).toEqual(['adopted']);
});
