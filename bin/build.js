/** `npm run build`: the PWA, into build/. `-- --force` builds also when nothing changed. */
import { ensureBuilt } from './lib/build.js';
import { main } from './lib/root.js';
import { setup } from './lib/setup.js';

main(async (args) => {
  await setup();
  await ensureBuilt({ force: args.includes('--force') });
});
