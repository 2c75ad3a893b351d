/** Installs the dependencies when they are missing or older than the lockfile. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, showProgress, Stop } from './root.js';
import { run, step } from './run.js';

const lockfile = join(root, 'package-lock.json');
/** Written by npm at the end of every installation. */
const installed = join(root, 'node_modules', '.package-lock.json');
const stamp = join(root, 'node_modules', '.safe-lock-hash');

const hashOfLock = () => createHash('sha256').update(readFileSync(lockfile)).digest('hex');

function isInstalled() {
  if (!existsSync(installed)) return false;
  if (existsSync(stamp)) return readFileSync(stamp, 'utf8') === hashOfLock();
  return statSync(installed).mtimeMs >= statSync(lockfile).mtimeMs;
}

/** Runs `npm ci` when node_modules does not fit the lockfile. */
export async function ensureInstalled() {
  if (!isInstalled()) {
    // Packages must not run code during installation; ours need none.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const code = await step('Installing dependencies (once; some minutes on a slow line)', () =>
      npm(args),
    );
    if (code !== 0 || !existsSync(installed)) {
      throw new Stop(
        'Installing the dependencies failed: check the network connection (npm’s own lines are above) and run the command again.',
      );
    }
  }
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== hashOfLock()) {
    writeFileSync(stamp, hashOfLock());
  }
}

/** npm, run by the current Node.js if npm started us. */
function npm(args) {
  const entry = process.env.npm_execpath;
  if (entry?.endsWith('.js') && existsSync(entry)) return run(process.execPath, [entry, ...args]);
  if (process.platform === 'win32') return run('cmd.exe', ['/d', '/s', '/c', 'npm', ...args]);
  return run('npm', args).catch((error) => {
    showProgress(String(error.message));
    throw new Stop('npm was not found: install Node.js with npm from nodejs.org.');
  });
}
