/** Goal: texts that people type and copy are parsed exactly or rejected with the right reason. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeAddress, encodeAddress } from '#money/wallet-address.ts';
import { MAX_AMOUNT, formatAmount, parseAmount } from '#money/amount.ts';
import { encodeBech32m } from '#crypto/bech32m.ts';
import { concat } from '#core/codec/bytes.ts';
import { addressFor, networkId, seedOf } from './fixtures.ts';

describe('address', () => {
  const address = addressFor('alice');
  const text = encodeAddress(networkId, address);

  test('round-trips in capitals and with line breaks', () => {
    expect(text).toMatch(/^safe1[a-z0-9]+$/);
    expect(decodeAddress(networkId, text)).toEqual({ ok: true, value: address });
    expect(
      decodeAddress(networkId, ` ${text.slice(0, 40)}\n${text.slice(40).toUpperCase()}`).ok,
    ).toBe(false);
    expect(decodeAddress(networkId, `${text.slice(0, 40)}\n ${text.slice(40)} `).ok).toBe(true);
    expect(decodeAddress(networkId, text.toUpperCase()).ok).toBe(true);
  });

  test('any one wrong character is a typing mistake', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: text.length - 1 }),
        fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l'),
        (at, letter) => {
          if (text[at] === letter) return true;
          const decoded = decodeAddress(networkId, text.slice(0, at) + letter + text.slice(at + 1));
          return !decoded.ok && decoded.error === 'mistyped';
        },
      ),
    );
  });

  test('another network and a later version have their own errors', () => {
    const elsewhere = encodeAddress(seedOf('other network'), address);
    expect(decodeAddress(networkId, elsewhere)).toEqual({ ok: false, error: 'wrongNetwork' });
    const later = encodeBech32m(
      'safe',
      concat(Uint8Array.of(2), seedOf('x'), seedOf('y'), seedOf('z')),
    );
    expect(decodeAddress(networkId, later)).toEqual({ ok: false, error: 'wrongVersion' });
    const short = encodeBech32m('safe', Uint8Array.of(1, 2, 3));
    expect(decodeAddress(networkId, short)).toEqual({ ok: false, error: 'mistyped' });
    expect(decodeAddress(networkId, encodeBech32m('save', Uint8Array.of(1)))).toEqual({
      ok: false,
      error: 'mistyped',
    });
  });
});

describe('amount', () => {
  test('exact decimals both ways', () => {
    expect(parseAmount('12.5')).toEqual({ ok: true, value: 12_500_000_000n });
    expect(parseAmount(' 0.000000001 ')).toEqual({ ok: true, value: 1n });
    expect(formatAmount(12_500_000_000n)).toBe('12.5');
    expect(formatAmount(0n)).toBe('0');
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: MAX_AMOUNT }), (amount) => {
        const read = parseAmount(formatAmount(amount));
        return read.ok && read.value === amount;
      }),
    );
  });

  test.each([
    '',
    '.',
    '1.',
    '.5',
    '1,5',
    '1e3',
    '-1',
    '+1',
    '0x10',
    '1.0000000001',
    '1 000',
    'NaN',
  ])('%j is not an amount', (text) => {
    expect(parseAmount(text)).toEqual({ ok: false, error: 'malformed' });
  });

  test('zero and too much have different errors', () => {
    expect(parseAmount('0.0')).toEqual({ ok: false, error: 'zero' });
    expect(parseAmount('18446744073.709551615').ok).toBe(true);
    expect(parseAmount('18446744073.709551616')).toEqual({ ok: false, error: 'tooLarge' });
  });
});
