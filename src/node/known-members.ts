/**
 * Whose messages are the work of the section (lane "system" of the gate): members of our section and of
 * those whose sealed states we know. Members under the key before ours count until the next handover:
 * after a split they fetch and sign here while the state that names them is not sealed yet, and strangers
 * must not crowd them out.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';

type Known = Pick<SectionAuthority, 'key' | 'elders' | 'members'>;

export interface KnownMembers {
  /** The newest state of our own section. */
  readonly adopted: (own: Known) => void;
  /** @param others newest states of other sections */
  readonly follow: (others: readonly Known[]) => void;
  readonly has: (id: string) => boolean;
}

export function createKnownMembers(): KnownMembers {
  let own: Known | null = null;
  let before: ReadonlySet<string> = new Set();
  let now: ReadonlySet<string> = new Set();
  let elsewhere: ReadonlySet<string> = new Set();
  return {
    adopted: (next) => {
      if (own !== null && !equalBytes(own.key, next.key)) before = now;
      own = next;
      now = namesOf([next]);
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
