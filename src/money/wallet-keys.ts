/** The keys of a wallet, all from one 32-byte seed (MONEY-K1). */
import { assert } from '#core/assert.ts';
import { Secret } from '#core/secret.ts';
import { hkdf } from '#crypto/hash.ts';
import { encodeScalar, hashToScalar, publicPoint } from '#crypto/ristretto.ts';
import { x25519PublicKey } from '#crypto/x25519.ts';

export const WALLET_SEED_BYTES = 32;

/** Finds and opens incoming outputs; cannot spend them. */
export interface ViewKeys {
  /** k_v, 32 bytes: the X25519 secret. */
  readonly viewSecret: Secret;
  /** K_v = X25519(k_v, 9). */
  readonly viewKey: Uint8Array;
  /** K_s = k_s·G. */
  readonly spendKey: Uint8Array;
}

export interface WalletKeys extends ViewKeys {
  /** k_s, 32 bytes little-endian below ℓ. */
  readonly spendSecret: Secret;
  readonly seed: Secret;
}

/** MONEY-K1. @param seed 32 bytes from the Safe's keyring. */
export function walletKeys(seed: Uint8Array): WalletKeys {
  assert(seed.length === WALLET_SEED_BYTES, 'a wallet seed has 32 bytes');
  const spend = hashToScalar('safe/v1/wallet/spend', derive(seed, 'safe/v1/wallet/spend-seed'));
  const viewSecret = derive(seed, 'safe/v1/wallet/view');
  return {
    seed: new Secret(seed.slice()),
    spendSecret: new Secret(encodeScalar(spend)),
    spendKey: publicPoint(spend),
    viewSecret: new Secret(viewSecret),
    viewKey: x25519PublicKey(viewSecret),
  };
}

/** The caller of `walletKeys` wipes them after use. */
export function wipeWalletKeys({ seed, spendSecret, viewSecret }: WalletKeys): void {
  for (const secret of [seed, spendSecret, viewSecret]) secret.wipe();
}

/**
 * The key of the network's first coin, the faucet's: the same seed gives the faucet's wallet.
 * @returns p, 32 bytes little-endian, and P = p·G.
 */
export function genesisKeyPair(seed: Uint8Array): {
  readonly secret: Secret;
  readonly oneTimeKey: Uint8Array;
} {
  assert(seed.length === WALLET_SEED_BYTES, 'a wallet seed has 32 bytes');
  const p = hashToScalar('safe/v1/genesis-coin', derive(seed, 'safe/v1/genesis-coin-seed'));
  return { secret: new Secret(encodeScalar(p)), oneTimeKey: publicPoint(p) };
}

const derive = (seed: Uint8Array, label: string): Uint8Array =>
  hkdf(seed, new Uint8Array(), label, 32);
