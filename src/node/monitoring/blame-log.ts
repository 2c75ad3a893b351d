/**
 * Log lines about peers' faults. Every fault is counted; lines are limited, because names are free and
 * a full log drops its oldest lines: each member has its own limit, all other peers share one.
 */
import { setNewest } from '#core/bounded-collections.ts';
import type { NodeId } from '#core/machine.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Lines per minute about one member, and about all other peers together. */
export const maxBlameLines = 16;
/** Members whose lines are counted at a time. */
const maxBlamedPeers = 1_024;
const windowMs = 60_000;

export interface BlameLogOptions {
  readonly label: string;
  readonly log: Pick<Log, 'write'>;
  readonly metrics: Pick<Metrics, 'count'>;
  /** Is the peer a member of a section this node knows? */
  readonly isMember: (id: NodeId) => boolean;
  readonly now?: () => number;
}

export function createBlameLog(options: BlameLogOptions): (kind: string, culprit: NodeId) => void {
  const { label, log, metrics, isMember, now = () => performance.now() } = options;
  const windows = new Map<string, { readonly since: number; lines: number; leftOut: number }>();

  return (kind, culprit) => {
    metrics.count('safe_blamed_total', kind);
    const at = now();
    const id = isMember(culprit) ? culprit : 'nonMembers';
    const last = windows.get(id);
    const isOver = last === undefined || at - last.since >= windowMs;
    const window = isOver ? { since: at, lines: 0, leftOut: last?.leftOut ?? 0 } : last;
    setNewest(windows, id, window, maxBlamedPeers);
    if (window.lines >= maxBlameLines) {
      window.leftOut += 1;
      return;
    }
    window.lines += 1;
    // The number of lines left out since the last one.
    const count = window.leftOut === 0 ? {} : { count: window.leftOut };
    window.leftOut = 0;
    log.write({ event: 'blamed', node: label, kind, peer: culprit, ...count });
  };
}
