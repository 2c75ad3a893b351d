/** Child processes: with what they print on stderr, so that stdout stays ours. */
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { findNode } from './find-node.js';
import { root, say } from './root.js';

/**
 * Runs a command to its end; resolves with its exit code.
 * options: `stdout` 'stderr' (default: shown as progress) or 'inherit'; `quiet` shows what it
 * says only when it fails; `env` added variables.
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: options.quiet
        ? ['ignore', 'pipe', 'pipe']
        : ['ignore', options.stdout === 'inherit' ? 'inherit' : 2, 'inherit'],
      env: { ...process.env, ...options.env },
    });
    const said = [];
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (part) => said.push(part));
    const forward = (signal) => child.kill(signal);
    process.on('SIGINT', forward).on('SIGTERM', forward);
    const settled = () => process.off('SIGINT', forward).off('SIGTERM', forward);
    child.on('error', (error) => (settled(), reject(error)));
    child.on('close', (code, signal) => {
      settled();
      if (code !== 0) process.stderr.write(Buffer.concat(said));
      resolve(code ?? (signal ? 130 : 1));
    });
  });
}

/** Runs a program of node_modules (by its JavaScript entry) on our own Node. */
export function runTool(entry, args, options = {}) {
  const node = findNode();
  const path = [join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  return run(node, [join(root, 'node_modules', entry), ...args], {
    ...options,
    env: { PATH: path, ...options.env },
  });
}

/** Says what is done and how long it took; stops when it failed. */
export async function step(title, act) {
  say(`${title} …`);
  const started = Date.now();
  const result = await act();
  say(`${title}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return result;
}
