/**
 * The senders whose messages are section work (admission control's lane "system"): members of our
 * section and of those whose sealed states we know. Members under the previous key count until the next
 * handover: after a split they fetch and sign here before the state that names them is sealed, and
 * unknown peers must not crowd them out.
 */
import { nameToId } from '#address/xor-name.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';

type Known = Pick<SectionAuthority, 'elders' | 'members'>;

export interface KnownMembers {
  /** @param own the newest state of our own section. @param previous the last one under the previous key */
  readonly setOwnSection: (own: Known, previous: Known | null) => void;
  /** @param others newest states of other sections */
  readonly setOtherSections: (others: readonly Known[]) => void;
  readonly has: (id: string) => boolean;
}

export function createKnownMembers(): KnownMembers {
  let formerIds: ReadonlySet<string> = new Set();
  let ownIds: ReadonlySet<string> = new Set();
  let otherIds: ReadonlySet<string> = new Set();
  return {
    setOwnSection: (own, previous) => {
      ownIds = namesOf([own]);
      formerIds = namesOf(previous === null ? [] : [previous]);
    },
    setOtherSections: (others) => {
      otherIds = namesOf(others);
    },
    has: (id) => ownIds.has(id) || formerIds.has(id) || otherIds.has(id),
  };
}

const namesOf = (all: readonly Known[]): ReadonlySet<string> =>
  new Set(
    all.flatMap(({ elders, members }) => [...elders, ...members].map(({ name }) => nameToId(name))),
  );
