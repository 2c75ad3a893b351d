/** Computes the first authority of a network from its configuration and key (GENESIS-G1). */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, concat, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { sortedNames, type KeyShareSet } from '#protocol/dkg/index.ts';
import {
  emptyLedger,
  ledgerRootOf,
  networkIdOf,
  placementOf,
  type SectionAuthority,
  type SectionMember,
} from '#protocol/section/index.ts';
import type { GenesisConfig } from './state.ts';

/** Depends on configuration and key only, so all founders compute the same authority. */
export function genesisAuthority(config: GenesisConfig, keys: KeyShareSet): SectionAuthority {
  const candidates = sortedNames(config.candidates);
  const networkId = networkIdOf(keys.key, config.networkName);
  return {
    networkId,
    prefix: EMPTY_PREFIX,
    key: keys.key,
    epoch: 0n,
    generation: 0n,
    elders: candidates.map((name, at) => {
      const publicShare = keys.publicShares[at];
      assert(publicShare !== undefined, 'seven public shares');
      return { name, publicShare, index: at + 1 };
    }),
    members: [...config.candidates, ...config.adults]
      .sort(compareBytes)
      .map((name) => firstMember(config, networkId, name)),
    ledgerRoot: ledgerRootOf(emptyLedger),
    genesisOutput: config.genesisOutput,
  };
}

/**
 * N37: no decision yet supplies randomness for the placement, so it uses the network id, which follows
 * from a key that was unknown when the founders chose their names.
 */
function firstMember(config: GenesisConfig, networkId: Uint8Array, name: XorName): SectionMember {
  const sharingKey = config.sharingKeys.get(nameToId(name));
  assert(sharingKey !== undefined, 'every first member has a sharing key');
  return { name, joined: 0n, placement: placementOf(name, networkId), sharingKey };
}

/** Replaces the network id before there is a key; every signature of this attempt covers it. */
export const genesisAttemptId = (
  config: Pick<GenesisConfig, 'candidates' | 'networkName' | 'nonce'>,
): Uint8Array =>
  labelledHash(
    'safe/v1/birth',
    concat(...sortedNames(config.candidates)),
    utf8(config.networkName),
    config.nonce,
  );
