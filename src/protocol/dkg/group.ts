/** The mathematics of a key generation, injected so that the simulator can use a toy. */
import {
  blsPublicKey,
  blsScalars,
  commitPolynomial,
  evaluateCommitment,
  evaluatePolynomial,
  sumPublicKeys,
} from '#crypto/bls.ts';
import { signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';
import { openSealed, sealTo, x25519PublicKey } from '#crypto/sealed-box.ts';

export interface DkgGroup {
  /** 48 bytes to a scalar of 32. */
  readonly toScalar: (bytes: Uint8Array) => Uint8Array;
  readonly evaluate: (coefficients: readonly Uint8Array[], index: number) => Uint8Array;
  /** True for a canonical scalar that is not zero. */
  readonly isSecret: (bytes: Uint8Array) => boolean;
  readonly sumScalars: (scalars: readonly Uint8Array[]) => Uint8Array;
  /** 96 bytes. */
  readonly publicKey: (secret: Uint8Array) => Uint8Array;
  readonly commit: (coefficients: readonly Uint8Array[]) => readonly Uint8Array[];
  readonly evaluateCommitment: (
    commitment: readonly Uint8Array[],
    index: number,
  ) => Uint8Array | undefined;
  readonly sumKeys: (keys: readonly Uint8Array[]) => Uint8Array | undefined;

  readonly boxPublicKey: (secret: Uint8Array) => Uint8Array;
  readonly seal: (
    boxKey: Uint8Array,
    ephemeralSecret: Uint8Array,
    info: string,
    plaintext: Uint8Array,
  ) => Uint8Array | undefined;
  readonly open: (
    boxSecret: Uint8Array,
    info: string,
    sealed: Uint8Array,
  ) => Uint8Array | undefined;

  /** Signatures by which candidates are known: ed25519 under their names. */
  readonly sign: (identitySeed: Uint8Array, message: Uint8Array) => Uint8Array;
  readonly verify: (name: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
}

export const blsGroup: DkgGroup = {
  toScalar: blsScalars.reduce,
  evaluate: evaluatePolynomial,
  isSecret: (bytes) => (blsScalars.decode(bytes) ?? 0n) !== 0n,
  sumScalars: blsScalars.sum,
  publicKey: blsPublicKey,
  commit: commitPolynomial,
  evaluateCommitment,
  sumKeys: sumPublicKeys,
  boxPublicKey: x25519PublicKey,
  seal: sealTo,
  open: openSealed,
  sign: signEd25519,
  verify: verifyEd25519,
};
