/** XorName: a 256-bit address; closeness is XOR. A node's name is its ed25519 public key. */
import { assert } from '#core/assert.ts';
import type { Brand } from '#core/brand.ts';
import { toHex } from '#core/codec/bytes.ts';

export const XOR_NAME_BYTES = 32;

export type XorName = Brand<Uint8Array, 'XorName'>;

export function toXorName(bytes: Uint8Array): XorName {
  assert(bytes.length === XOR_NAME_BYTES, 'a XorName has 32 bytes');
  return bytes as XorName;
}

/** The name as lower-case hex: the form used as a map key and as a `NodeId`. */
export const nameToId = (name: Uint8Array): string => toHex(name);

/** Node age: the last byte of a node's name (AGE-A2). */
export const ageOf = (name: Uint8Array): number => name[XOR_NAME_BYTES - 1] ?? 0;

/** Negative when `a` is closer to `target` than `b`. */
export function compareDistance(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < XOR_NAME_BYTES; i++) {
    const difference = ((a[i] ?? 0) ^ (target[i] ?? 0)) - ((b[i] ?? 0) ^ (target[i] ?? 0));
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The `count` names closest to `target`, closest first. */
export function closest<T extends Uint8Array>(
  names: readonly T[],
  target: Uint8Array,
  count: number,
): readonly T[] {
  return [...names].sort((a, b) => compareDistance(target, a, b)).slice(0, count);
}
