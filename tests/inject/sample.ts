/** A fair part of all cases of a story, the same for the same seed. */
import type { Loaded } from './load.ts';

export interface Sampled {
  readonly sites: number;
  readonly cases: number;
  readonly played: number;
  /** Cases whose site was passed by: another order of things. */
  readonly missed: number;
  /** One line for each case in which something was lost. */
  readonly found: readonly string[];
}

export async function sample(
  loop: Loaded['loop'],
  story: string,
  count: number,
  options: { readonly seed?: string; readonly isOver?: () => boolean } = {},
): Promise<Sampled> {
  const { sites, violations } = await loop.record(story);
  const found = violations.map((each) => `${story}, nothing wrong: ${each}`);
  const cases = loop.shuffled(loop.casesOf(story, sites), options.seed ?? 'safe');
  let played = 0;
  let missed = 0;
  for (const each of cases.slice(0, count)) {
    if (options.isOver?.() === true) break;
    const outcome = await loop.play(each);
    played += 1;
    if (!outcome.isReached) missed += 1;
    if (outcome.violations.length > 0) {
      found.push(`${loop.showCase(each)}: ${outcome.violations.join('; ')}`);
    }
  }
  return { sites: sites.length, cases: cases.length, played, missed, found };
}
