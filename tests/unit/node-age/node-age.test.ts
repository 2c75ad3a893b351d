/**
 * Goal: ages, lotteries and orders are those of the specification
 * (src/protocol/node-age/README.md). Method: known vectors, then random sections against a second
 * implementation of each rule.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX, matches } from '#address/prefix.ts';
import { ageOf, compareDistance, nameToId, toXorName, type XorName } from '#address/xor-name.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash, sha256 } from '#crypto/hash.ts';
import {
  churnIdOf,
  churnMessageBytes,
  demotedAge,
  relocationDestination,
  selectRelocations,
  holdsLottery,
  elderCandidates,
  elderOrder,
  grindingPrefix,
  matchesGrindingPrefix,
  JOIN_AGE,
  relocationsAllowed,
  rankJoiners,
  rewardedAge,
  trailingZeroBits,
} from '#protocol/node-age/index.ts';

const nameOf = (text: string, age: number): XorName => {
  const name = sha256(utf8(text));
  name[31] = age;
  return toXorName(name);
};

/** A churn id that ends in exactly `zeros` zero bits. */
function churnWith(zeros: number, seed = 0): Uint8Array {
  const id = sha256(utf8(`churn ${seed}`));
  for (let bit = 0; bit < zeros; bit++) id[31 - (bit >> 3)]! &= ~(1 << (bit & 7));
  id[31 - (zeros >> 3)]! |= 1 << (zeros & 7);
  return id;
}

const ages = fc.array(fc.integer({ min: 5, max: 8 }), { minLength: 8, maxLength: 40 });
const namesOf = (list: readonly number[]): readonly XorName[] =>
  list.map((age, at) => nameOf(`node ${at}`, age));

describe('the randomness of a decision', () => {
  test.each([
    [[0], 8],
    [[1], 0],
    [[2], 1],
    [[4], 2],
    [[8], 3],
    [[0, 0], 16],
    [[1, 0], 8],
    [[2, 0], 9],
    [[0x80], 7],
  ])('AGE-A1: %j ends in %i zero bits', (bytes, zeros) => {
    expect(trailingZeroBits(Uint8Array.from(bytes))).toBe(zeros);
  });

  test('N36: the signed bytes identify the decision and contain nothing of its content', () => {
    const point = {
      networkId: sha256(utf8('net')),
      key: new Uint8Array(96).fill(7),
      epoch: 2n,
      generation: 9n,
    };
    const bytes = churnMessageBytes(point);
    expect(bytes).toHaveLength(4 + 'safe/v1/churn'.length + 32 + 96 + 8 + 8);
    const others = [
      { ...point, epoch: 3n },
      { ...point, generation: 10n },
      { ...point, networkId: sha256(utf8('other')) },
      { ...point, key: new Uint8Array(96).fill(8) },
    ];
    const all = [point, ...others].map((each) => toHex(churnMessageBytes(each)));
    expect(new Set(all).size).toBe(5);
    expect(churnIdOf(new Uint8Array(48))).toHaveLength(32);
  });
});

describe('ages and names', () => {
  test('AGE-A2: a relocation adds one year up to 255, a demotion halves the age, at least five', () => {
    expect([5, 6, 254, 255].map(rewardedAge)).toEqual([6, 7, 255, 255]);
    expect([5, 6, 9, 10, 11, 20, 255].map(demotedAge)).toEqual([5, 5, 5, 5, 5, 10, 127]);
  });

  test('AGE-A3: a new name matches the destination even if its section splits three times', () => {
    const destination = relocationDestination(nameOf('mover', 6), sha256(utf8('churn')));
    let section = EMPTY_PREFIX;
    for (let bit = 0; bit < 5; bit++) {
      section = grindingPrefix(section, destination);
      expect(matches(section, destination)).toBe(true);
      expect(section.bitCount).toBe(3 * (bit + 1));
    }
    const wanted = grindingPrefix(EMPTY_PREFIX, destination);
    const name = destination.slice();
    name[31] = 7;
    expect(matchesGrindingPrefix(wanted, 7, name)).toBe(true);
    expect(matchesGrindingPrefix(wanted, 8, name)).toBe(false);
    name[0] = (name[0] ?? 0) ^ 0x20;
    expect(matchesGrindingPrefix(wanted, 7, name)).toBe(false);
    name[0] = (name[0] ?? 0) ^ 0x30;
    expect(matchesGrindingPrefix(wanted, 7, name)).toBe(true);
  });
});

describe('the relocation lottery', () => {
  test('AGE-A5: the oldest matching age relocates, nearest to the hashed churn id first', () => {
    fc.assert(
      fc.property(ages, fc.integer({ min: 0, max: 12 }), fc.nat(1000), (list, zeros, seed) => {
        const candidates = namesOf(list);
        const churnId = churnWith(zeros, seed);
        const relocations = selectRelocations({
          candidates,
          memberCount: list.length + 7,
          churnId,
        });
        const matching = candidates.filter((name) => ageOf(name) <= zeros);
        const oldest = Math.max(...matching.map(ageOf));
        const expected = matching.filter((name) => ageOf(name) === oldest);
        expect(relocations.length).toBe(
          Math.min(expected.length, relocationsAllowed(list.length + 7)),
        );
        expect(relocations.every((name) => ageOf(name) === oldest)).toBe(true);
        const target = labelledHash('safe/v1/churn-order', churnId);
        const left = expected.filter((name) => !relocations.includes(name));
        for (const relocating of relocations) {
          for (const other of left)
            expect(compareDistance(target, relocating, other)).toBeLessThan(0);
        }
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  test('AGE-A6: at most three, and never below seven elders and four adults', () => {
    const counts = [0, 7, 11, 12, 13, 14, 15, 60];
    expect(counts.map(relocationsAllowed)).toEqual([0, 0, 0, 1, 2, 3, 3, 3]);
  });

  test('N39: once half are older, joins and departures at age 5 hold no lottery', () => {
    const young = namesOf([5, 5, 5, 5, 6]);
    const grown = namesOf([5, 5, 6, 7]);
    const beginner = { age: JOIN_AGE };
    expect(holdsLottery(young, [beginner])).toBe(true);
    expect(holdsLottery(young, [])).toBe(false);
    expect(holdsLottery(grown, [beginner, beginner])).toBe(false);
    expect(holdsLottery(grown, [beginner, { age: 6 }])).toBe(true);
  });
});

describe('orders', () => {
  const member = (text: string, age: number, joined: number) => ({
    name: nameOf(text, age),
    joined: BigInt(joined),
  });

  test('AGE-A7: age, then current elders, then earlier joiners, then nearness to the prefix', () => {
    const old = member('old', 9, 50);
    const elder = member('elder', 7, 40);
    const early = member('early', 7, 3);
    const late = member('late', 7, 4);
    const twins = [member('a', 6, 5), member('b', 6, 5)].sort((a, b) =>
      compareDistance(EMPTY_PREFIX.bits, a.name, b.name),
    );
    const wanted = [old, elder, early, late, ...twins];
    const shuffled = [twins[1]!, late, elder, twins[0]!, old, early];
    expect(elderOrder(shuffled, [elder.name], EMPTY_PREFIX)).toEqual(wanted);
  });

  test('AGE-A7: seven of the prefix, sorted by name, for any order of members', () => {
    fc.assert(
      fc.property(ages, fc.nat(1000), (list, seed) => {
        const members = list.map((age, at) => member(`node ${at}`, age, at % 3));
        const half = child(EMPTY_PREFIX, 1);
        const chosen = elderCandidates(members, [], half);
        const rolled = [
          ...members.slice(seed % list.length),
          ...members.slice(0, seed % list.length),
        ];
        expect(elderCandidates(rolled, [], half)).toEqual(chosen);
        const own = members.filter(({ name }) => matches(half, name));
        expect(chosen).toHaveLength(Math.min(7, own.length));
        expect(chosen.map(nameToId)).toEqual(chosen.map(nameToId).sort());
        const youngest = Math.min(...chosen.map(ageOf));
        const left = own.filter(({ name }) => !chosen.includes(name));
        expect(left.every(({ name }) => ageOf(name) <= youngest)).toBe(true);
      }),
      { seed: 5, numRuns: 100 },
    );
  });

  test('N39: another churn id gives another order of joiners', () => {
    const names = namesOf([5, 5, 5, 5, 5, 5]);
    const first = rankJoiners(names, sha256(utf8('one')));
    expect(rankJoiners([...names].reverse(), sha256(utf8('one')))).toEqual(first);
    expect(rankJoiners(names, sha256(utf8('two')))).not.toEqual(first);
  });
});
