/**
 * `npm test`: sets up, checks, builds, and runs every test.
 * `-- --only check|unit|sim|inject|e2e` runs one kind, `-- --long` the long runs (tests/long).
 *
 * Tests with a network wait for most of their time and need the machine at once when they do not;
 * all others only compute. So both run at the same time, and those that compute take what is left.
 */
import { ensureBuilt, ensureSynced } from './lib/build.js';
import { check } from './lib/check.js';
import { ensureChromium } from './lib/chromium.js';
import { main, showProgress, Stop } from './lib/root.js';
import { setup } from './lib/setup.js';
import { runProjects } from './lib/vitest.js';

const kinds = ['check', 'unit', 'sim', 'inject', 'e2e'];

main(async (args) => {
  const started = Date.now();
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] : undefined;
  if (only !== undefined && !kinds.includes(only)) {
    throw new Stop('--only takes check, unit, sim, inject or e2e.');
  }
  const isLong = args.includes('--long');
  const wanted = isLong ? ['long'] : only === undefined ? kinds : [only];

  await setup();
  await ensureSynced();
  const isInBrowser = wanted.includes('e2e') || isLong;
  const env = isInBrowser ? { CHROME_PATH: await ensureChromium() } : {};

  const totals = { passed: 0, failed: 0, skipped: 0 };
  const failures = [];
  const add = (counts) => {
    for (const key of Object.keys(totals)) totals[key] += counts[key];
    failures.push(...counts.failures);
  };
  const isWithOthers = wanted.length > 1;

  const withNetwork = async () => {
    if (!isInBrowser) return;
    await ensureBuilt();
    const label = isWithOthers ? 'e2e | ' : undefined;
    add(await runProjects([isLong ? 'long' : 'e2e'], { env, label }));
  };
  const computing = async () => {
    if (wanted.includes('check')) {
      const failed = await check({ isBesideTests: isWithOthers });
      add({
        passed: failed.length === 0 ? 1 : 0,
        failed: failed.length,
        skipped: 0,
        failures: failed.map((name) => `check: ${name}`),
      });
    }
    const projects = ['unit', 'sim', 'inject'].filter((each) => wanted.includes(each));
    if (wanted.includes('e2e')) projects.push('screens');
    if (projects.length > 0) add(await runProjects(projects, { env, isBackground: isWithOthers }));
  };

  // Both end before a failure of one is reported: none may outlive this program.
  const ends = await Promise.allSettled([withNetwork(), computing()]);
  const stopped = ends.find(({ status }) => status === 'rejected');
  if (stopped !== undefined) throw stopped.reason;
  for (const failure of failures) process.stdout.write(`FAILED ${failure}\n`);
  showProgress(`Everything took ${Math.round((Date.now() - started) / 1000)} s.`);
  process.stdout.write(
    `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`,
  );
  return totals.failed === 0 ? 0 : 1;
});
