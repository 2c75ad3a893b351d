/** A Chromium for the end-to-end tests: the one named, the installed one, or Debian's package. */
import { existsSync } from 'node:fs';
import { showProgress, Stop } from './root.js';
import { run, step } from './run.js';

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

const howToGet =
  'install it (Debian: sudo apt-get install --no-install-recommends chromium) or name one with ' +
  'CHROME_PATH=/path/to/chrome, then run this again.';

/**
 * How to get a Chromium. A package is installed system-wide only where that surprises no one: on a
 * build machine (CI is set), where SAFE_INSTALL_CHROMIUM=1 requests it, or as root without a
 * terminal, as in a fresh container. SAFE_INSTALL_CHROMIUM=0 forbids it everywhere.
 * @param {{ env: Record<string, string | undefined>, exists: (path: string) => boolean, isRoot: boolean, isTerminal: boolean }} machine
 * @returns {{ kind: 'use', path: string } | { kind: 'install' } | { kind: 'stop', sentence: string }}
 */
export function planChromium({ env, exists, isRoot, isTerminal }) {
  const named = env['CHROME_PATH'];
  if (named) {
    if (exists(named)) return { kind: 'use', path: named };
    const sentence = `CHROME_PATH names ${named}, which is not there: correct it or unset it.`;
    return { kind: 'stop', sentence };
  }
  const found = places.find(exists);
  if (found !== undefined) return { kind: 'use', path: found };
  const sentence = `The end-to-end tests need Chromium: ${howToGet}`;
  if (!isRoot || !exists('/usr/bin/apt-get')) return { kind: 'stop', sentence };
  const wish = env['SAFE_INSTALL_CHROMIUM'];
  const isCi = !['', '0', 'false', undefined].includes(env['CI']);
  if (wish === '1' || (wish === undefined && (isCi || !isTerminal))) return { kind: 'install' };
  return {
    kind: 'stop',
    sentence: `${sentence} SAFE_INSTALL_CHROMIUM=1 lets it be installed with apt-get.`,
  };
}

/** Resolves with the path of a Chromium. Errors: throws a Stop with how to get one. */
export async function ensureChromium() {
  const plan = planChromium({
    env: process.env,
    exists: existsSync,
    isRoot: process.getuid?.() === 0,
    isTerminal: process.stdin.isTTY === true,
  });
  if (plan.kind === 'use') return plan.path;
  if (plan.kind === 'stop') throw new Stop(plan.sentence);
  showProgress(
    'There is no Chromium: apt-get installs it for the whole system now. To avoid that, stop this, ' +
      'and set SAFE_INSTALL_CHROMIUM=0, or CHROME_PATH to a Chromium.',
  );
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await step('Installing Chromium for the tests', async () => {
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { env });
  });
  if (existsSync('/usr/bin/chromium')) return '/usr/bin/chromium';
  throw new Stop(`apt-get installed no /usr/bin/chromium: ${howToGet}`);
}
