/** Converts between names and libp2p peer ids: a node's name is its ed25519 public key. */
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';

export const nameToPeerId = (name: Uint8Array): PeerId =>
  peerIdFromPublicKey(publicKeyFromRaw(name));

/** @returns the peer's name, or `null` when its key is not ed25519. */
export function peerIdToName(peerId: PeerId): Uint8Array | null {
  return peerId.type === 'Ed25519' ? peerId.publicKey.raw : null;
}
