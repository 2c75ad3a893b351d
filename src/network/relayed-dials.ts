/**
 * Who may bring us connections through a relay. The library lets any peer: a node that is asked to take
 * a relayed connection first reserves a place at the peer that asks, listens through it from then on,
 * and connects to it again and again.
 */
import type { Connection, PeerId, Stream } from '@libp2p/interface';

/** What is used of the library's transport: the handler of the "stop" protocol. */
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
