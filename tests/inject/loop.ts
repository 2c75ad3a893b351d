/**
 * The loop: plays a story once to record the call sites it reaches, and then once more for each
 * occurrence of a site and each fault that can happen there.
 */
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { browserScenarios } from './browser/browser-run.ts';
import { installBrowser } from './browser/browser.ts';
import { clock, drive, installClock } from './clock.ts';
import { diskScenarios } from './nodes/disk-run.ts';
import { elderScenarios } from './nodes/elders-run.ts';
import {
  faults,
  canHappenAt,
  type Fault,
  type Interrupt,
  type FaultRun,
  type Site,
} from './faults.ts';
import { holderScenarios } from './nodes/holders-run.ts';
import { installSites } from './process.ts';

const scenarios = [...browserScenarios, ...elderScenarios, ...diskScenarios, ...holderScenarios];
export const names: readonly string[] = scenarios.map(({ name }) => name);

export interface Case {
  readonly story: string;
  readonly site: Site;
  readonly fault: Fault;
}

export interface CaseOutcome {
  readonly violations: readonly string[];
  /** False when another order of events passed the site by. */
  readonly isReached: boolean;
}

let isInstalled = false;
const rejected: string[] = [];

function install(): void {
  if (isInstalled) return;
  isInstalled = true;
  installBrowser();
  installClock();
  installSites();
  process.on('unhandledRejection', (reason) => {
    const stack = reason instanceof Error ? (reason.stack ?? '') : JSON.stringify(reason);
    const ours = stack.split('\n').find((line) => line.includes('/src/')) ?? '';
    const line = `unhandled: ${stack.split('\n')[0] ?? ''} ${ours.trim()}`;
    if (!rejected.includes(line)) rejected.push(line);
  });
}

/** Every site that the story reaches without a fault, in order; and the violations even then. */
export async function recordSites(
  name: string,
): Promise<{ readonly sites: readonly Site[]; readonly violations: readonly string[] }> {
  const sites: Site[] = [];
  const counts = new Map<string, number>();
  const violations = await playOnce(name, () => ({ role }, label) => {
    const occurrence = (counts.get(`${role} ${label}`) ?? 0) + 1;
    counts.set(`${role} ${label}`, occurrence);
    sites.push({ role, label, occurrence });
    return {};
  });
  return { sites, violations };
}

export const casesOf = (story: string, sites: readonly Site[]): readonly Case[] =>
  sites.flatMap((site) =>
    faults.filter((fault) => canHappenAt(site, fault)).map((fault) => ({ story, site, fault })),
  );

/** The same order for the same seed, so that any part is a uniform sample of the cases. */
export function shuffled(cases: readonly Case[], seed: string): readonly Case[] {
  return cases
    .map((each) => ({ each, at: toHex(sha256(utf8(`${seed} ${showCase(each)}`))) }))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ each }) => each);
}

/**
 * Puts kinds of faults that were not played yet first, so that a small part contains all of them.
 */
export function mixed(
  cases: readonly Case[],
  seed: string,
  played: ReadonlySet<Fault>,
): readonly Case[] {
  const turns = new Map<Fault, number>();
  return shuffled(cases, seed)
    .map((each) => {
      const turn = turns.get(each.fault) ?? (played.has(each.fault) ? 1 : 0);
      turns.set(each.fault, turn + 1);
      return { each, turn };
    })
    .sort((a, b) => a.turn - b.turn)
    .map(({ each }) => each);
}

export const showCase = ({ story, site, fault }: Case): string =>
  `${story}: ${site.role} ${site.label} #${site.occurrence}: ${fault}`;

export async function playCase({ story, site, fault }: Case): Promise<CaseOutcome> {
  let count = 0;
  let isReached = false;
  const violations = await playOnce(story, (run) => (process, label) => {
    const isHere = process.role === site.role && label === site.label;
    if (isHere) count += 1;
    if (!isHere || count !== site.occurrence)
      return isReached ? run().faultStillActive(process, label) : {};
    isReached = true;
    return run().injectFault(process, label, fault);
  });
  return { violations, isReached };
}

async function playOnce(
  name: string,
  interrupter: (run: () => FaultRun) => Interrupt,
): Promise<readonly string[]> {
  install();
  clock.reset();
  rejected.length = 0;
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) throw new Error(`there is no story ${name}`);
  const run: FaultRun = scenario.begin(interrupter(() => run));
  const broke: string[] = [];
  try {
    await drive(run.play());
  } catch (error) {
    broke.push(`the run broke: ${error instanceof Error ? error.message : JSON.stringify(error)}`);
  } finally {
    run.end();
  }
  return [...run.violations, ...broke, ...rejected];
}
