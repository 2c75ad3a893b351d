/**
 * libp2p stores what each peer reports about itself (addresses, protocols, program) and never deletes it.
 * Only the address of a node's own relay is read again.
 */
import type { Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { setNewest } from '#core/bounded-collections.ts';

/** Peers with an entry in libp2p's store, connected or not; the one updated longest ago is deleted. */
export const maxRememberedPeers = 32;

/**
 * Must be called before the host starts.
 * @param isKept peers whose entry is never deleted: few, and chosen by us.
 */
export function limitPeerStore(
  libp2p: Pick<Libp2p, 'addEventListener' | 'peerStore'>,
  isKept: (peerId: PeerId) => boolean,
): void {
  const remembered = new Map<string, true>();
  // Every new entry emits this event, also one that identify writes after its peer has disconnected. A
  // write in progress ends before the deletion.
  libp2p.addEventListener('peer:update', ({ detail: { peer } }) => {
    if (isKept(peer.id)) return;
    for (const id of setNewest(remembered, peer.id.toString(), true, maxRememberedPeers)) {
      libp2p.peerStore.delete(peerIdFromString(id)).catch(() => undefined);
    }
  });
}
