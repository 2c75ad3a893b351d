/**
 * `npm start`: sets up, builds, and runs a whole local network that serves the app.
 * Progress goes to stderr; stdout gets the one line `Safe is ready: http://localhost:4100`.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt } from './lib/build.js';
import { main, root } from './lib/root.js';
import { setup } from './lib/setup.js';

/** The network promises to stop within 10 s; after this it is killed. */
const stopTimeoutMs = 10_000;

main(async (args) => {
  const node = await setup();
  await ensureBuilt();
  return runNetwork(node, args);
});

function runNetwork(node, args) {
  return new Promise((resolve) => {
    // The child notices by this channel that this process is gone, however it ended.
    const child = spawn(node, [join(root, 'src/node/programs/npm-start.ts'), ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let isStopping = false;
    const stop = (signal) => {
      child.kill(signal);
      if (isStopping) return;
      isStopping = true;
      setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs).unref();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal));
    watchNpm(() => stop('SIGTERM'));
    child.on('error', (error) => {
      process.stderr.write(`Node.js at ${node} did not start: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code, signal) => resolve(code ?? (isStopping || signal === null ? 0 : 1)));
  });
}

/** If npm is killed, no Ctrl-C could stop the network any longer: stop with npm. */
function watchNpm(onGone) {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return;
  const watched = [process.ppid, parentOfShell(process.ppid)].filter((pid) => pid > 1);
  const check = () => {
    if (!watched.every(isAlive)) onGone();
  };
  setInterval(check, 500).unref();
}

/** The parent of this program's shell, which is npm. 0 where the system does not show it. */
function parentOfShell(pid) {
  try {
    const [, name, rest] =
      /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return /^(sh|dash|bash|zsh)$/.test(name ?? '') ? Number(rest) : 0;
  } catch {
    return 0;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
