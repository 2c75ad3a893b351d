/**
 * Goal: every codec decodes each well-formed value to the same bytes and never throws on malformed ones,
 * for all message kinds and fields.
 * Method: values generated from the codecs' shapes, at every legal length; then changed bytes.
 */
import { describe, expect, test } from 'vitest';
import { encodeSealedState } from '#protocol/section/index.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { codecs, type Codec } from '../../sim/adversary/codecs.ts';
import { contents, fillings, isPlain, sealedShape } from '../../sim/adversary/fillings.ts';
import {
  make,
  makeCase,
  mutateValue,
  opaqueFields,
  type Making,
} from '../../sim/adversary/make-values.ts';
import { atPath } from '../../sim/adversary/paths.ts';
import { createSeenValues } from '../../sim/adversary/seen-values.ts';
import { createPrng, type Prng } from '../../sim/prng.ts';
import { genesis, only, sign, succeed } from '../section/network.ts';

const perKind = 60;
const born = only(succeed(genesis(), 'next').children);

const aState = encodeSealedState({ ...sign(born), state: born.state });

function makingFor(seed: number): Making {
  const prng = createPrng(seed);
  const seen = createSeenValues(createPrng(seed + 1), contents);
  seen.note(sealedShape, aState);
  return { prng, seen, contents, fillings, most: { items: 20, bytes: 4096 } };
}

const kindsOf = ({ shape }: Codec): readonly (string | null)[] =>
  shape.outline?.kind === 'union' ? Object.keys(shape.outline.cases) : [null];

const madeOf = (making: Making, { shape }: Codec, kind: string | null): unknown =>
  kind === null ? make(making, shape) : makeCase(making, shape, kind);

/** Cut, lengthened, a byte changed, a run of bytes overwritten. */
function spoilt(prng: Prng, bytes: Uint8Array): Uint8Array {
  const at = prng.below(bytes.length);
  const changed = bytes.slice();
  switch (prng.below(4)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return Uint8Array.of(...bytes.slice(0, at), prng.below(256), ...bytes.slice(at));
    case 2:
      changed[at] = (changed[at] ?? 0) ^ (1 << prng.below(8));
      return changed;
    default:
      changed.set(prng.bytes(Math.min(8, bytes.length - at)), at);
      return changed;
  }
}

function encodedAgain({ decode, encode }: Codec, bytes: Uint8Array): Uint8Array {
  const decoded = decode(bytes);
  return decoded.ok ? encode(decoded.value as never) : new Uint8Array();
}

describe.each(codecs)('$name', (codec) => {
  test.each(kindsOf(codec))('%s decodes and encodes to the same bytes', (kind) => {
    const making = makingFor(7);
    let taken = 0;
    for (let n = 0; n < perKind; n++) {
      const wire = madeOf(making, codec, kind);
      making.seen.note(codec.shape, wire);
      for (const value of [wire, mutateValue(making, codec.shape, wire)]) {
        const bytes = encodeCbor(value);
        const decoded = codec.decode(bytes);
        // A field with its own codec may hold bytes that this codec rejects.
        if (!decoded.ok) continue;
        taken += 1;
        const again = codec.encode(decoded.value as never);
        // A stored fact may omit a signature that the node does not need.
        const expected = codec.name.endsWith('fact') ? encodedAgain(codec, again) : bytes;
        if (!equalBytes(again, expected)) expect(toHex(again)).toBe(toHex(expected));
      }
    }
    expect(taken).toBeGreaterThan(perKind / 2);
  });

  test('no changed byte makes the decoder throw', () => {
    const making = makingFor(11);
    for (const kind of kindsOf(codec)) {
      for (let n = 0; n < perKind; n++) {
        const bytes = encodeCbor(madeOf(making, codec, kind));
        for (let times = 0; times < 8; times++) codec.decode(spoilt(making.prng, bytes));
      }
    }
  });

  test('all its fields have a known shape', () => {
    const open = opaqueFields(codec.shape).filter(
      (path) =>
        atPath(contents, path) === undefined &&
        atPath(fillings, path) === undefined &&
        !isPlain(path),
    );
    expect(open).toEqual([]);
  });
});
