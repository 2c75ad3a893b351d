/** A section made by hand, as the DKG of an honest section would produce it. */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, utf8 } from '#core/codec/bytes.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { hkdf, sha256 } from '#crypto/hash.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  authoritySigningBytes,
  ELDER_COUNT,
  emptyLedger,
  ledgerRootOf,
  networkIdOf,
  placementOf,
  SHARES_REQUIRED,
  type SectionAuthority,
  type SignedAuthority,
} from '#protocol/section/index.ts';

export interface MadeSection {
  readonly signed: SignedAuthority;
  readonly authority: SectionAuthority;
  readonly anchor: { readonly genesisKey: Uint8Array; readonly networkId: Uint8Array };
  /** Key shares by position: `secretShares[i]` belongs to `authority.elders[i]`. */
  readonly secretShares: readonly Uint8Array[];
  /** ed25519 seeds, in the same order. */
  readonly identitySeeds: readonly Uint8Array[];
}

export function makeSection(
  suite: ThresholdSuite,
  field: ScalarField,
  networkName = 'test',
  adults = 6,
): MadeSection {
  const coefficients = Array.from({ length: SHARES_REQUIRED }, (_, k) =>
    field.reduce(hkdf(utf8(`a${k}`), new Uint8Array(), 'fixture', 48)),
  );
  const secretShares = Array.from({ length: ELDER_COUNT }, (_, i) =>
    field.evaluate(coefficients, i + 1),
  );
  const seeds = Array.from({ length: ELDER_COUNT + adults }, (_, i) => sha256(utf8(`node ${i}`)));
  const byName = (a: Uint8Array, b: Uint8Array): number =>
    compareBytes(ed25519PublicKey(a), ed25519PublicKey(b));
  const identitySeeds = seeds.slice(0, ELDER_COUNT).sort(byName);
  const key = suite.publicKey(coefficients[0] ?? new Uint8Array());
  const networkId = networkIdOf(key, networkName);
  const authority: SectionAuthority = {
    networkId,
    prefix: EMPTY_PREFIX,
    key,
    epoch: 0n,
    generation: 0n,
    elders: identitySeeds.map((seed, at) => ({
      name: toXorName(ed25519PublicKey(seed)),
      publicShare: suite.publicKey(secretShares[at] ?? new Uint8Array()),
      index: at + 1,
    })),
    members: seeds.sort(byName).map((seed) => {
      const name = toXorName(ed25519PublicKey(seed));
      return {
        name,
        joined: 0n,
        placement: placementOf(name, emptyLedger.churnId),
        sharingKey: sha256(seed),
      };
    }),
    ledgerRoot: ledgerRootOf(emptyLedger),
    genesisOutput: { oneTimeKey: sha256(utf8('first coin')), amount: 1_000_000n },
  };
  const signed = signWith(suite, secretShares, authority);
  return { signed, authority, anchor: { genesisKey: key, networkId }, secretShares, identitySeeds };
}

/** Five elders sign these bytes; the result is valid if their shares are. */
export function signWith(
  suite: ThresholdSuite,
  secretShares: readonly Uint8Array[],
  authority: SectionAuthority,
): SignedAuthority {
  const message = authoritySigningBytes(authority);
  const shares = secretShares
    .slice(0, SHARES_REQUIRED)
    .map((secret, at) => ({ index: at + 1, signature: suite.sign(secret, 'AUTHORITY', message) }));
  return { authority, signature: suite.combine(shares) ?? new Uint8Array(48), chain: [] };
}
