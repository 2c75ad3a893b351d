/**
 * The algebra of a simulated section: toys that cost microseconds, or the real curves of a node.
 * Both create names of any age and prefix, with the seed of each.
 */
import { toXorName, type XorName } from '#address/xor-name.ts';
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { createSigner, isSignedBy, publicKeyOf } from '#node/keys/native-ed25519.ts';
import { productionSuites, type DkgSuites } from '#protocol/dkg/index.ts';
import type { Prng } from '../prng.ts';
import { toyDealings } from './toy-dealing.ts';
import { toyScalars, toySuite } from './toy-suite.ts';

export interface Curves {
  readonly suites: DkgSuites;
  readonly scalars: ScalarField;
  /** A name of this age that begins with these bits. */
  readonly nameFor: (prng: Prng, age: number, bits?: string) => XorName;
  /** The seed of a name from `nameFor`. */
  readonly seedOf: (name: XorName) => Uint8Array;
}

/** A toy identity whose seed is its name, so that names of any age and prefix cost nothing. */
export const namedIdentity: IdentitySuite = {
  sign: (seed, message) => {
    const half = labelledHash('safe/toy/named-signature', seed, message);
    return concat(half, half);
  },
  verify: (name, message, signature) =>
    equalBytes(namedIdentity.sign(name, message), signature) ||
    equalBytes(anotherSignature(name, message, signature.subarray(32, 40)), signature),
};

/**
 * The same message with another signature: ed25519 permits any nonce, so no rule may select by the
 * bytes of a signature.
 */
export function anotherSignature(
  seed: Uint8Array,
  message: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  const half = labelledHash('safe/toy/other-signature', seed, message, nonce);
  return concat(half, nonce, half.subarray(0, 24));
}

export const toySuites: DkgSuites = {
  identity: namedIdentity,
  threshold: toySuite,
  dealings: toyDealings,
};

export const toyCurves: Curves = {
  suites: toySuites,
  scalars: toyScalars,
  nameFor: (prng, age, bits = '') => {
    const name = prng.bytes(32);
    [...bits].forEach((bit, at) => {
      const mask = 128 >> (at & 7);
      const byte = at >> 3;
      name[byte] = bit === '1' ? (name[byte] ?? 0) | mask : (name[byte] ?? 0) & ~mask;
    });
    name[31] = age;
    return toXorName(name);
  },
  seedOf: (name) => name,
};

/** Each bit doubles the 256 attempts that an age takes; no story here has a longer prefix. */
const groundBits = 4;

/**
 * BLS12-381, cut-and-choose dealings and ed25519, as in a node. Pure functions are computed once
 * for all nodes of a run: they share one core, and would all verify the same dealing.
 */
export function createRealCurves(): Curves {
  const { threshold, dealings } = productionSuites;
  const seeds = new Map<string, Uint8Array>();
  return {
    suites: {
      identity: {
        sign: (seed, message) => createSigner(seed)(message),
        verify: once('identity', isSignedBy, (name, message, signature) => [
          name,
          message,
          signature,
        ]),
      },
      threshold: {
        ...threshold,
        verify: once('signature', threshold.verify, (key, purpose, message, signature) => [
          key,
          utf8(purpose),
          message,
          signature,
        ]),
      },
      dealings: {
        ...dealings,
        verify: once('dealing', dealings.verify, (binding, keys, dealing) => [
          binding,
          ...keys,
          dealing,
        ]),
        sumDealings: once('sum', dealings.sumDealings, (given) => given),
      },
    },
    scalars: blsScalars,
    nameFor: (prng, age, bits = '') => {
      const wanted = bits.slice(0, groundBits);
      for (;;) {
        const seed = prng.bytes(32);
        const name = publicKeyOf(seed);
        const head = (name[0] ?? 0).toString(2).padStart(8, '0');
        if (name[31] !== age || !head.startsWith(wanted)) continue;
        seeds.set(toHex(name), seed);
        return toXorName(name);
      }
    },
    seedOf: (name) => {
      const seed = seeds.get(toHex(name));
      if (seed === undefined) throw new Error('a name that was ground here');
      return seed;
    },
  };
}

/** Memoizes a function. */
function once<A extends readonly unknown[], R>(
  label: string,
  find: (...args: A) => R,
  partsOf: (...args: A) => readonly Uint8Array[],
): (...args: A) => R {
  const known = new Map<string, R>();
  return (...args) => {
    const id = toHex(labelledHash(`safe/sim/once/${label}`, ...partsOf(...args)));
    if (!known.has(id)) known.set(id, find(...args));
    return known.get(id) as R;
  };
}
