/** Why an act may not be decided, or not yet. */
import { err, ok, type Result } from '#core/result.ts';

export type ActFault =
  /** Not an act: the sender is to blame. */
  | { readonly kind: 'malformed' }
  /** No honest elder votes for it on this state. `rule` is an id of docs/spec. */
  | { readonly kind: 'refused'; readonly rule: string; readonly what: string }
  /** It cites something not held yet: fetch that, then validate again (N9). */
  | { readonly kind: 'later'; readonly what: 'sourceKey' | 'snapshots' };

export type ActVerdict = Result<true, ActFault>;

export const allowed: ActVerdict = ok(true);

export const refused = (rule: string, what: string): ActVerdict =>
  err({ kind: 'refused', rule, what });

/** The first refusal; `allowed` if there is none. */
export function firstRefusal(...checks: readonly (() => ActVerdict)[]): ActVerdict {
  for (const check of checks) {
    const verdict = check();
    if (!verdict.ok) return verdict;
  }
  return allowed;
}

/** Refuses unless `holds`. */
export const ensure = (holds: boolean, rule: string, what: string): ActVerdict =>
  holds ? allowed : refused(rule, what);
