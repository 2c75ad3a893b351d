/** A node's own signatures; injected so that the simulator can use cheap ones. */
import { signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';

export interface IdentitySuite {
  readonly sign: (seed: Uint8Array, message: Uint8Array) => Uint8Array;
  readonly verify: (name: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
}

/** A node's name is its ed25519 public key. */
export const ed25519Identity: IdentitySuite = { sign: signEd25519, verify: verifyEd25519 };
