/** N35: a change of the section reaches each member from three elders, chosen by hash, as a delta. */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';

/** Two may lie or sleep. */
export const pushersWanted = 3;
/** Peers that a node remembers to have told, 150 bytes each; the oldest are forgotten. */
export const maxTold = 8192;

/** Which elders tell this receiver about this state; the others answer when asked. */
export const pushersOf = (
  { elders, generation }: Pick<SectionAuthority, 'elders' | 'generation'>,
  receiver: Uint8Array,
): readonly XorName[] =>
  elders
    .map(({ name }) => ({
      name,
      rank: labelledHash('safe/v1/pusher', receiver, name, utf8(`${generation}`)),
    }))
    .sort((a, b) => compareBytes(a.rank, b.rank))
    .slice(0, pushersWanted)
    .map(({ name }) => name);

/** The members whom this elder tells. */
export const pushedBy = (
  authority: Pick<SectionAuthority, 'elders' | 'generation' | 'members'>,
  self: Uint8Array,
): readonly XorName[] => {
  const id = nameToId(self);
  return authority.members
    .map(({ name }) => name)
    .filter((name) => nameToId(name) !== id)
    .filter((name) => pushersOf(authority, name).some((each) => nameToId(each) === id));
};
