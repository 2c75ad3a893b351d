/**
 * Prints section.json. Run it only for an intended layout change, with its reason in the commit.
 */
import { toHex } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import { sha256 } from '#crypto/hash.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  authoritySigningBytes,
  encodeAddressRecord,
  encodeSignedAuthority,
  networkIdOf,
  signAddressRecord,
} from '#protocol/section/index.ts';
import { makeSection } from '../unit/section/fixtures.ts';

const section = makeSection(blsSuite, blsScalars, 'golden', 2);
const [seed] = section.identitySeeds;
if (seed === undefined) throw new Error('seven elders');
const record = signAddressRecord(seed, section.anchor.networkId, 3n, ['/ip4/127.0.0.1/tcp/4101']);
const vectors = {
  name: 'section authority, network id, address record',
  source: 'tests/vectors/section.make.ts: our own layouts, frozen',
  networkId: {
    genesisKey: toHex(section.anchor.genesisKey),
    name: 'golden',
    expected: toHex(networkIdOf(section.anchor.genesisKey, 'golden')),
  },
  authority: {
    encoded: toHex(encodeSignedAuthority(section.signed)),
    signingBytesSha256: toHex(sha256(authoritySigningBytes(section.authority))),
    signature: toHex(section.signed.signature),
  },
  addressRecord: { encoded: toHex(encodeAddressRecord(record)) },
};
process.stdout.write(`${JSON.stringify(vectors, null, 2)}\n`);
