/**
 * Goal: what adults report of their own disks opens places when a share of them needs it, and never
 * without end (N39).
 * Method: the looks of one elder as numbers; an elder by hand whose wish is granted.
 */
import { expect, test } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { bindLedger, encodeSealedState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeState } from '#roles/section-node/index.ts';
import {
  lookAtStorage,
  looksBetweenOpenings,
  noStorageNeed,
  placesInNeed,
} from '#roles/storage-need.ts';
import { personFor, usualPace } from '../../sim/section-world.ts';
import { genesis, grow, sign, type Living } from '../section/network.ts';

const adultsOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `adult ${n}`);

/** @returns places wanted in so many looks, when these report a full disk all the time */
function openedIn(looks: number, adults: readonly string[], full: readonly string[]): number {
  let need = noStorageNeed;
  let opened = 0;
  for (let look = 0; look < looks; look++) {
    const [next, places] = lookAtStorage(need, adults, new Set(full));
    need = next;
    opened += places ?? 0;
  }
  return opened;
}

test('two adults that say they are full open nothing among nine', () => {
  const adults = adultsOf(9);
  expect(openedIn(1_000, adults, adults.slice(0, 2))).toBe(0);
});

test('a third of the adults opens places, once for a long time', () => {
  const adults = adultsOf(9);
  expect(openedIn(1, adults, adults.slice(0, 3))).toBe(placesInNeed);
  expect(openedIn(looksBetweenOpenings, adults, adults)).toBe(placesInNeed);
  expect(openedIn(2 * looksBetweenOpenings + 2, adults, adults)).toBe(2 * placesInNeed);
});

test('who is no adult of the section counts for nothing', () => {
  expect(openedIn(10, adultsOf(3), ['elder', 'stranger', 'mover'])).toBe(0);
});

test('places wanted once are not wanted again when joiners have taken them', () => {
  const context = { now: 0, entropy: new Uint8Array(32) };
  const born = genesis('places', 6);
  const { elders, key } = born.state.authority;
  const name = toXorName(elders[0]?.name ?? key);
  const { config } = personFor(born.anchor, usualPace, name);
  const sealedOf = (living: Living, places: number) => {
    const state = bindLedger({ ...living.state, ledger: { ...living.state.ledger, places } });
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
  const adopt = (living: Living, places: number): void => {
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
  step({ kind: 'input', input: { kind: 'placesWanted', places: 4, once: true } });
  const first = grow(born);
  adopt(first, 0);
  expect(state.opinions.places).toBe(4); // Not granted yet.
  const second = grow(first);
  adopt(second, 4);
  expect(state.opinions.places).toBeNull();
  adopt(grow(second), 3);
  expect(state.opinions.places).toBeNull();
  // What a person asks for stays until it is taken back.
  step({ kind: 'input', input: { kind: 'placesWanted', places: 4 } });
  adopt(grow(grow(second)), 4);
  expect(state.opinions.places).toBe(4);
});
