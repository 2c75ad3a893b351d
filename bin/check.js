/** `npm run check`: types, lint, format, architecture, documents and words. */
import { check } from './lib/check.js';
import { main, showProgress } from './lib/root.js';
import { setup } from './lib/setup.js';

main(async () => {
  await setup();
  const failed = await check();
  showProgress(failed.length === 0 ? 'Checks passed.' : `Checks failed: ${failed.join(', ')}.`);
  return failed.length === 0 ? 0 : 1;
});
