/**
 * Goal: the app reports a stalled section when fewer than five of its seven elders can answer this device,
 * neither before that is known nor longer than it is true (N29). Method: calls by name, with their outcome,
 * in the order in which they end.
 */
import { describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX } from '#address/prefix.ts';
import {
  isResponsive,
  retainPeers,
  recordCall,
  emptyHealth,
  stallStatus,
  type ElderHealth,
} from '../../../src/service-worker/light-node/elder-health.ts';
import { countsAsUnresponsive } from '../../../src/service-worker/light-node/elder-health-tracker.ts';

const elders = [...'abcdefg'];

/** `a+` was answered, `a-` was not; `boot` is a bootstrap node. */
const after = (calls: string, before: ElderHealth = emptyHealth): ElderHealth =>
  calls
    .split(' ')
    .filter(Boolean)
    .reduce((so, call) => recordCall(so, call.slice(0, -1), call.endsWith('+')), before);
const stall = (answering: ElderHealth) => stallStatus(answering, EMPTY_PREFIX, elders);

describe('N29: a stalled section is reported', () => {
  test('three of seven unresponsive, twice, while others answer', () => {
    expect(stall(after('a+ b+ c+ d+ e- f- g- a+ e- f-'))).toBeNull();
    expect(stall(after('a+ b+ c+ d+ e- f- g- a+ e- f- g-'))).toEqual({
      answering: 4,
      sentence:
        'The section cannot decide at the moment: 4 of its 7 elders answer this device, and 5 are needed. ' +
        'Payments wait and nothing is lost; files can still be read. Safe continues as soon as 5 answer again.',
    });
  });

  test('two unresponsive elders are tolerated', () => {
    expect(stall(after('a+ f- g- a+ f- g- a+ f- g-'))).toBeNull();
  });

  test('elders that were never asked count for neither side', () => {
    expect(stall(emptyHealth)).toBeNull();
    expect(stall(after('a+ b+'))).toBeNull();
    const said = stall(after('a+ e- f- g- a+ e- f- g-'));
    expect(said?.answering).toBe(1);
    expect(said?.sentence).toContain('at most 4 of its 7 elders answer this device');
  });

  test('the fifth answer ends the stall', () => {
    const away = after('a+ b+ c+ d+ e- f- g- a+ e- f- g-');
    expect(stall(after('e+', away))).toBeNull();
    // And one failed call is not yet a confirmed failure.
    expect(stall(after('e+ e-', away))).toBeNull();
    expect(stall(after('e+ e- a+ e-', away))).not.toBeNull();
  });

  test('only this device is disconnected → the section is not reported', () => {
    const cut = after('boot+ a+ b+ c+ d+ e+ f+ g+ a- b- c- d- e- f- g- boot- a- b- c- d- e- f- g-');
    expect(stall(cut)).toBeNull();
    // Back online: the first answer alone makes no elder unresponsive, only later failures do.
    expect(stall(after('boot+', cut))).toBeNull();
    expect(stall(after('boot+ a-', cut))).toBeNull();
    expect(stall(after('boot+ a+ b+ c+ d+ e+', cut))).toBeNull();
  });

  test('disconnected after a stall was reported → the report ends', () => {
    const away = after('a+ b+ c+ d+ e- f- g- a+ e- f- g-');
    expect(stall(after('a- b- c- d-', away))).toBeNull();
  });

  test('without any elder, files wait too, and a bootstrap node shows that we are connected', () => {
    const all = 'a- b- c- d- e- f- g-';
    expect(stall(after(`boot+ ${all} boot+ ${all}`))?.sentence).toBe(
      'The section cannot decide at the moment: none of its 7 elders answers this device, and 5 are needed. ' +
        'Payments and files wait; nothing is lost. Safe continues as soon as 5 answer again.',
    );
  });

  test('a single responsive elder counts, and a half is named', () => {
    const others = 'b- c- d- e- f- g-';
    const said = stallStatus(
      after(`a+ ${others} a+ ${others}`),
      child(child(EMPTY_PREFIX, 1), 0),
      elders,
    );
    expect(said?.sentence).toMatch(/^Section 10 cannot decide .*: 1 of its 7 elders answers this /);
  });

  test('elders of an ended epoch are dropped, and do not count for current ones', () => {
    const away = after('a+ b+ c+ d+ e- f- g- a+ e- f- g-');
    const kept = retainPeers(away, new Set([...'abcdefhi']));
    expect(isResponsive(kept, 'g')).toBeUndefined();
    expect(stallStatus(kept, EMPTY_PREFIX, [...'abcdehi'])).toBeNull();
  });

  test('a transport chosen by the person is no evidence about the elder', () => {
    expect(countsAsUnresponsive({ kind: 'unreachable' }, 'automatic')).toBe(true);
    expect(countsAsUnresponsive({ kind: 'unreachable' }, 'direct')).toBe(false);
    expect(countsAsUnresponsive({ kind: 'timeout' }, 'direct')).toBe(true);
    expect(countsAsUnresponsive({ kind: 'tooLarge' }, 'automatic')).toBe(false);
    expect(countsAsUnresponsive({ kind: 'timeout', congested: true }, 'automatic')).toBe(false);
  });
});
