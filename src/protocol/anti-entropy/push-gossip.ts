/** N35: three elders, chosen by hash, push each change of the section to each member as a delta. */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';

/** Two of the three may be faulty. */
export const pushersPerMember = 3;
/** Peers whose last pushed state a node remembers, 150 bytes each; the oldest are evicted. */
export const maxTrackedPeers = 8192;

/** The elders that push this state to this receiver; the others send it on request. */
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
    .slice(0, pushersPerMember)
    .map(({ name }) => name);

/** The members to which this elder pushes. */
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
