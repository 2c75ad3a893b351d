/** Why an act may not be decided, or not yet. */
import { err, ok, type Result } from '#core/result.ts';

export type ActFault =
  /** Not an act at all: its sender is to blame. */
  | { readonly kind: 'malformed' }
  /** No honest elder may vote for it on this state. `rule` is the number in README.md or in N. */
  | { readonly kind: 'refused'; readonly rule: string; readonly what: string }
  /** What it cites is not held yet: fetch that, then ask again (N9). */
  | { readonly kind: 'later'; readonly what: 'sourceKey' | 'snapshots' };

export type Verdict = Result<true, ActFault>;

export const allowed: Verdict = ok(true);

export const refused = (rule: string, what: string): Verdict =>
  err({ kind: 'refused', rule, what });

/** The first that refuses; none does: allowed. */
export function firstRefusal(...checks: readonly (() => Verdict)[]): Verdict {
  for (const check of checks) {
    const verdict = check();
    if (!verdict.ok) return verdict;
  }
  return allowed;
}

/** Refuses unless `holds`. */
export const must = (holds: boolean, rule: string, what: string): Verdict =>
  holds ? allowed : refused(rule, what);
