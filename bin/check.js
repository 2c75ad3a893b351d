/** `npm run check`: types, lint, format. */
import { check } from './lib/check.js';
import { main, say } from './lib/root.js';
import { setup } from './lib/setup.js';

main(async () => {
  await setup();
  const failed = await check();
  say(failed.length === 0 ? 'Checks passed.' : `Checks failed: ${failed.join(', ')}.`);
  return failed.length === 0 ? 0 : 1;
});
