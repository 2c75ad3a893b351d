/**
 * Goal: disk-full reports open vacancies when a share of the adults sends them, and only a bounded number
 * (N39).
 * Method: checks of one elder as numbers; one elder by hand whose requested vacancies are granted.
 */
import { expect, test } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { withLedgerRoot, encodeSealedState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeState } from '#roles/section-node/index.ts';
import {
  checkStorageNeed,
  checksBetweenOpenings,
  noStorageNeed,
  vacanciesInNeed,
} from '#roles/storage-need.ts';
import { simNodeFor, usualSectionPace } from '../../sim/section/section-world.ts';
import { genesis, grow, sign, type TestSection } from '../section/network.ts';

const adultsOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `adult ${n}`);

/** @returns vacancies opened in `looks` checks, if `full` always report a full disk */
function openedIn(looks: number, adults: readonly string[], full: readonly string[]): number {
  let need = noStorageNeed;
  let opened = 0;
  for (let look = 0; look < looks; look++) {
    const [next, places] = checkStorageNeed(need, adults, new Set(full));
    need = next;
    opened += places ?? 0;
  }
  return opened;
}

test('two full adults of nine open no vacancies', () => {
  const adults = adultsOf(9);
  expect(openedIn(1_000, adults, adults.slice(0, 2))).toBe(0);
});

test('a third of the adults full → vacancies, then none for a long time', () => {
  const adults = adultsOf(9);
  expect(openedIn(1, adults, adults.slice(0, 3))).toBe(vacanciesInNeed);
  expect(openedIn(checksBetweenOpenings, adults, adults)).toBe(vacanciesInNeed);
  expect(openedIn(2 * checksBetweenOpenings + 2, adults, adults)).toBe(2 * vacanciesInNeed);
});

test('reports of non-adults do not count', () => {
  expect(openedIn(10, adultsOf(3), ['elder', 'stranger', 'mover'])).toBe(0);
});

test('vacancies requested once are not requested again when they are filled', () => {
  const context = { now: 0, entropy: new Uint8Array(32) };
  const born = genesis('places', 6);
  const { elders, key } = born.state.authority;
  const name = toXorName(elders[0]?.name ?? key);
  const { config } = simNodeFor(born.anchor, usualSectionPace, name);
  const sealedOf = (living: TestSection, vacancies: number) => {
    const state = withLedgerRoot({
      ...living.state,
      ledger: { ...living.state.ledger, vacancies },
    });
    const { signature, chain } = sign({ ...living, state });
    return { state, signature, chain };
  };
  const share = { kind: 'share', key, secretShare: new Uint8Array(32).fill(1), index: 1 } as const;
  const own = { kind: 'sealed', sealed: encodeSealedState(sealedOf(born, 0)) } as const;
  let state: SectionNodeState = sectionNode.start(config, [own, share], context).state;
  const step = (event: Parameters<typeof sectionNode.step>[2]) => {
    const stepped = sectionNode.step(config, state, event, context);
    state = stepped.state;
    return stepped.effects;
  };
  const adopt = (living: TestSection, places: number): void => {
    const sealed = sealedOf(living, places);
    const message = {
      key,
      generation: living.state.authority.generation,
      payload: { kind: 'update', sealed: encodeSealedState(sealed) },
    } as const;
    const from = nameToId(elders[1]?.name ?? key);
    for (const effect of step({ kind: 'received', from, message })) {
      if (effect.kind === 'compute' && effect.job.kind === 'verifySealed') {
        step({ kind: 'computed', id: effect.id, result: { kind: 'verified', sealed } });
      }
    }
  };
  step({ kind: 'input', input: { kind: 'setVacancies', vacancies: 4, once: true } });
  const first = grow(born);
  adopt(first, 0);
  expect(state.observations.vacancies).toBe(4); // Not granted yet.
  const second = grow(first);
  adopt(second, 4);
  expect(state.observations.vacancies).toBeNull();
  adopt(grow(second), 3);
  expect(state.observations.vacancies).toBeNull();
  // A person's request stays until it is withdrawn.
  step({ kind: 'input', input: { kind: 'setVacancies', vacancies: 4 } });
  adopt(grow(grow(second)), 4);
  expect(state.observations.vacancies).toBe(4);
});
