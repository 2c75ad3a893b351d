/** The section verifier of the network that the Safe is pinned to, with its stored pins. */
import { getPins, putPins } from '#storage/browser/pins.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { createVerifiedSections, type VerifiedSections } from '../network/verified-sections.ts';
import type { WorkerRpc } from '../network/worker-rpc.ts';

export function openVerifiedSections(
  rpc: WorkerRpc,
  network: () => PinnedNetwork | null,
): VerifiedSections {
  return createVerifiedSections(rpc, network, { get: getPins, put: putPins });
}
