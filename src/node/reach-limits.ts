/**
 * How often a node dials for strangers (N40). A stranger writes down itself where it is, so a join
 * request could have every elder dial whatever address its sender likes. Where the sender comes from is
 * always dialled, and nobody else can use that up; any other address is dialled a few times a minute.
 */
import { setNewest } from '#core/bounded.ts';
import { hostGroup } from '#network/inbound.ts';

/** Dials in {@link windowMs} of one address that the asking node does not itself come from. */
export const maxDialsElsewhere = 8;
/** The same for all that nodes from one address ask for. */
export const maxDialsElsewherePerAsker = 16;
const windowMs = 60_000;
/** After a dial that failed, the same node at the same addresses waits twice as long each time. */
const firstWaitMs = 2_000;
const longestWaitMs = 120_000;
/** Nodes and addresses remembered; the one remembered longest is forgotten. */
export const maxDialsRemembered = 1024;

export interface ReachLimits {
  /** @param from groups of the addresses from which this node is connected, see addressGroup */
  readonly allowed: (
    id: string,
    addresses: readonly string[],
    from: ReadonlySet<string | null>,
  ) => readonly string[];
  readonly note: (id: string, addresses: readonly string[], reached: boolean) => void;
}

export function createReachLimits(nowMs: () => number = Date.now): ReachLimits {
  const failures = new Map<string, { readonly count: number; readonly untilMs: number }>();
  const dials = new Map<string, readonly number[]>();

  const recent = (id: string): readonly number[] =>
    (dials.get(id) ?? []).filter((at) => nowMs() - at < windowMs);
  /** Counts one more dial for each, if all of them have one left. */
  const spend = (bounds: readonly (readonly [id: string, max: number])[]): boolean => {
    if (bounds.some(([id, max]) => recent(id).length >= max)) return false;
    for (const [id] of bounds) setNewest(dials, id, [...recent(id), nowMs()], maxDialsRemembered);
    return true;
  };

  return {
    allowed: (id, addresses, from) => {
      if ((failures.get(keyOf(id, addresses))?.untilMs ?? 0) > nowMs()) return [];
      const askers = [...from].flatMap((group) =>
        group === null ? [] : [[`from ${group}`, maxDialsElsewherePerAsker] as const],
      );
      return addresses.filter((address) => {
        const group = hostGroup(address.split('/')[2] ?? '');
        return from.has(group) || spend([[`to ${group ?? 'here'}`, maxDialsElsewhere], ...askers]);
      });
    },
    note: (id, addresses, reached) => {
      const key = keyOf(id, addresses);
      if (reached) return void failures.delete(key);
      const count = (failures.get(key)?.count ?? 0) + 1;
      const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (count - 1));
      setNewest(failures, key, { count, untilMs: nowMs() + waitMs }, maxDialsRemembered);
    },
  };
}

/** Another address is another try: what that costs is bounded by the address. */
const keyOf = (id: string, addresses: readonly string[]): string =>
  `${id} ${[...addresses].sort().join(' ')}`;
