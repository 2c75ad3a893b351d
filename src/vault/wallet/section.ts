/** Who speaks for the section, checked here against the network that the Safe is pinned to. */
import { getPins, putPins } from '#storage/browser/pins.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { createAuthorityReader, type AuthorityReader } from '../authority.ts';
import type { Rpc } from '../rpc.ts';

export function createSectionReader(
  rpc: Rpc,
  network: () => PinnedNetwork | null,
): AuthorityReader {
  return createAuthorityReader(rpc, network, { get: getPins, put: putPins });
}
