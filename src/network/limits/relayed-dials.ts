/**
 * Decides which relays may bring connections to this node. The library accepts any peer: a node that is
 * offered a relayed connection first reserves a slot at the offering peer, listens through it from then on,
 * and reconnects to it again and again.
 */
import type { Connection, PeerId, Stream } from '@libp2p/interface';

/** The part of the library's transport in use: the handler of the "stop" protocol. */
interface RelayTransport {
  onStop: (stream: Stream, connection: Connection) => Promise<void>;
}

export function limitRelayedDials<Components, T>(
  factory: (components: Components) => T,
  isOwnRelay: (peerId: PeerId) => boolean,
): (components: Components) => T {
  return (components) => {
    const transport = factory(components);
    const relayed = transport as T & RelayTransport;
    const accept = relayed.onStop;
    relayed.onStop = async (stream, connection) => {
      if (isOwnRelay(connection.remotePeer)) return accept(stream, connection);
      stream.abort(new Error('not a relay of ours'));
    };
    return transport;
  };
}
