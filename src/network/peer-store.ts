/**
 * libp2p writes down what every peer it met says of itself (addresses, protocols, program), and never
 * deletes it. Nothing reads it again, but for the address of a node's own relay.
 */
import type { Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { setNewest } from '#core/bounded.ts';

/** Peers libp2p keeps an entry of, connected or not; the one updated longest ago is deleted. */
export const maxRememberedPeers = 32;

/**
 * To be called before the host starts.
 * @param isKept peers whose entry is never deleted: few, and chosen by us.
 */
export function boundPeerStore(
  libp2p: Pick<Libp2p, 'addEventListener' | 'peerStore'>,
  isKept: (peerId: PeerId) => boolean,
): void {
  const remembered = new Map<string, true>();
  // Every new entry comes with this event, also one that is written after its peer has gone: identify
  // does that. A write that is under way ends before the deletion.
  libp2p.addEventListener('peer:update', ({ detail: { peer } }) => {
    if (isKept(peer.id)) return;
    for (const id of setNewest(remembered, peer.id.toString(), true, maxRememberedPeers)) {
      libp2p.peerStore.delete(peerIdFromString(id)).catch(() => undefined);
    }
  });
}
