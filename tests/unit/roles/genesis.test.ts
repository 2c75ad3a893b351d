/** Goal: no founder can choose anything in the genesis authority, which follows from names and key. */
import { expect, test } from 'vitest';
import { toXorName } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { KeyShareSet } from '#protocol/dkg/index.ts';
import { placementOf } from '#protocol/section/index.ts';
import { genesisAuthority } from '#roles/genesis/genesis-authority.ts';
import type { GenesisConfig } from '#roles/genesis/state.ts';

const names = Array.from({ length: 9 }, (_, at) => toXorName(new Uint8Array(32).fill(at + 1)));
const config = {
  candidates: names.slice(0, 7),
  adults: names.slice(7),
  networkName: 'test',
  sharingKeys: new Map(names.map((name) => [toHex(name), new Uint8Array(32)])),
} as unknown as GenesisConfig;

const outcomeWith = (key: number) => {
  const shares = Array.from({ length: 7 }, () => new Uint8Array(96));
  const keys = { key: new Uint8Array(96).fill(key), publicShares: shares };
  return genesisAuthority(config, keys as unknown as KeyShareSet);
};

test('N37: founders are placed by the network’s id', () => {
  const [one, other] = [outcomeWith(1), outcomeWith(2)];
  for (const { networkId, members } of [one, other]) {
    expect(members).toHaveLength(9);
    for (const { name, placement } of members) {
      expect(placement).toEqual(placementOf(name, networkId));
    }
  }
  // Another key places the same names elsewhere, so no founder can choose a name for its placement.
  const places = (born: typeof one) => born.members.map(({ placement }) => toHex(placement));
  expect(places(one).filter((place) => places(other).includes(place))).toEqual([]);
});
