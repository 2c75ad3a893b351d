/** The same ed25519 from the platform's library: two hundred times faster. */
import { createSigner, isSignedBy, publicKeyOf } from '#node/keys/native-ed25519.ts';

export * from '../../../src/crypto/ed25519.ts';
export const ed25519PublicKey = (seed: Uint8Array): Uint8Array => publicKeyOf(seed);
export const signEd25519 = (seed: Uint8Array, message: Uint8Array): Uint8Array =>
  createSigner(seed)(message);
export const verifyEd25519 = (
  name: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean => isSignedBy(name, message, signature);
