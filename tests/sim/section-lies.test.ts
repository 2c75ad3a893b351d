/**
 * Goal: every lie is found out as its entry says: blamed with one of its faults, or, where a word
 * proves nothing about who said it, borne by honest nodes without harm.
 * Method: one lie at a time in a few seeds of the scenarios where it can be told, with every blame
 * of an honest node read along. A lie that nobody tells in them fails.
 */
import { expect, test, vi } from 'vitest';
import { sectionNode } from '#roles/section-node/index.ts';
import { runHandover } from './scenarios/handover.ts';
import { runRelocation } from './scenarios/relocation.ts';
import type { SectionMachine } from './section-check.ts';
import { inventedWords, meddlingAdult, sectionLies, type SectionLie } from './section-lies.ts';

vi.setConfig({ testTimeout: 120_000 });

const stories = { handover: runHandover, relocation: runRelocation };
/** In the first of them an elder lies and all comes to an end. */
const handovers = [4, 3, 5, 6, 7, 8, 9, 10].map((seed) => ['handover', seed] as const);
/** Only where members move are there tickets. */
const moves = [1, 2, 3].map((seed) => ['relocation', seed] as const);

interface Heard {
  told: number;
  readonly blames: Set<string>;
}

function listen(lie: SectionLie, heard: Heard) {
  const liars = new Set<string>();
  const told: SectionLie = {
    ...lie,
    corrupt: (person, gossip) => {
      liars.add(person.id);
      const speak = lie.corrupt(person, gossip);
      return (message, to, prng) => {
        const words = speak(message, to, prng);
        if (words.length !== 1 || words[0] !== message) heard.told += 1;
        return words;
      };
    },
  };
  const read: SectionMachine['step'] = (config, state, event, context) => {
    const step = sectionNode.step(config, state, event, context);
    for (const effect of step.effects) {
      if (effect.kind !== 'blame' || liars.has(config.self)) continue;
      const { fault } = effect;
      if (liars.has(fault.culprit))
        heard.blames.add('fault' in fault ? fault.fault.kind : fault.kind);
    }
    return step;
  };
  return { lie: told, machine: { start: sectionNode.start, step: read } };
}

test.each([...sectionLies, inventedWords])('$name', (lie) => {
  const heard: Heard = { told: 0, blames: new Set() };
  const isFound = (): boolean =>
    (heard.told > 0 || heard.blames.size > 0) &&
    (lie.faults.length === 0 || lie.faults.some((fault) => heard.blames.has(fault)));
  for (const [story, seed] of lie.name.includes('ticket') ? moves : handovers) {
    const { violations, undelivered } = stories[story](seed, listen(lie, heard));
    expect({ seed, violations, undelivered }).toEqual({ seed, violations: [], undelivered: 0 });
    if (isFound()) break;
  }
  // Nobody told it: then these seeds show nothing about it. What a dealer's job lies about is seen
  // by the blame alone.
  expect(heard.told > 0 || heard.blames.size > 0).toBe(true);
  if (lie.faults.length === 0) return;
  const found = lie.faults.filter((fault) => heard.blames.has(fault));
  expect(found, `blamed: ${[...heard.blames].join(', ')}`).not.toEqual([]);
});

test('an adult that votes and endorses is blamed for it and changes nothing', () => {
  const heard: Heard = { told: 0, blames: new Set() };
  const { lie, machine } = listen(meddlingAdult, heard);
  const { violations, undelivered } = runRelocation(1, { meddling: lie, machine });
  expect({ violations, undelivered }).toEqual({ violations: [], undelivered: 0 });
  expect(heard.told).toBeGreaterThan(0);
  expect([...heard.blames]).toEqual(meddlingAdult.faults);
});
