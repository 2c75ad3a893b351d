/** The child process of `changed-source.ts`: runs in the copy and reports its findings. */
import { runLies, type LiesPlan } from '../scenarios/lies.ts';
import type { HuntOutcome } from './changed-source.ts';

interface Order {
  readonly seeds: readonly number[];
  readonly plan: LiesPlan;
  readonly found: string;
}

function hunt({ seeds, plan, found }: Order): HuntOutcome {
  const wanted = new RegExp(found);
  const others = new Set<string>();
  for (const seed of seeds) {
    const { violations } = runLies(seed, plan);
    const violation = violations.find((each) => wanted.test(each));
    if (violation !== undefined) return { found: { seed, violation }, others: [...others] };
    for (const each of violations) others.add(`seed ${seed}: ${each}`);
  }
  return { found: null, others: [...others] };
}

process.send?.(hunt(JSON.parse(process.argv[2] ?? '{}') as Order));
