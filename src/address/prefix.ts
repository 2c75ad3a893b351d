/** Prefix: the leading bits shared by all names of a section. The first section's is empty. */
import { assert } from '#core/assert.ts';
import { XOR_NAME_BYTES } from './xor-name.ts';

export interface Prefix {
  /** How many leading bits count, 0–255. */
  readonly bitCount: number;
  /** 32 bytes; bits after `bitCount` are zero. */
  readonly bits: Uint8Array;
}

export const EMPTY_PREFIX: Prefix = { bitCount: 0, bits: new Uint8Array(XOR_NAME_BYTES) };

/** Does the section with this prefix answer for this name? */
export function matches(prefix: Prefix, name: Uint8Array): boolean {
  for (let bit = 0; bit < prefix.bitCount; bit++) {
    if (bitAt(prefix.bits, bit) !== bitAt(name, bit)) return false;
  }
  return true;
}

/** The prefix with one bit appended: one of the two children of a split. */
export function child(prefix: Prefix, bit: 0 | 1): Prefix {
  assert(prefix.bitCount < 255, 'a prefix is shorter than a name');
  const bits = prefix.bits.slice();
  const byte = prefix.bitCount >> 3;
  bits[byte] = (bits[byte] ?? 0) | (bit << (7 - (prefix.bitCount & 7)));
  return { bitCount: prefix.bitCount + 1, bits };
}

/** "()" for the whole network, else the bits as text: "01". */
export function showPrefix(prefix: Prefix): string {
  if (prefix.bitCount === 0) return '()';
  return Array.from({ length: prefix.bitCount }, (_, bit) => bitAt(prefix.bits, bit)).join('');
}

/** The reverse of {@link showPrefix}. @returns undefined for anything but at most 255 bits. */
export function parsePrefix(text: string): Prefix | undefined {
  if (text === '()') return EMPTY_PREFIX;
  if (!/^[01]{0,255}$/.test(text)) return undefined;
  return [...text].reduce((prefix, bit) => child(prefix, bit === '1' ? 1 : 0), EMPTY_PREFIX);
}

function bitAt(bytes: Uint8Array, bit: number): number {
  return ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;
}
