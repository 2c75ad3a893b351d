/** The names connected per address, so that refusing a connection does not walk over all open ones. */
import type { Connection, Libp2p } from '@libp2p/interface';
import { peerIdToName } from '../peer-id.ts';

export interface NamesByAddress {
  /** Is there a connection from or to this address whose name passes the test? */
  readonly some: (address: string | null, passes: (name: Uint8Array) => boolean) => boolean;
}

/** Must be called before the host starts. @param addressOf see addressGroup */
export function namesByAddress(
  libp2p: Pick<Libp2p, 'addEventListener'>,
  addressOf: (connection: Connection) => string | null,
): NamesByAddress {
  /** By address, then by connection id. */
  const open = new Map<string, Map<string, Uint8Array>>();
  libp2p.addEventListener('connection:open', ({ detail: connection }) => {
    const [address, name] = [addressOf(connection), peerIdToName(connection.remotePeer)];
    if (address === null || name === null || connection.status !== 'open') return;
    const names = open.get(address) ?? new Map<string, Uint8Array>();
    open.set(address, names.set(connection.id, name));
  });
  libp2p.addEventListener('connection:close', ({ detail: connection }) => {
    const address = addressOf(connection);
    const names = address === null ? undefined : open.get(address);
    if (address === null || names?.delete(connection.id) !== true) return;
    if (names.size === 0) open.delete(address);
  });
  return {
    some: (address, passes) =>
      address !== null && [...(open.get(address)?.values() ?? [])].some(passes),
  };
}
