/** Decides which peers may connect to a node, stay connected, and reserve a slot at its relay. */
import type { CircuitRelayService } from '@libp2p/circuit-relay-v2';
import type { ConnectionGater, PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Libp2p } from 'libp2p';
import { peerIdToName } from '../peer-id.ts';
import { addressGroup, createInboundLimits, type InboundPeer } from './inbound-limits.ts';
import { namesByAddress, type NamesByAddress } from './names-by-address.ts';
import { mayReserve } from './relay-reservations.ts';

/** See {@link addressGroup}. */
export const addressGroupOf = ({ remoteAddr }: { readonly remoteAddr: Multiaddr }): string | null =>
  addressGroup(remoteAddr.toString());

export class PeerAccess {
  readonly inbound = createInboundLimits();
  readonly gater: ConnectionGater = {
    denyDialMultiaddr: () => false,
    // Before any key agreement: a refusal here costs the sender more than this node.
    denyInboundConnection: (connection) => {
      const address = addressGroupOf(connection);
      const hasMember = (): boolean => this.#connected?.some(address, this.#isKnown) === true;
      if (!this.inbound.connect(address, hasMember)) return true;
      connection.addEventListener('close', () => this.inbound.disconnected(address));
      return false;
    },
    denyInboundEncryptedConnection: (peerId, connection) =>
      !this.inbound.mayStay(this.callerOf(peerId, connection)),
    denyInboundRelayReservation: (peerId) => !this.#mayReserve(peerId),
  };
  #isMember: ((name: Uint8Array) => boolean) | null = null;
  #libp2p: Libp2p | undefined;
  #relay: CircuitRelayService | undefined;
  #connected: NamesByAddress | undefined;

  /** Must be called before the host starts. */
  watch(libp2p: Libp2p, relay: CircuitRelayService | undefined): void {
    this.#libp2p = libp2p;
    this.#relay = relay;
    // The library keeps a reservation for two hours, even after its holder disconnects.
    libp2p.addEventListener('peer:disconnect', ({ detail: peerId }) => {
      if (!this.#mayAlwaysReserve(peerId)) relay?.reservations.delete(peerId);
    });
    this.#connected = namesByAddress(libp2p, addressGroupOf);
  }

  setMembership(isMember: (name: Uint8Array) => boolean): void {
    this.#isMember = isMember;
  }

  /** @param connection its connection. */
  callerOf(peerId: PeerId, connection: { readonly remoteAddr: Multiaddr }): InboundPeer {
    const name = peerIdToName(peerId);
    const isMember = (): boolean => name !== null && this.#isKnown(name);
    return { peerId: peerId.toString(), address: addressGroupOf(connection), isMember };
  }

  readonly #isKnown = (name: Uint8Array): boolean => this.#isMember?.(name) === true;

  /** Members, and all peers while no membership is known: a network is being founded. */
  #mayAlwaysReserve(peerId: PeerId): boolean {
    const name = peerIdToName(peerId);
    return this.#isMember === null || (name !== null && this.#isKnown(name));
  }

  #mayReserve(peerId: PeerId): boolean {
    if (this.#mayAlwaysReserve(peerId)) return true;
    const taken = [...(this.#relay?.reservations ?? [])].flatMap(([holder, { addr }]) =>
      this.#mayAlwaysReserve(holder) || holder.equals(peerId)
        ? []
        : [addressGroup(addr.toString())],
    );
    const from = this.#libp2p?.getConnections(peerId)[0];
    return mayReserve(taken, from === undefined ? null : addressGroupOf(from));
  }
}
