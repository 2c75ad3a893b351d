/** N35: a change of the section reaches each member from three elders, chosen by hash, as a delta. */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { SectionAuthority, SectionTree, SignedAuthority } from '#protocol/section/index.ts';
import { pageFor } from './decide.ts';
import type { Update } from './messages.ts';

/** Two may lie or sleep. */
export const pushersWanted = 3;

/** Which elders tell this receiver about this state; the others answer when asked. */
export const pushersOf = (
  { elders, generation }: Pick<SectionAuthority, 'elders' | 'generation'>,
  receiver: Uint8Array,
): readonly XorName[] =>
  elders
    .map(({ name }) => ({
      name,
      rank: labelledHash(
        'safe/v1/pusher',
        receiver,
        name,
        new TextEncoder().encode(`${generation}`),
      ),
    }))
    .sort((a, b) => compareBytes(a.rank, b.rank))
    .slice(0, pushersWanted)
    .map(({ name }) => name);

/** Those whom this elder tells. */
export const pushedBy = (authority: SectionAuthority, self: Uint8Array): readonly XorName[] => {
  const id = nameToId(self);
  return authority.members
    .map(({ name }) => name)
    .filter((name) => nameToId(name) !== id)
    .filter((name) => pushersOf(authority, name).some((each) => nameToId(each) === id));
};

/** What follows the key a receiver has: no link when it is the same key, else a page of them. */
export const updateFor = (
  tree: SectionTree,
  knownKey: Uint8Array,
  target: Omit<SignedAuthority, 'chain'>,
): Update => ({ proof: pageFor(tree, knownKey, target) });
