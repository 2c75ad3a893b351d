import { concat, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';

/**
 * SHA-256('safe/network/v1' ‖ genesis key ‖ name) (wire.md, network file). The label and the key
 * have fixed lengths and the name is last, so no length prefix is needed.
 * @param genesisKey 96 bytes: the first section's BLS public key.
 * @param name UTF-8, the network's name as in the network file.
 */
export const networkIdOf = (genesisKey: Uint8Array, name: string): Uint8Array =>
  sha256(concat(utf8('safe/network/v1'), genesisKey, utf8(name)));
