/**
 * Whose messages are the work of the section (lane "system" of the gate): members of our section and of
 * those whose sealed states we know. Members under the key before ours count until the next handover:
 * after a split they fetch and sign here while the state that names them is not sealed yet, and strangers
 * must not crowd them out.
 */
import { nameToId } from '#address/xor-name.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';

type Known = Pick<SectionAuthority, 'elders' | 'members'>;

export interface KnownMembers {
  /** @param own the newest state of our own section. @param previous the last one under the key before */
  readonly adopted: (own: Known, previous: Known | null) => void;
  /** @param others newest states of other sections */
  readonly follow: (others: readonly Known[]) => void;
  readonly has: (id: string) => boolean;
}

export function createKnownMembers(): KnownMembers {
  let before: ReadonlySet<string> = new Set();
  let now: ReadonlySet<string> = new Set();
  let elsewhere: ReadonlySet<string> = new Set();
  return {
    adopted: (own, previous) => {
      now = namesOf([own]);
      before = namesOf(previous === null ? [] : [previous]);
    },
    follow: (others) => {
      elsewhere = namesOf(others);
    },
    has: (id) => now.has(id) || before.has(id) || elsewhere.has(id),
  };
}

const namesOf = (all: readonly Known[]): ReadonlySet<string> =>
  new Set(
    all.flatMap(({ elders, members }) => [...elders, ...members].map(({ name }) => nameToId(name))),
  );
