/** Reports a full disk, or freed space, to the section (REPLICATION-P2). */
import type { NodeId } from '#core/machine.ts';
import { extend } from '#core/step.ts';
import type { ReplicationMessage } from './messages.ts';
import {
  isKnown,
  selfId,
  type ReplicationStep,
  type DiskFullReport,
  type ReplicationConfig,
} from './state.ts';

/** Reports are repeated at this interval, because any of them may be lost. */
const reportEveryTicks = 10;
/** Minimum ticks between accepted changes of one member's report: each change costs listings. */
const reportPauseTicks = 10;
/** The pause doubles per further change, up to 32 times; quiet time takes doublings back. */
export const maxPauseDoublings = 6;

export function reportDiskFull(
  config: ReplicationConfig,
  step: ReplicationStep,
  full: boolean,
): ReplicationStep {
  const { state } = step;
  if (state.ownDiskFull.full === full) return step;
  const counter = state.ownDiskFull.counter + 1n;
  const changed = extend(
    step,
    { ownDiskFull: { counter, full }, ...resetHandoffs },
    // Persist before sending: peers ignore a counter that went back after a crash.
    { kind: 'persist', fact: { kind: 'reported', counter, full } },
  );
  const room = full ? changed : extend(changed, { relistAt: state.tick });
  return broadcastDiskFull(config, room);
}

/** REPLICATION-R8: running handoffs used the old view. */
export const resetHandoffs = {
  handoffs: new Map(),
  surplusAfter: '',
  surplusAgain: false,
} as const;

export const repeatDiskFull = (
  config: ReplicationConfig,
  step: ReplicationStep,
): ReplicationStep =>
  step.state.tick % reportEveryTicks === 0 ? broadcastDiskFull(config, step) : step;

function broadcastDiskFull(config: ReplicationConfig, step: ReplicationStep): ReplicationStep {
  const { view, ownDiskFull } = step.state;
  if (view === null || ownDiskFull.counter === 0n) return step;
  const self = selfId(config);
  const to = [...view.own.members].filter((id) => id !== self);
  return extend(step, {}, { kind: 'send', to, message: { kind: 'diskFull', ...ownDiskFull } });
}

export function onDiskFullReport(
  step: ReplicationStep,
  from: NodeId,
  message: Extract<ReplicationMessage, { kind: 'diskFull' }>,
): ReplicationStep {
  const { state } = step;
  const { tick, view } = state;
  const known = state.diskFullReports.get(from);
  if (view === null || !isKnown(view, from)) return step;
  if (known !== undefined && known.counter >= message.counter) return step;
  const { counter, full } = message;
  const isChange = (known?.full ?? false) !== full;
  if (known !== undefined && known.at + pauseOf(known) > tick) return step;
  const recentChanges = isChange
    ? Math.min(maxPauseDoublings, decayedChanges(known, tick) + 1)
    : (known?.recentChanges ?? 0);
  const at = isChange ? tick : (known?.at ?? tick);
  const diskFullReports = new Map(state.diskFullReports).set(from, {
    counter,
    full,
    at,
    recentChanges,
  });
  if (!isChange) return extend(step, { diskFullReports });
  // The next closest adults must fetch, but not before a pause since the last round.
  const relistAt = Math.min(state.relistAt, Math.max(tick, state.listedAt + reportPauseTicks));
  return extend(step, { diskFullReports, relistAt, ...resetHandoffs });
}

/** The first change of a member costs the base pause, each further one twice the previous. */
const pauseOf = ({ recentChanges }: DiskFullReport): number =>
  reportPauseTicks * 2 ** Math.max(0, recentChanges - 1);

/** Doublings left after the time without a change. */
function decayedChanges(known: DiskFullReport | undefined, tick: number): number {
  if (known === undefined) return 0;
  let { recentChanges } = known;
  let quiet = tick - known.at;
  while (recentChanges > 0 && quiet >= 2 * pauseOf({ ...known, recentChanges })) {
    quiet -= pauseOf({ ...known, recentChanges });
    recentChanges -= 1;
  }
  return recentChanges;
}

/** Reports from other sections were answers and are not repeated, so they expire every round. */
export function dropForeignReports(step: ReplicationStep): ReplicationStep {
  const { state } = step;
  const near = [...state.diskFullReports].filter(
    ([id]) => state.view?.own.members.has(id) === true,
  );
  if (near.length === state.diskFullReports.size) return step;
  return extend(step, { diskFullReports: new Map(near), ...resetHandoffs });
}
