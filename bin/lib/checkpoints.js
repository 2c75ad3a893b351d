/** Merges the proofs of one network into the checkpoints file (`bin/checkpoints.js`). */
import { Stop } from './root.js';

/** Members of a state that must report it before a release pins it. */
const minAgreed = 2;
/** The limits of `src/service-worker/checkpoints.ts`; a build with more would not start. */
const maxNetworks = 16;
const maxPagesShipped = 16;

/**
 * The checkpoints with this network's sections as `safe network status --json` prints them; those of
 * other networks stay. Errors: throws a Stop when a section is not proven, or reported by fewer than
 * two of its members.
 */
export function withNetwork(checkpoints, status) {
  const { networkId } = status.network;
  if (status.sections.length === 0) throw new Stop('No section was told: nothing was written.');
  for (const { prefix, verified, agreedMembers } of status.sections) {
    if (!verified)
      throw new Stop(`Section ${prefix} does not follow from the first key: nothing was written.`);
    if (!(agreedMembers >= minAgreed))
      throw new Stop(
        `Section ${prefix} was told by fewer than two of its members: nothing was written. Ask again when more nodes answer.`,
      );
  }
  const proofs = status.sections.flatMap((section) => section.proofs);
  if (proofs.length > maxPagesShipped) {
    throw new Stop(
      `The proofs of this network have ${proofs.length} pages, and the app takes ${maxPagesShipped}: nothing was written.`,
    );
  }
  const others = checkpoints.networks.filter((each) => each.networkId !== networkId);
  if (others.length + 1 > maxNetworks) {
    throw new Stop(
      `checkpoints.json names ${others.length} other networks, and the app takes ${maxNetworks} in all: nothing was written.`,
    );
  }
  return { format: 1, networks: [...others, { networkId, proofs }] };
}
