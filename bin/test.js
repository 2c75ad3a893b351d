/**
 * `npm test`: sets up, checks, builds, and runs every test.
 * `-- --only unit|sim|inject|e2e` runs one kind, `-- --long` the long runs (tests/long).
 */
import { availableParallelism } from 'node:os';
import { ensureBuilt, ensureSynced } from './lib/build.js';
import { check } from './lib/check.js';
import { ensureChromium } from './lib/chromium.js';
import { main, say, Stop } from './lib/root.js';
import { setup } from './lib/setup.js';
import { runProject } from './lib/vitest.js';

main(async (args) => {
  const started = Date.now();
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] : undefined;
  if (only !== undefined && !['check', 'unit', 'sim', 'inject', 'e2e'].includes(only)) {
    throw new Stop('--only takes check, unit, sim, inject or e2e.');
  }
  const long = args.includes('--long');
  const wants = (kind) => (long ? kind === 'long' : kind !== 'long' && (only ?? kind) === kind);

  await setup();
  await ensureSynced();
  const browser = wants('e2e') || wants('long') ? await ensureChromium() : undefined;

  const totals = { passed: 0, failed: 0, skipped: 0 };
  const add = (counts) => {
    for (const key of Object.keys(totals)) totals[key] += counts[key];
  };
  if (wants('check')) {
    const failed = await check();
    add({ passed: failed.length === 0 ? 1 : 0, failed: failed.length, skipped: 0 });
  }
  if (browser !== undefined) await ensureBuilt();
  // Browsers and networks mostly wait, the others only compute: side by side each fills the other's gaps.
  const lanes = [
    ['unit', 'sim', 'inject'],
    ['e2e', 'long'],
  ]
    .map((lane) => lane.filter(wants))
    .filter((lane) => lane.length > 0);
  const workers = Math.max(1, availableParallelism() - (lanes.length - 1));
  await Promise.all(
    lanes.map(async (lane) => {
      for (const project of lane) {
        const env = browser === undefined ? {} : { CHROME_PATH: browser };
        add(await runProject(project, { env, workers }));
      }
    }),
  );
  say(`Everything took ${Math.round((Date.now() - started) / 1000)} s.`);
  process.stdout.write(
    `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`,
  );
  return totals.failed === 0 ? 0 : 1;
});
