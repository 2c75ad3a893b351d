/**
 * Goal: only an authority signed by its section verifies, and every rule of the README can fail.
 * Method: one honest section, then one violation per rule, signed by the section itself where only
 * that rule can detect it; frozen vectors; altered bytes.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, concat, fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import { sha256 } from '#crypto/hash.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  authoritySigningBytes,
  decodeAddressRecord,
  decodeSignedAuthority,
  encodeAddressRecord,
  encodeSignedAuthority,
  maxAuthorityBytes,
  maxMembers,
  networkIdOf,
  signAddressRecord,
  supermajority,
  verifyAddressRecord,
  verifySignedAuthority,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import vectors from '../../vectors/section.json' with { type: 'json' };
import { makeSection, signWith } from './fixtures.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  if (!bytes.ok) throw new Error('not hex');
  return bytes.value;
};

const section = makeSection(toySuite, toyScalars);
const { authority, anchor, signed, secretShares } = section;

/** The verdict on an authority that five elders really signed. */
const verdict = (changed: Partial<SectionAuthority>) =>
  verifySignedAuthority(
    toySuite,
    anchor,
    signWith(toySuite, secretShares, { ...authority, ...changed }),
  );

describe('section authority', () => {
  test('supermajority is more than two thirds', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(supermajority)).toEqual([1, 2, 3, 3, 4, 5, 5]);
  });

  test('an honest authority verifies, also after encoding and decoding', () => {
    expect(verifySignedAuthority(toySuite, anchor, signed)).toEqual({ ok: true, value: authority });
    const decoded = decodeSignedAuthority(encodeSignedAuthority(signed));
    expect(decoded).toEqual({ ok: true, value: signed });
  });

  test('SECTION-A1: an authority of another network is refused', () => {
    expect(verdict({ networkId: networkIdOf(anchor.genesisKey, 'other') })).toMatchObject({
      error: { kind: 'wrongNetwork' },
    });
  });

  test('SECTION-A2: a key other than the genesis key is refused without links', () => {
    const other = makeSection(blsSuite, blsScalars);
    const foreign = {
      ...other.signed,
      authority: { ...other.authority, networkId: anchor.networkId },
    };
    expect(verifySignedAuthority(blsSuite, anchor, foreign)).toMatchObject({
      error: { kind: 'unknownKey' },
    });
  });

  test('SECTION-A3: unsorted or repeated elders are refused', () => {
    const [first, second, ...rest] = authority.elders;
    if (first === undefined || second === undefined) throw new Error('seven elders');
    const swapped = [{ ...second, index: 1 }, { ...first, index: 2 }, ...rest];
    expect(verdict({ elders: swapped })).toMatchObject({ error: { rule: 'SECTION-A3' } });
    const repeated = [first, { ...second, name: first.name }, ...rest];
    expect(verdict({ elders: repeated })).toMatchObject({ error: { rule: 'SECTION-A3' } });
  });

  test('SECTION-A4: an index other than the position is refused', () => {
    const elders = authority.elders.map((elder) => ({ ...elder, index: 8 - elder.index }));
    expect(verdict({ elders })).toMatchObject({ error: { rule: 'SECTION-A4' } });
  });

  test('SECTION-A5: two missing elders are allowed, three are refused; unsorted members are refused', () => {
    const without = (count: number) => {
      const gone = authority.elders.slice(0, count).map(({ name }) => toHex(name));
      return authority.members.filter(({ name }) => !gone.includes(toHex(name)));
    };
    expect(verdict({ members: without(2) }).ok).toBe(true);
    expect(verdict({ members: without(3) })).toMatchObject({ error: { rule: 'SECTION-A5' } });
    expect(verdict({ members: [...authority.members].reverse() })).toMatchObject({
      error: { rule: 'SECTION-A5' },
    });
  });

  test('SECTION-A6, SECTION-A9: another prefix than the key’s, or one with stray bits, is refused', () => {
    const bits = new Uint8Array(32);
    expect(verdict({ prefix: { bitCount: 1, bits } })).toMatchObject({
      error: { rule: 'SECTION-A9' },
    });
    const stray = bits.slice();
    stray[31] = 1;
    expect(verdict({ prefix: { bitCount: 0, bits: stray } })).toMatchObject({
      error: { rule: 'SECTION-A6' },
    });
  });

  test('SECTION-A7: any field changed after signing breaks the signature', () => {
    const changes: readonly Partial<SectionAuthority>[] = [
      { generation: 1n },
      { genesisOutput: null },
      { genesisOutput: { oneTimeKey: sha256(utf8('mine')), amount: 1_000_000n } },
      { members: authority.members.filter(({ name }) => isElder(name)) },
    ];
    for (const change of changes) {
      const changed = { ...signed, authority: { ...authority, ...change } };
      expect(verifySignedAuthority(toySuite, anchor, changed)).toMatchObject({
        error: { kind: 'wrongSignature' },
      });
    }
  });

  test('SECTION-A8: public shares off the polynomial are refused although the section signed them', () => {
    for (const at of [0, 4, 5, 6]) {
      const elders = authority.elders.map((elder, i) =>
        i === at ? { ...elder, publicShare: toySuite.publicKey(toyScalars.encode(77n)) } : elder,
      );
      expect(verdict({ elders })).toMatchObject({ error: { kind: 'wrongShares' } });
    }
  });

  test('with the real curve an honest section verifies and a swapped share does not', () => {
    const real = makeSection(blsSuite, blsScalars);
    expect(verifySignedAuthority(blsSuite, real.anchor, real.signed).ok).toBe(true);
    const [first, second, ...rest] = real.authority.elders;
    if (first === undefined || second === undefined) throw new Error('seven elders');
    const elders = [
      { ...first, publicShare: second.publicShare },
      { ...second, publicShare: first.publicShare },
      ...rest,
    ];
    const forged = signWith(blsSuite, real.secretShares, { ...real.authority, elders });
    expect(verifySignedAuthority(blsSuite, real.anchor, forged)).toMatchObject({
      error: { kind: 'wrongShares' },
    });
  });

  test('decoding rejects every truncation and extension, and never throws', () => {
    const bytes = encodeSignedAuthority(signed);
    for (let length = 0; length < bytes.length; length += 7) {
      expect(decodeSignedAuthority(bytes.slice(0, length)).ok).toBe(false);
    }
    expect(decodeSignedAuthority(concat(bytes, new Uint8Array(1))).ok).toBe(false);
    expect(decodeSignedAuthority(new Uint8Array(maxAuthorityBytes + 1)).ok).toBe(false);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = bytes.map((byte, i) => (i === at ? byte ^ mask : byte));
        const decoded = decodeSignedAuthority(changed);
        if (!decoded.ok) return;
        expect(encodeSignedAuthority(decoded.value)).toEqual(changed);
        expect(verifySignedAuthority(toySuite, anchor, decoded.value).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test('a section of the maximum size fits its limit', () => {
    const members = Array.from({ length: maxMembers }, (_, i) => ({
      name: toXorName(sha256(utf8(`member ${i}`))),
      joined: 0n,
      placement: new Uint8Array(32),
      sharingKey: new Uint8Array(32),
    }));
    const bytes = encodeSignedAuthority({ ...signed, authority: { ...authority, members } });
    expect(bytes.length).toBeLessThan(maxAuthorityBytes);
    expect(decodeSignedAuthority(bytes).ok).toBe(true);
  });

  function isElder(name: Uint8Array): boolean {
    return authority.elders.some((elder) => compareBytes(elder.name, name) === 0);
  }
});

describe('frozen layouts', () => {
  test('the network id is SHA-256 of label, genesis key and name', () => {
    const { genesisKey, name, expected } = vectors.networkId;
    expect(toHex(networkIdOf(hex(genesisKey), name))).toBe(expected);
    expect(sha256(concat(utf8('safe/network/v1'), hex(genesisKey), utf8(name)))).toEqual(
      hex(expected),
    );
  });

  test('the golden authority decodes, verifies and encodes to the same bytes', () => {
    const decoded = decodeSignedAuthority(hex(vectors.authority.encoded));
    if (!decoded.ok) throw new Error('malformed');
    const golden = decoded.value;
    expect(toHex(sha256(authoritySigningBytes(golden.authority)))).toBe(
      vectors.authority.signingBytesSha256,
    );
    expect(toHex(golden.signature)).toBe(vectors.authority.signature);
    expect(toHex(encodeSignedAuthority(golden))).toBe(vectors.authority.encoded);
    const trust = {
      genesisKey: hex(vectors.networkId.genesisKey),
      networkId: hex(vectors.networkId.expected),
    };
    expect(verifySignedAuthority(blsSuite, trust, golden).ok).toBe(true);
  });

  test('the golden address record verifies', () => {
    const decoded = decodeAddressRecord(hex(vectors.addressRecord.encoded));
    if (!decoded.ok) throw new Error('malformed');
    expect(verifyAddressRecord(hex(vectors.networkId.expected), decoded.value).ok).toBe(true);
  });
});

describe('address record', () => {
  const seed = section.identitySeeds[0] ?? new Uint8Array();
  const addresses = ['/ip4/127.0.0.1/tcp/4101', '/dns4/example.org/tcp/443/wss'];
  const record = signAddressRecord(seed, anchor.networkId, 9n, addresses);

  test('N28: a node’s signed addresses round-trip', () => {
    expect(decodeAddressRecord(encodeAddressRecord(record))).toEqual({ ok: true, value: record });
    expect(verifyAddressRecord(anchor.networkId, record).ok).toBe(true);
  });

  test('N28: another counter, name, address or network breaks the record', () => {
    const other = section.authority.elders.find(
      ({ name }) => compareBytes(name, record.name) !== 0,
    )?.name;
    if (other === undefined) throw new Error('seven elders');
    for (const change of [
      { counter: 10n },
      { name: other },
      { addresses: ['/ip4/6.6.6.6/tcp/1'] },
    ]) {
      expect(verifyAddressRecord(anchor.networkId, { ...record, ...change })).toEqual({
        ok: false,
        error: 'wrongSignature',
      });
    }
    expect(verifyAddressRecord(sha256(utf8('other')), record)).toEqual({
      ok: false,
      error: 'wrongNetwork',
    });
  });

  test('altered bytes are rejected or no longer verify', () => {
    const bytes = encodeAddressRecord(record);
    for (let at = 0; at < bytes.length; at++) {
      const decoded = decodeAddressRecord(bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));
      if (decoded.ok) expect(verifyAddressRecord(anchor.networkId, decoded.value).ok).toBe(false);
    }
    expect(decodeAddressRecord(bytes.slice(1)).ok).toBe(false);
  });

  test('nine addresses, a long one and control characters cannot be signed', () => {
    const sign = (list: readonly string[]) => () =>
      signAddressRecord(seed, anchor.networkId, 1n, list);
    expect(sign(Array.from({ length: 9 }, () => '/ip4/1.1.1.1'))).toThrow();
    expect(sign(['/'.repeat(257)])).toThrow();
    expect(sign(['/ip4/1.1.1.1\n'])).toThrow();
  });
});
