/** `npm run setup`: installs what is missing. */
import { main, say } from './lib/root.js';
import { setup } from './lib/setup.js';

main(async () => {
  say(`Ready. Programs run on ${await setup()}`);
});
