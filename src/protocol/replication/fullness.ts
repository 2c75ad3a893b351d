/** A full disk is told to the section, and so is room again (P2). */
import type { NodeId } from '#core/machine.ts';
import type { ReplicationMessage } from './messages.ts';
import {
  and,
  isKnown,
  selfId,
  type Draft,
  type FullnessReport,
  type ReplicationConfig,
} from './state.ts';

/** Reports are repeated so often, because any of them may be lost. */
const reportEveryTicks = 10;
/** A node that changes its mind faster than this is not followed: each change costs lists. */
const reportPauseTicks = 10;
/** The pause doubles with each change after the first, up to 32 times; quiet time takes doublings back. */
export const maxPauseDoublings = 6;

export function reportFullness(config: ReplicationConfig, draft: Draft, full: boolean): Draft {
  const { state } = draft;
  if (state.ownFullness.full === full) return draft;
  const counter = state.ownFullness.counter + 1n;
  const changed = and(
    draft,
    { ownFullness: { counter, full }, ...whenRolesChange },
    // Before it is said: a counter that fell back after a crash would not be believed.
    { kind: 'persist', fact: { kind: 'reported', counter, full } },
  );
  const room = full ? changed : and(changed, { relistAt: state.tick });
  return tellFullness(config, room);
}

/** R8: what is on its way out was counted by the old view. */
export const whenRolesChange = {
  handing: new Map(),
  surplusAfter: '',
  surplusAgain: false,
} as const;

export const repeatFullness = (config: ReplicationConfig, draft: Draft): Draft =>
  draft.state.tick % reportEveryTicks === 0 ? tellFullness(config, draft) : draft;

function tellFullness(config: ReplicationConfig, draft: Draft): Draft {
  const { view, ownFullness } = draft.state;
  if (view === null || ownFullness.counter === 0n) return draft;
  const self = selfId(config);
  const to = [...view.own.members].filter((id) => id !== self);
  return and(draft, {}, { kind: 'send', to, message: { kind: 'fullness', ...ownFullness } });
}

export function takeFullness(
  draft: Draft,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'fullness' }>,
): Draft {
  const { state } = draft;
  const { tick, view } = state;
  const known = state.fullness.get(from);
  if (view === null || !isKnown(view, from)) return draft;
  if (known !== undefined && known.counter >= message.counter) return draft;
  const { counter, full } = message;
  const isChange = (known?.full ?? false) !== full;
  if (known !== undefined && known.at + pauseOf(known) > tick) return draft;
  const flips = isChange
    ? Math.min(maxPauseDoublings, calmed(known, tick) + 1)
    : (known?.flips ?? 0);
  const at = isChange ? tick : (known?.at ?? tick);
  const fullness = new Map(state.fullness).set(from, { counter, full, at, flips });
  if (!isChange) return and(draft, { fullness });
  // Who comes next in line has something to fetch, but not before a pause since the last round.
  const relistAt = Math.min(state.relistAt, Math.max(tick, state.listedAt + reportPauseTicks));
  return and(draft, { fullness, relistAt, ...whenRolesChange });
}

/** The first change of a member costs others the usual pause, each further one twice the last. */
const pauseOf = ({ flips }: FullnessReport): number =>
  reportPauseTicks * 2 ** Math.max(0, flips - 1);

/** Doublings that are left after a time without a change. */
function calmed(known: FullnessReport | undefined, tick: number): number {
  if (known === undefined) return 0;
  let { flips } = known;
  let quiet = tick - known.at;
  while (flips > 0 && quiet >= 2 * pauseOf({ ...known, flips })) {
    quiet -= pauseOf({ ...known, flips });
    flips -= 1;
  }
  return flips;
}

/** Reports from other sections came as answers and are not repeated: they hold for one round. */
export function forgetFar(draft: Draft): Draft {
  const { state } = draft;
  const near = [...state.fullness].filter(([id]) => state.view?.own.members.has(id) === true);
  if (near.length === state.fullness.size) return draft;
  return and(draft, { fullness: new Map(near), ...whenRolesChange });
}
