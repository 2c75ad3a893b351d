/** Who speaks for the section, checked here against the network that the Safe is pinned to. */
import type { SectionAuthority } from '#protocol/section/index.ts';
import { getPins, putPins } from '#storage/browser/pins.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { createAuthorityReader } from '../authority.ts';
import type { Rpc } from '../rpc.ts';

export function createSectionReader(
  rpc: Rpc,
  network: () => PinnedNetwork | null,
): () => Promise<SectionAuthority> {
  const reader = createAuthorityReader(rpc, network, { get: getPins, put: putPins });
  return () => reader.newest();
}
