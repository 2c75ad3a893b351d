/**
 * `npm test`: sets up, checks, builds, and runs every test.
 * `-- --only unit|sim|inject|e2e` runs one kind, `-- --long` the long runs (tests/long).
 */
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
  for (const project of ['unit', 'sim', 'inject', 'e2e', 'long']) {
    if (wants(project))
      add(await runProject(project, { env: browser ? { CHROME_PATH: browser } : {} }));
  }
  say(`Everything took ${Math.round((Date.now() - started) / 1000)} s.`);
  process.stdout.write(
    `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`,
  );
  return totals.failed === 0 ? 0 : 1;
});
