/**
 * `node tests/sim/run.ts SCENARIO FROM TO [JOBS]`: runs the seeds, prints each one that failed, and
 * ends with one line of JSON. Every scenario is a file in `scenarios/` of the same name.
 */
import { fork } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SimScenario } from './scenarios/scenario.ts';

interface Totals {
  readonly seeds: number;
  readonly events: number;
  readonly violations: number;
  readonly undelivered: number;
}

const folder = join(import.meta.dirname, 'scenarios');
const wrongUse = 2;

export const scenarioNames = (): readonly string[] =>
  readdirSync(folder)
    .map((file) => file.replace(/\.ts$/, ''))
    .filter((name) => name !== 'scenario' && !name.startsWith('_'))
    .sort();

export async function loadScenario(name: string): Promise<SimScenario> {
  const module = (await import(join(folder, `${name}.ts`))) as Record<string, unknown>;
  const found = Object.values(module).find(
    (each): each is SimScenario =>
      typeof each === 'object' && each !== null && 'run' in each && 'name' in each,
  );
  if (found === undefined) throw new Error(`${name}.ts exports no scenario`);
  return found;
}

/** Runs the seeds first, first + stride, … up to last. A seed that throws has failed. */
function runSeeds(scenario: SimScenario, first: number, last: number, stride: number): Totals {
  let seeds = 0;
  let events = 0;
  let violations = 0;
  let undelivered = 0;
  for (let seed = first; seed <= last; seed += stride) {
    seeds += 1;
    try {
      const outcome = scenario.run(seed);
      events += outcome.events;
      violations += outcome.violations.length;
      undelivered += outcome.undelivered;
      const [what] = outcome.violations;
      if (what !== undefined || outcome.undelivered > 0) {
        console.log(`seed ${seed}: ${what ?? `${outcome.undelivered} undelivered`}`);
      }
    } catch (error) {
      violations += 1;
      console.log(
        `seed ${seed}: ${String((error as Error).stack ?? error)
          .split('\n', 4)
          .join(' ')}`,
      );
    }
  }
  return { seeds, events, violations, undelivered };
}

function runInChild(name: string, first: number, last: number, stride: number): Promise<Totals> {
  return new Promise((resolve, reject) => {
    const args = [name, String(first), String(last), '1', String(stride)];
    // Most objects of a step are garbage after the next one: a larger young generation saves a
    // tenth of the time.
    const execArgv = [...process.execArgv, '--max-semi-space-size=64'];
    const child = fork(import.meta.filename, args, { stdio: 'inherit', execArgv });
    let totals: Totals | undefined;
    child.on('message', (message) => (totals = message as Totals));
    child.on('exit', (code) => {
      if (totals === undefined) reject(new Error(`a run of ${name} ended with ${code}`));
      else resolve(totals);
    });
  });
}

async function main(args: readonly string[]): Promise<number> {
  const [name = '', from = '1', to = from, jobs = '1', stride] = args;
  if (!existsSync(join(folder, `${name}.ts`))) {
    console.error(`There is no scenario "${name}". There are: ${scenarioNames().join(', ')}.`);
    return wrongUse;
  }
  const [first, last, parallel] = [Number(from), Number(to), Number(jobs)];
  if (![first, last, parallel].every((each) => Number.isSafeInteger(each) && each >= 0)) {
    console.error('Seeds are two whole numbers: --seeds 1..100.');
    return wrongUse;
  }
  if (stride !== undefined) {
    const totals = runSeeds(await loadScenario(name), first, last, Number(stride));
    process.send?.(totals);
    return 0;
  }
  const parts =
    parallel < 2
      ? [runSeeds(await loadScenario(name), first, last, 1)]
      : await Promise.all(
          Array.from({ length: parallel }, (_, n) => runInChild(name, first + n, last, parallel)),
        );
  const add = (key: keyof Totals): number => parts.reduce((sum, part) => sum + part[key], 0);
  const line = {
    scenario: name,
    seeds: add('seeds'),
    events: add('events'),
    violations: add('violations'),
    undelivered: add('undelivered'),
  };
  console.log(JSON.stringify(line));
  return line.violations > 0 || line.undelivered > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main(process.argv.slice(2));
