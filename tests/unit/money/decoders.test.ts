/**
 * Goal: no bytes a peer can send make a money decoder throw, and decoded bytes re-encode
 * identically.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeCbor } from '#core/codec/cbor.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { decodeRegistryEntry, encodeRegistryEntry } from '#money/spend-certificate.ts';
import {
  decodeMintAnswer,
  decodeMintFact,
  decodeMintRequest,
  encodeMintAnswer,
  encodeMintRequest,
} from '#protocol/mint/index.ts';
import {
  decodeSpentbookAnswer,
  decodeSpentbookFact,
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  encodeSpentbookRequest,
  type SpentbookAnswer,
} from '#protocol/spentbook/index.ts';
import { decodeBundle, decodePaymentFact } from '#safe/payment/index.ts';
import { decodeReceipt, parseReceiptText } from '#safe/wallet/index.ts';
import { decodeAddress } from '#money/wallet-address.ts';
import { networkId, seedOf } from './fixtures.ts';

const request = seedOf('request').slice(0, 16);
const slot = seedOf('slot');
const siblings = [seedOf('left'), seedOf('right')];
const inclusion = { kind: 'bound', body: seedOf('body'), index: 2, count: 4, siblings } as const;
const certificate = { epoch: 3n, ballot: 0, signature: new Uint8Array(48).fill(7), inclusion };
const section = seedOf('section key');
const entry = { transaction: utf8('tx'), certificates: [certificate], index: 3 };

describe('decoders', () => {
  test.each([
    ['spentbook request', (bytes: Uint8Array) => decodeSpentbookRequest(slot, bytes)],
    ['spentbook answer', decodeSpentbookAnswer],
    ['spentbook fact', decodeSpentbookFact],
    ['mint request', (bytes: Uint8Array) => decodeMintRequest(slot, bytes)],
    ['mint answer', decodeMintAnswer],
    ['mint fact', decodeMintFact],
    ['payment bundle', decodeBundle],
    ['payment fact', decodePaymentFact],
    ['registry entry', decodeRegistryEntry],
    ['receipt', (bytes: Uint8Array) => decodeReceipt(networkId, bytes)],
  ])(
    '%s: random bytes, random CBOR and cut messages are rejected without throwing',
    (_name, decode) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => !decode(noise).ok),
        {
          numRuns: 200,
        },
      );
      const value = fc.oneof(
        fc.string(),
        fc.integer(),
        fc.boolean(),
        fc.uint8Array({ maxLength: 70 }),
      );
      const words = fc.constantFrom(
        'prepare',
        'commit',
        'spent',
        'register',
        'registered',
        'voted',
      );
      const shaped = fc
        .dictionary(
          fc.constantFrom('request', 'slot', 'transaction', 'key', 'index', 'share'),
          value,
          { minKeys: 1 },
        )
        .chain((fields) => words.map((kind) => encodeCbor({ kind, ...fields })));
      fc.assert(
        fc.property(shaped, (bytes) => !decode(bytes).ok),
        { numRuns: 200 },
      );
    },
  );

  test('texts: random text is rejected without throwing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        return !decodeAddress(networkId, text).ok && !parseReceiptText(networkId, text).ok;
      }),
    );
  });

  test('encoded values round-trip', () => {
    const prepare = {
      kind: 'prepare',
      request,
      section,
      slot,
      transaction: utf8('tx'),
      sources: [{ kind: 'genesis' }, { kind: 'committed', ...entry }],
      ballot: 0,
      recovery: null,
    } as const;
    expect(decodeSpentbookRequest(slot, encodeSpentbookRequest(prepare))).toEqual({
      ok: true,
      value: prepare,
    });
    const answers: readonly SpentbookAnswer[] = [
      { kind: 'prepared', request, ballot: 0, share: new Uint8Array(48) },
      { kind: 'spent', request, transaction: utf8('tx'), certificate },
      { kind: 'notAllowed', request, rule: 'SPENTBOOK-R1' },
      { kind: 'sealed', request, key: new Uint8Array(96), epoch: 7n },
      { kind: 'unproven', request, slot, epoch: 0n },
      { kind: 'proof', request, txid: slot, inclusion },
      { kind: 'bound', request, epoch: 1n, inclusion, transaction: utf8('tx') },
    ];
    for (const answer of answers) {
      expect(decodeSpentbookAnswer(encodeSpentbookAnswer(answer))).toEqual({
        ok: true,
        value: answer,
      });
    }
    const register = { kind: 'register', request, section, key: slot, ...entry } as const;
    expect(decodeMintRequest(slot, encodeMintRequest(register))).toEqual({
      ok: true,
      value: register,
    });
    const ack = { kind: 'registered', request, signature: new Uint8Array(64) } as const;
    expect(decodeMintAnswer(encodeMintAnswer(ack))).toEqual({ ok: true, value: ack });
    expect(toHex(encodeRegistryEntry(entry)).length).toBeGreaterThan(0);
  });

  test('a message for another slot or output than its envelope names is refused', () => {
    const commit = {
      kind: 'commit',
      request,
      section,
      slot,
      transaction: utf8('tx'),
      prepared: [certificate],
    } as const;
    expect(decodeSpentbookRequest(seedOf('other'), encodeSpentbookRequest(commit)).ok).toBe(false);
    const register = { kind: 'register', request, section, key: slot, ...entry } as const;
    expect(decodeMintRequest(seedOf('other'), encodeMintRequest(register)).ok).toBe(false);
  });
});
