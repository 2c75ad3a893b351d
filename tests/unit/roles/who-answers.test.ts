/**
 * Goal: a person is told that a section cannot decide when fewer than five of its seven elders can
 * answer this device, and neither before that is known nor longer than it is true (N29).
 * Method: calls by name, with their outcome, in the order in which they end.
 */
import { describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX } from '#address/prefix.ts';
import {
  answersNow,
  keepOnly,
  noteCall,
  nobodyAsked,
  stallOf,
  type Answering,
} from '../../../src/service-worker/answering.ts';
import { isSilence } from '../../../src/service-worker/who-answers.ts';

const elders = [...'abcdefg'];

/** `a+` was answered, `a-` was not; `boot` is a bootstrap node. */
const after = (calls: string, before: Answering = nobodyAsked): Answering =>
  calls
    .split(' ')
    .filter(Boolean)
    .reduce((so, call) => noteCall(so, call.slice(0, -1), call.endsWith('+')), before);
const stall = (answering: Answering) => stallOf(answering, EMPTY_PREFIX, elders);

describe('N29: a section that cannot decide is told of', () => {
  test('three of seven silent, twice, while others answer', () => {
    expect(stall(after('a+ b+ c+ d+ e- f- g- a+ e- f-'))).toBeNull();
    expect(stall(after('a+ b+ c+ d+ e- f- g- a+ e- f- g-'))).toEqual({
      answering: 4,
      sentence:
        'The section cannot decide at the moment: 4 of its 7 elders answer this device, and 5 are needed. ' +
        'Payments wait and nothing is lost; files can still be read. It goes on by itself as soon as 5 answer again.',
    });
  });

  test('two silent are what the section bears', () => {
    expect(stall(after('a+ f- g- a+ f- g- a+ f- g-'))).toBeNull();
  });

  test('who was never asked counts for neither side', () => {
    expect(stall(nobodyAsked)).toBeNull();
    expect(stall(after('a+ b+'))).toBeNull();
    const said = stall(after('a+ e- f- g- a+ e- f- g-'));
    expect(said?.answering).toBe(1);
    expect(said?.sentence).toContain('at most 4 of its 7 elders answer this device');
  });

  test('it goes away with the answer that makes five', () => {
    const away = after('a+ b+ c+ d+ e- f- g- a+ e- f- g-');
    expect(stall(after('e+', away))).toBeNull();
    // And one call that fails again is not yet a second time.
    expect(stall(after('e+ e-', away))).toBeNull();
    expect(stall(after('e+ e- a+ e-', away))).not.toBeNull();
  });

  test('this device alone is cut off: nothing is said about the section', () => {
    const cut = after('boot+ a+ b+ c+ d+ e+ f+ g+ a- b- c- d- e- f- g- boot- a- b- c- d- e- f- g-');
    expect(stall(cut)).toBeNull();
    // Back again: the first answer alone makes no elder silent, only what fails after it does.
    expect(stall(after('boot+', cut))).toBeNull();
    expect(stall(after('boot+ a-', cut))).toBeNull();
    expect(stall(after('boot+ a+ b+ c+ d+ e+', cut))).toBeNull();
  });

  test('cut off after it was told: it is told no more', () => {
    const away = after('a+ b+ c+ d+ e- f- g- a+ e- f- g-');
    expect(stall(after('a- b- c- d-', away))).toBeNull();
  });

  test('with no elder at all, files wait too, and a bootstrap node shows that we are connected', () => {
    const all = 'a- b- c- d- e- f- g-';
    expect(stall(after(`boot+ ${all} boot+ ${all}`))?.sentence).toBe(
      'The section cannot decide at the moment: none of its 7 elders answers this device, and 5 are needed. ' +
        'Payments and files wait; nothing is lost. It goes on by itself as soon as 5 answer again.',
    );
  });

  test('one elder left is one that answers, and a half is named', () => {
    const others = 'b- c- d- e- f- g-';
    const said = stallOf(
      after(`a+ ${others} a+ ${others}`),
      child(child(EMPTY_PREFIX, 1), 0),
      elders,
    );
    expect(said?.sentence).toMatch(/^Section 10 cannot decide .*: 1 of its 7 elders answers this /);
  });

  test('elders of an ended epoch are forgotten, and do not count for those of today', () => {
    const away = after('a+ b+ c+ d+ e- f- g- a+ e- f- g-');
    const kept = keepOnly(away, new Set([...'abcdefhi']));
    expect(answersNow(kept, 'g')).toBeUndefined();
    expect(stallOf(kept, EMPTY_PREFIX, [...'abcdehi'])).toBeNull();
  });

  test('a road that the person chose tells nothing about the elder', () => {
    expect(isSilence({ kind: 'unreachable' }, 'automatic')).toBe(true);
    expect(isSilence({ kind: 'unreachable' }, 'direct')).toBe(false);
    expect(isSilence({ kind: 'timeout' }, 'direct')).toBe(true);
    expect(isSilence({ kind: 'tooLarge' }, 'automatic')).toBe(false);
    expect(isSilence({ kind: 'timeout', congested: true }, 'automatic')).toBe(false);
  });
});
