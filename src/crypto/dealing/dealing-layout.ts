/**
 * The bytes of a dealing: one fixed layout of about 47 kB, one encoding per dealing.
 *
 * Letters as in dealing-suite.ts: A and C commit to the polynomial in G1 and G2; each round
 * contains either the seed and the hash of z, or z and the hash of the seed.
 */
import { Reader, Writer } from '#core/codec/bytes.ts';

/** Receivers, and so ciphertexts per round. */
export const RECEIVERS = 7;
/** Coefficients: any five shares determine the secret, four reveal nothing. */
export const COEFFICIENTS = 5;
/** N: rounds of cut and choose. */
export const ROUNDS = 144;
/** o: rounds that are opened. C(144, 48) > 2^128, so no iterated challenge is needed (N15). */
export const OPENED_ROUNDS = 48;

const g1Bytes = 48;
const g2Bytes = 96;
const scalarBytes = 32;
const hashBytes = 32;
const pointBytes = 32;
const bitmapBytes = ROUNDS / 8;
const unopenedBytes = hashBytes + pointBytes + (RECEIVERS + COEFFICIENTS) * scalarBytes;

/** The exact size of every dealing. */
export const DEALING_BYTES =
  COEFFICIENTS * (g1Bytes + g2Bytes) +
  bitmapBytes +
  OPENED_ROUNDS * (scalarBytes + hashBytes) +
  (ROUNDS - OPENED_ROUNDS) * unopenedBytes;

export interface OpenedRound {
  readonly kind: 'opened';
  /** 32 bytes, from which r, t, T and all ciphertexts follow. */
  readonly seed: Uint8Array;
  readonly zHash: Uint8Array;
}

export interface UnopenedRound {
  readonly kind: 'unopened';
  readonly seedHash: Uint8Array;
  /** t·B in ristretto255. */
  readonly T: Uint8Array;
  /** r(i) plus the pad of receiver i = 1…7. */
  readonly e: readonly Uint8Array[];
  /** Coefficients of z = r + f. */
  readonly z: readonly Uint8Array[];
}

export interface DealingParts {
  /** fₖ·g₁, 48 bytes each. */
  readonly A: readonly Uint8Array[];
  /** fₖ·g₂, 96 bytes each. */
  readonly C: readonly Uint8Array[];
  readonly rounds: readonly (OpenedRound | UnopenedRound)[];
}

export function encodeDealing({ A, C, rounds }: DealingParts): Uint8Array {
  const writer = new Writer();
  for (const point of A) writer.fixed(point, g1Bytes);
  for (const point of C) writer.fixed(point, g2Bytes);
  const bitmap = new Uint8Array(bitmapBytes);
  for (const [j, { kind }] of rounds.entries()) {
    if (kind === 'opened') bitmap[j >> 3] = (bitmap[j >> 3] ?? 0) | (1 << (j & 7));
  }
  writer.fixed(bitmap, bitmapBytes);
  for (const round of rounds) {
    if (round.kind === 'opened') {
      writer.fixed(round.seed, scalarBytes).fixed(round.zHash, hashBytes);
      continue;
    }
    writer.fixed(round.seedHash, hashBytes).fixed(round.T, pointBytes);
    for (const e of round.e) writer.fixed(e, scalarBytes);
    for (const z of round.z) writer.fixed(z, scalarBytes);
  }
  return writer.finish();
}

/** @returns undefined for another length or another number of opened rounds. */
export function decodeDealing(bytes: Uint8Array): DealingParts | undefined {
  if (bytes.length !== DEALING_BYTES) return undefined;
  const reader = new Reader(bytes);
  const many = (count: number, length: number): readonly Uint8Array[] =>
    Array.from({ length: count }, () => reader.fixed(length));
  const A = many(COEFFICIENTS, g1Bytes);
  const C = many(COEFFICIENTS, g2Bytes);
  const bitmap = reader.fixed(bitmapBytes);
  const isOpened = (j: number): boolean => (((bitmap[j >> 3] ?? 0) >> (j & 7)) & 1) === 1;
  const rounds = Array.from({ length: ROUNDS }, (_, j): OpenedRound | UnopenedRound =>
    isOpened(j)
      ? { kind: 'opened', seed: reader.fixed(scalarBytes), zHash: reader.fixed(hashBytes) }
      : {
          kind: 'unopened',
          seedHash: reader.fixed(hashBytes),
          T: reader.fixed(pointBytes),
          e: many(RECEIVERS, scalarBytes),
          z: many(COEFFICIENTS, scalarBytes),
        },
  );
  // The total length matches only when exactly the right number of rounds is opened.
  return reader.finish() ? { A, C, rounds } : undefined;
}
