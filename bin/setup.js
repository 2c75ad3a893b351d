/** `npm run setup`: installs what is missing. */
import { main, showProgress } from './lib/root.js';
import { setup } from './lib/setup.js';

main(async () => {
  showProgress(`Ready. Programs run on ${await setup()}`);
});
