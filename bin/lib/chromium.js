/** A Chromium for the end-to-end tests: the one named, the installed one, or Debian's package. */
import { existsSync } from 'node:fs';
import { Stop } from './root.js';
import { run, step } from './run.js';

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** Resolves with the path of a Chromium. Errors: throws a Stop that says how to get one. */
export async function ensureChromium() {
  const named = process.env.CHROME_PATH;
  if (named) {
    if (existsSync(named)) return named;
    throw new Stop(`CHROME_PATH names ${named}, which is not there: correct it or unset it.`);
  }
  const found = places.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const mayInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (mayInstall) {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    await step('Installing Chromium for the tests', async () => {
      await run('apt-get', ['update', '-qq'], { env });
      await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
        env,
      });
    });
    if (existsSync('/usr/bin/chromium')) return '/usr/bin/chromium';
  }
  throw new Stop(
    'The end-to-end tests need Chromium: install it (Debian: sudo apt-get install --no-install-recommends chromium) ' +
      'or name one with CHROME_PATH=/path/to/chrome, then run npm test again.',
  );
}
