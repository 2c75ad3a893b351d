/** Threshold signatures as the protocols use them: BLS in production, arithmetic in simulation. */
import {
  blsCombine,
  blsPublicKey,
  blsSign,
  blsVerify,
  interpolatePublicKey,
  type BlsPurpose,
  type SignatureShare,
} from './bls.ts';

/**
 * Injected, so that the simulator can replace pairings with arithmetic, a thousand times cheaper.
 */
export interface ThresholdSuite {
  /** @returns 48 bytes: the share of a signature by `secretShare` (32 bytes). */
  readonly sign: (secretShare: Uint8Array, purpose: BlsPurpose, message: Uint8Array) => Uint8Array;
  /** Verifies a share against its public share, or a combined signature against the section key. */
  readonly verify: (
    publicKey: Uint8Array,
    purpose: BlsPurpose,
    message: Uint8Array,
    signature: Uint8Array,
  ) => boolean;
  /** Lagrange at 0 over distinct indexes; the result must be passed to `verify`. */
  readonly combine: (shares: readonly SignatureShare[]) => Uint8Array | undefined;
  /** @returns 96 bytes. */
  readonly publicKey: (secret: Uint8Array) => Uint8Array;
  /** The public share of index `at` by these public shares; `at` 0 is the section key. */
  readonly interpolate: (
    shares: readonly { readonly index: number; readonly key: Uint8Array }[],
    at: number,
  ) => Uint8Array | undefined;
}

export const blsSuite: ThresholdSuite = {
  sign: blsSign,
  verify: blsVerify,
  combine: blsCombine,
  publicKey: blsPublicKey,
  interpolate: interpolatePublicKey,
};
