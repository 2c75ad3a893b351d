/** What a birth makes of its configuration and of the key (G1). */
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

/** A function of the configuration and the key alone: everybody builds the same. */
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
 * N37: there is no decision yet whose chance could place a founder; the network's id follows from a
 * key that nobody knew when the founders chose their names.
 */
function firstMember(config: GenesisConfig, networkId: Uint8Array, name: XorName): SectionMember {
  const sharingKey = config.sharingKeys.get(nameToId(name));
  assert(sharingKey !== undefined, 'every first member has a sharing key');
  return { name, joined: 0n, placement: placementOf(name, networkId), sharingKey };
}

/** Stands for the network before it has a key: everything signed in this attempt is bound to it. */
export const birthId = (
  config: Pick<GenesisConfig, 'candidates' | 'networkName' | 'nonce'>,
): Uint8Array =>
  labelledHash(
    'safe/v1/birth',
    concat(...sortedNames(config.candidates)),
    utf8(config.networkName),
    config.nonce,
  );
