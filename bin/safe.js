#!/usr/bin/env node
/** `safe`: runs one node, creates a network, or shows one. See `safe --help`. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { main, root } from './lib/root.js';
import { setup } from './lib/setup.js';

/** A node promises to stop within 10 s; after this it is killed. */
const stopTimeoutMs = 10_000;

main(async (args) => {
  const node = await setup();
  return new Promise((resolve) => {
    // The child notices by this channel that this process is gone, however it ended.
    const child = spawn(node, [join(root, 'src/node/programs/safe.ts'), ...args], {
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
    child.on('error', (error) => {
      process.stderr.write(`Node.js at ${node} did not start: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code, signal) => resolve(code ?? (isStopping || signal === null ? 0 : 1)));
  });
});
