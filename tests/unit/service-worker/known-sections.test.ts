/**
 * Goal: the worker presents what it verified, dials only addresses signed by elders, and restores both
 * after a restart. Method: one section on the real curve, an in-memory disk.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  decodeSignedAuthority,
  encodeAddressRecord,
  sectionProofOf,
  signAddressRecord,
  verifySignedAuthority,
} from '#protocol/section/index.ts';
import type { StoredSections } from '#storage/browser/worker-store.ts';
import {
  openKnownSections,
  type SectionStore,
} from '../../../src/service-worker/light-node/known-sections.ts';
import { makeSection } from '../section/fixtures.ts';

const disk = new Map<string, StoredSections>();
const store: SectionStore = {
  pins: async (id) => disk.get(id),
  savePins: async (id, kept) => void disk.set(id, kept),
};

test('N33: verified sections are presented, survive a restart, and prove themselves to the vault', async () => {
  const { signed, anchor, identitySeeds, authority } = makeSection(blsSuite, blsScalars);
  let changes = 0;
  const first = openKnownSections(anchor, store, () => (changes += 1));
  expect(first.current()).toBeUndefined();
  expect([...first.tree().keys.keys()]).toEqual([toHex(anchor.genesisKey)]);
  expect(await first.load()).toBe(false);
  expect(await first.verifyAndStore(sectionProofOf(signed))).toBe(true);
  expect(changes).toBe(1);

  const [seed = new Uint8Array(32)] = identitySeeds;
  const record = signAddressRecord(seed, anchor.networkId, 5n, ['/ip4/127.0.0.1/tcp/1']);
  const forged = { ...record, counter: 9n, addresses: ['/ip4/6.6.6.6/tcp/6'] };
  const older = signAddressRecord(seed, anchor.networkId, 4n, ['/ip4/127.0.0.1/tcp/2']);
  first.addRecords([record, forged, older].map(encodeAddressRecord));
  expect(first.addressesOf(record.name)).toEqual(record.addresses);
  await first.save();

  const second = openKnownSections(anchor, store, () => undefined);
  expect(await second.load()).toBe(true);
  const section = second.current(new Uint8Array(32));
  expect(section?.authority).toEqual(authority);
  expect(section?.elders.some(({ addresses }) => addresses[0] === record.addresses[0])).toBe(true);
  const decoded = decodeSignedAuthority(section?.signed ?? new Uint8Array());
  expect(decoded.ok && verifySignedAuthority(blsSuite, anchor, decoded.value).ok).toBe(true);
  expect(second.fork()).toBeNull();
  expect(await second.verifyAndStore(sectionProofOf(signed))).toBe(true);

  const stranger = makeSection(blsSuite, blsScalars, 'another network');
  expect(await second.verifyAndStore(sectionProofOf(stranger.signed))).toBe(false);
});
