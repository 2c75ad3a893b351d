/**
 * Arithmetic modulo a prime: polynomials and Lagrange interpolation for secret sharing. One
 * implementation for the real curve and for the simulator's toy suite.
 *
 * BigInt arithmetic is not constant-time; only elders' own processes compute with shares.
 */
import { assert } from '#core/assert.ts';

const scalarBytes = 32;

export interface ScalarField {
  readonly order: bigint;
  /** 32 bytes big-endian below the order; undefined for anything else. */
  readonly decode: (bytes: Uint8Array) => bigint | undefined;
  readonly encode: (value: bigint) => Uint8Array;
  /** Any bytes as a big-endian number mod order; give ≥ 48 for a negligible bias. */
  readonly reduce: (bytes: Uint8Array) => Uint8Array;
  /** Sum of scalars. */
  readonly sum: (scalars: readonly Uint8Array[]) => Uint8Array;
  /** Σₖ aₖ·indexᵏ. */
  readonly evaluate: (coefficients: readonly Uint8Array[], index: number) => Uint8Array;
  /**
   * λᵢ = Πⱼ≠ᵢ (at − xⱼ)/(xᵢ − xⱼ). Undefined for no indexes, a repeated one or one outside 1…255.
   */
  readonly lagrange: (indexes: readonly number[], at: number) => readonly bigint[] | undefined;
  readonly mod: (value: bigint) => bigint;
}

export function createScalarField(order: bigint): ScalarField {
  const mod = (value: bigint): bigint => {
    const rest = value % order;
    return rest < 0n ? rest + order : rest;
  };

  const power = (base: bigint, exponent: bigint): bigint => {
    let result = 1n;
    for (let square = base, rest = exponent; rest > 0n; rest >>= 1n) {
      if (rest & 1n) result = mod(result * square);
      square = mod(square * square);
    }
    return result;
  };

  /** Fermat: a^(p−2) = a⁻¹. */
  const invert = (value: bigint): bigint => power(mod(value), order - 2n);

  const decode = (bytes: Uint8Array): bigint | undefined => {
    if (bytes.length !== scalarBytes) return undefined;
    const value = toNumber(bytes);
    return value < order ? value : undefined;
  };

  const encode = (value: bigint): Uint8Array => {
    assert(value >= 0n && value < order, 'a scalar is below the order');
    const bytes = new Uint8Array(scalarBytes);
    for (let i = scalarBytes - 1, rest = value; i >= 0; i--, rest >>= 8n) {
      bytes[i] = Number(rest & 255n);
    }
    return bytes;
  };

  const own = (bytes: Uint8Array): bigint => {
    const value = decode(bytes);
    assert(value !== undefined, 'a scalar is 32 bytes below the order');
    return value;
  };

  return {
    order,
    mod,
    decode,
    encode,
    reduce: (bytes) => encode(mod(toNumber(bytes))),
    sum: (scalars) => encode(scalars.reduce((sum, scalar) => mod(sum + own(scalar)), 0n)),
    evaluate: (coefficients, index) =>
      encode(coefficients.reduceRight((higher, low) => mod(higher * BigInt(index) + own(low)), 0n)),
    lagrange: (indexes, at) => {
      if (indexes.length === 0 || new Set(indexes).size !== indexes.length) return undefined;
      if (!indexes.every((x) => Number.isInteger(x) && x >= 1 && x <= 255)) return undefined;
      return indexes.map((xi) => {
        let numerator = 1n;
        let denominator = 1n;
        for (const xj of indexes) {
          if (xj === xi) continue;
          numerator = mod(numerator * BigInt(at - xj));
          denominator = mod(denominator * BigInt(xi - xj));
        }
        return mod(numerator * invert(denominator));
      });
    },
  };
}

/** The coefficients that combine shares of a polynomial into its value at 0. */
export const lagrangeAtZero = (
  field: ScalarField,
  indexes: readonly number[],
): readonly bigint[] | undefined => field.lagrange(indexes, 0);

function toNumber(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}
