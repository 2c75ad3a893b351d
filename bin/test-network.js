/**
 * `npm run test:network`: networks of real processes on this machine, killed, cut and flooded.
 * Some minutes; `npm test` runs a smaller one.
 */
import { ensureSynced } from './lib/build.js';
import { main, showProgress } from './lib/root.js';
import { setup } from './lib/setup.js';
import { runProjects } from './lib/vitest.js';

main(async (args) => {
  const started = Date.now();
  await setup();
  await ensureSynced();
  const { passed, failed, skipped } = await runProjects(['network'], { args });
  showProgress(`Everything took ${Math.round((Date.now() - started) / 1000)} s.`);
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  return failed === 0 ? 0 : 1;
});
