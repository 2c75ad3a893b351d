/**
 * Limits on dials for unknown nodes (N40). Such a node states its own addresses, so a join request
 * could make every elder dial any address. The address it is connected from is always dialled, and
 * no other node can use that up; any other address is dialled a few times a minute.
 */
import { setNewest } from '#core/bounded-collections.ts';
import { hostGroup } from '#network/limits/inbound-limits.ts';

/** Dials in {@link windowMs} of one address that is not the requester's own. */
export const maxDialsElsewhere = 8;
/** The same for all requesters from one address. */
export const maxDialsElsewherePerAsker = 16;
const windowMs = 60_000;
/** After a failed dial, the wait for the same node at the same addresses doubles each time. */
const firstWaitMs = 2_000;
const longestWaitMs = 120_000;
/** Nodes and addresses remembered; the oldest is evicted. */
export const maxDialsRemembered = 1024;

export interface DialLimits {
  /** @param from groups of the addresses from which this node is connected, see addressGroup */
  readonly allowed: (
    id: string,
    addresses: readonly string[],
    from: ReadonlySet<string | null>,
  ) => readonly string[];
  readonly record: (id: string, addresses: readonly string[], reached: boolean) => void;
}

export function createDialLimits(nowMs: () => number = Date.now): DialLimits {
  const failures = new Map<string, { readonly count: number; readonly untilMs: number }>();
  const dials = new Map<string, readonly number[]>();

  const recent = (id: string): readonly number[] =>
    (dials.get(id) ?? []).filter((at) => nowMs() - at < windowMs);
  /** Counts one more dial in each bound, if all of them have one left. */
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
    record: (id, addresses, reached) => {
      const key = keyOf(id, addresses);
      if (reached) return void failures.delete(key);
      const count = (failures.get(key)?.count ?? 0) + 1;
      const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (count - 1));
      setNewest(failures, key, { count, untilMs: nowMs() + waitMs }, maxDialsRemembered);
    },
  };
}

/** Other addresses count as another try: their cost is bounded per address. */
const keyOf = (id: string, addresses: readonly string[]): string =>
  `${id} ${[...addresses].sort().join(' ')}`;
