/**
 * `npm run sim`: the simulator's scenarios. `-- --seed N` replays one seed, `-- --runs N` tries
 * more seeds, `-- --trace FILE` writes the story of the last run there, `-- NAME` takes only the
 * files whose name has NAME.
 */
import { resolve } from 'node:path';
import { ensureSynced } from './lib/build.js';
import { main } from './lib/root.js';
import { setup } from './lib/setup.js';
import { runProject } from './lib/vitest.js';

main(async (args) => {
  await setup();
  await ensureSynced();
  const env = {};
  const filters = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--seed') env.SEED = args[++i] ?? '';
    else if (args[i] === '--runs') env.SEEDS = args[++i] ?? '';
    else if (args[i] === '--trace') env.TRACE = resolve(args[++i] ?? 'trace.mmd');
    else filters.push(args[i]);
  }
  return (await runProject('sim', { args: filters, env })).code;
});
