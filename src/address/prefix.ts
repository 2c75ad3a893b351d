/** Prefix: the leading bits shared by all names of a section. The first section's is empty. */
import { assert } from '#core/assert.ts';
import { compareDistance, XOR_NAME_BYTES } from './xor-name.ts';

export interface Prefix {
  /** Number of leading bits, 0–255. */
  readonly bitCount: number;
  /** 32 bytes; bits after `bitCount` are zero. */
  readonly bits: Uint8Array;
}

export const EMPTY_PREFIX: Prefix = { bitCount: 0, bits: new Uint8Array(XOR_NAME_BYTES) };

/** Is the section with this prefix responsible for this name? */
export const matches = (prefix: Prefix, name: Uint8Array): boolean =>
  sharedBits(prefix.bits, name, prefix.bitCount) === prefix.bitCount;

/** The prefix with one bit appended: one of the two children of a split. */
export function child(prefix: Prefix, bit: 0 | 1): Prefix {
  assert(prefix.bitCount < 255, 'a prefix is shorter than a name');
  const bits = prefix.bits.slice();
  const byte = prefix.bitCount >> 3;
  bits[byte] = (bits[byte] ?? 0) | (bit << (7 - (prefix.bitCount & 7)));
  return { bitCount: prefix.bitCount + 1, bits };
}

/** The first `bitCount` bits of a name. */
export function prefixOf(name: Uint8Array, bitCount: number): Prefix {
  const bits = new Uint8Array(XOR_NAME_BYTES);
  for (let bit = 0; bit < bitCount; bit++) {
    const byte = bit >> 3;
    bits[byte] = (bits[byte] ?? 0) | (bitAt(name, bit) << (7 - (bit & 7)));
  }
  return { bitCount, bits };
}

/** The prefix this one was split from; undefined for the empty prefix. */
export const parent = (prefix: Prefix): Prefix | undefined =>
  prefix.bitCount === 0 ? undefined : prefixOf(prefix.bits, prefix.bitCount - 1);

export const samePrefix = (a: Prefix, b: Prefix): boolean =>
  a.bitCount === b.bitCount && sharedBits(a.bits, b.bits, a.bitCount) === a.bitCount;

/** The longest prefix that contains both. */
export function commonPrefix(a: Prefix, b: Prefix): Prefix {
  let bitCount = Math.min(a.bitCount, b.bitCount);
  while (!isWithin(b, prefixOf(a.bits, bitCount))) bitCount--;
  return prefixOf(a.bits, bitCount);
}

/** Is `longer` equal to `shorter` or contained in it? */
export const isWithin = (longer: Prefix, shorter: Prefix): boolean =>
  longer.bitCount >= shorter.bitCount && matches(shorter, longer.bits);

/** Does one of them contain the other? */
export const isCompatible = (a: Prefix, b: Prefix): boolean => isWithin(a, b) || isWithin(b, a);

/** Negative when prefix `a` is closer to `target` than `b`; never 0 for two different prefixes. */
export function comparePrefixDistance(target: Uint8Array, a: Prefix, b: Prefix): number {
  if (isCompatible(a, b)) return b.bitCount - a.bitCount; // The longer one is more specific.
  return compareDistance(target, a.bits, b.bits);
}

/** "()" for the whole network, else the bits as text: "01". */
export function showPrefix(prefix: Prefix): string {
  if (prefix.bitCount === 0) return '()';
  return Array.from({ length: prefix.bitCount }, (_, bit) => bitAt(prefix.bits, bit)).join('');
}

/** The inverse of {@link showPrefix}; undefined for anything else. */
export function parsePrefix(text: string): Prefix | undefined {
  if (text === '()' || text === '') return EMPTY_PREFIX;
  if (!/^[01]{1,255}$/.test(text)) return undefined;
  return [...text].reduce((prefix, bit) => child(prefix, bit === '1' ? 1 : 0), EMPTY_PREFIX);
}

/** The number of equal leading bits, at most `max`. */
function sharedBits(a: Uint8Array, b: Uint8Array, max: number): number {
  for (let byte = 0; byte << 3 < max; byte++) {
    const difference = (a[byte] ?? 0) ^ (b[byte] ?? 0);
    if (difference !== 0) return Math.min(max, (byte << 3) + Math.clz32(difference) - 24);
  }
  return max;
}

function bitAt(bytes: Uint8Array, bit: number): 0 | 1 {
  return (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) as 0 | 1;
}
