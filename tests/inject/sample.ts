/** A sample of all cases of a story, the same for the same seed. */
import type { Fault } from './faults.ts';
import type { Loaded } from './load.ts';

/** Another sample: SAFE_INJECT_SEED=any-word. */
export const seedOfRun = process.env['SAFE_INJECT_SEED'] ?? 'safe';

/** A case takes a second or two; one that runs for three minutes is looping. */
export const longestCaseMs = 180_000;

export interface Sampled {
  readonly sites: number;
  readonly cases: number;
  readonly played: number;
  /** Cases that never reached their site, because events took another order. */
  readonly missed: number;
  readonly kinds: readonly Fault[];
  readonly cpuSeconds: number;
  /** One line for each case in which something was lost. */
  readonly found: readonly string[];
}

export async function sample(
  loop: Loaded['loop'],
  story: string,
  count: number,
  options: { readonly isOver?: () => boolean; readonly kinds?: Set<Fault> } = {},
): Promise<Sampled> {
  const begun = process.cpuUsage();
  const kinds = options.kinds ?? new Set<Fault>();
  const recorded = await inTime(loop.recordSites(story));
  const { sites, violations } = recorded ?? { sites: [], violations: ['comes to no end'] };
  const found = violations.map((each) => `${story}, nothing wrong: ${each}`);
  const cases = loop.mixed(loop.casesOf(story, sites), seedOfRun, kinds);
  let played = 0;
  let missed = 0;
  for (const each of cases.slice(0, count)) {
    if (options.isOver?.() === true) break;
    const outcome = await inTime(loop.playCase(each));
    played += 1;
    if (outcome === null) {
      found.push(`${loop.showCase(each)}: comes to no end`);
      // A looping case would disturb the next ones: stop here.
      break;
    }
    if (outcome.isReached) kinds.add(each.fault);
    if (!outcome.isReached) missed += 1;
    if (outcome.violations.length > 0) {
      found.push(`${loop.showCase(each)}: ${outcome.violations.join('; ')}`);
    }
  }
  const { user, system } = process.cpuUsage(begun);
  const cpuSeconds = Math.round((user + system) / 1e5) / 10;
  return {
    sites: sites.length,
    cases: cases.length,
    played,
    missed,
    kinds: [...kinds],
    cpuSeconds,
    found,
  };
}

/** Null when it has not ended after {@link longestCaseMs} of real time. */
async function inTime<T>(playing: Promise<T>): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((end) => {
    timer = setTimeout(() => end(null), longestCaseMs);
  });
  try {
    return await Promise.race([playing, late]);
  } finally {
    clearTimeout(timer);
  }
}
