/**
 * Goal: the worker presents what it verified, dials only where elders signed that they are, and
 * knows it again after its death. Method: one section on the real curve, a disk in memory.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  decodeSignedAuthority,
  encodeAddressRecord,
  proofOf,
  signAddressRecord,
  verifySignedAuthority,
} from '#protocol/section/index.ts';
import {
  openKnownSections,
  type KeptSections,
  type SectionStore,
} from '../../../src/service-worker/known-sections.ts';
import { makeSection } from '../section/fixtures.ts';

const disk = new Map<string, KeptSections>();
const store: SectionStore = {
  pins: async (id) => disk.get(id),
  keepPins: async (id, kept) => void disk.set(id, kept),
};

test('N33: what was verified is presented, survives, and proves itself to the vault', async () => {
  const { signed, anchor, identitySeeds, authority } = makeSection(blsSuite, blsScalars);
  let changes = 0;
  const first = openKnownSections(anchor, store, () => (changes += 1));
  expect(first.current()).toBeUndefined();
  expect([...first.tree().keys.keys()]).toEqual([toHex(anchor.genesisKey)]);
  expect(await first.recall()).toBe(false);
  expect(await first.believe(proofOf(signed))).toBe(true);
  expect(changes).toBe(1);

  const [seed = new Uint8Array(32)] = identitySeeds;
  const record = signAddressRecord(seed, anchor.networkId, 5n, ['/ip4/127.0.0.1/tcp/1']);
  const forged = { ...record, counter: 9n, addresses: ['/ip4/6.6.6.6/tcp/6'] };
  const older = signAddressRecord(seed, anchor.networkId, 4n, ['/ip4/127.0.0.1/tcp/2']);
  first.takeRecords([record, forged, older].map(encodeAddressRecord));
  expect(first.addressesOf(record.name)).toEqual(record.addresses);
  await first.keep();

  const second = openKnownSections(anchor, store, () => undefined);
  expect(await second.recall()).toBe(true);
  const section = second.current(new Uint8Array(32));
  expect(section?.authority).toEqual(authority);
  expect(section?.elders.some(({ addresses }) => addresses[0] === record.addresses[0])).toBe(true);
  const decoded = decodeSignedAuthority(section?.signed ?? new Uint8Array());
  expect(decoded.ok && verifySignedAuthority(blsSuite, anchor, decoded.value).ok).toBe(true);
  expect(second.fork()).toBeNull();
  expect(await second.believe(proofOf(signed))).toBe(true);

  const stranger = makeSection(blsSuite, blsScalars, 'another network');
  expect(await second.believe(proofOf(stranger.signed))).toBe(false);
});
