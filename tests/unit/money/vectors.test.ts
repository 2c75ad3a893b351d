/** Goal: the byte layouts of money never change by accident; external vectors come first. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, utf8 } from '#core/codec/bytes.ts';
import { decodeBech32m, encodeBech32m } from '#crypto/bech32m.ts';
import { G, decodePoint } from '#crypto/ristretto.ts';
import { makeVectors } from '../../vectors/money/make.ts';

describe('golden layouts', () => {
  const path = new URL('../../vectors/money/golden.json', import.meta.url);
  const golden = JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
  const made = makeVectors();

  test.each(Object.keys(golden))('%s', (name) => {
    expect(made[name]).toBe(golden[name]);
  });

  test('no layout is left out', () => {
    expect(Object.keys(made)).toEqual(Object.keys(golden));
  });
});

describe('RFC 9496, appendix A', () => {
  test('A.1: multiples of the generator', () => {
    const multiples = [
      'e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76',
      '6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919',
      '94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259',
    ];
    for (const [i, hex] of multiples.entries()) {
      expect(toHex(G.multiply(BigInt(i + 1)).toBytes())).toBe(hex);
    }
  });

  test.each([
    ['the identity', '00'.repeat(32)],
    ['non-canonical', '00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
    ['non-canonical', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['negative', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['non-square', '26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371'],
  ])('A.2: %s is not a point', (_why, hex) => {
    const bytes = fromHex(hex);
    expect(bytes.ok && decodePoint(bytes.value)).toBe(undefined);
  });
});

describe('BIP 350', () => {
  test('bech32m, and bech32 is not bech32m', () => {
    expect(decodeBech32m('safe', encodeBech32m('safe', utf8('hello')))).toEqual({
      ok: true,
      value: utf8('hello'),
    });
    // BIP 173's bech32 constant: a valid text of the older scheme.
    expect(decodeBech32m('a', 'A12UEL5L').ok).toBe(false);
    expect(decodeBech32m('a', 'A1LQFN3A')).toEqual({ ok: true, value: new Uint8Array() });
  });
});
