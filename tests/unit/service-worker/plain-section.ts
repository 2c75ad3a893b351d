/** A section in the worker's form, without signatures: seven elders and the given adults. */
import { EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import { adultsOf } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import type { Section } from '../../../src/service-worker/light-node/known-sections.ts';

export const networkId = sha256(utf8('network'));
export const elders = [1, 2, 3, 4, 5, 6, 7] as const;
/** The name of the member with this number. */
export const seedOf = (n: number): Uint8Array => sha256(Uint8Array.of(n));
export const nameOf = (n: number) => toXorName(ed25519PublicKey(seedOf(n)));

/** @param keyByte the key's bytes, and the epoch */
export function sectionOf(
  adults: readonly number[],
  prefix: Prefix = EMPTY_PREFIX,
  keyByte = 1,
): Section {
  const authority: SectionAuthority = {
    networkId,
    prefix,
    key: new Uint8Array(96).fill(keyByte),
    epoch: BigInt(keyByte),
    generation: 4n,
    elders: elders.map((n) => ({ name: nameOf(n), publicShare: new Uint8Array(96), index: n })),
    members: [...elders, ...adults].map((n) => ({
      name: nameOf(n),
      joined: 0n,
      placement: nameOf(n),
      sharingKey: new Uint8Array(32),
    })),
    ledgerRoot: new Uint8Array(32),
    genesisOutput: { oneTimeKey: new Uint8Array(32), amount: 1n },
  };
  return {
    authority,
    signed: new Uint8Array(),
    networkId,
    elders: authority.elders.map((each) => ({ ...each, addresses: [] })),
    holders: new Set(adultsOf(authority).map(({ id }) => id)),
  };
}
