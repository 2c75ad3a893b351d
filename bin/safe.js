#!/usr/bin/env node
/** `safe`: runs one node, makes a network, or looks at one. `safe --help` says how. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { main, root } from './lib/root.js';
import { setup } from './lib/setup.js';

/** A node promises to end within 10 s; after that we stop asking. */
const patienceMs = 10_000;

main(async (args) => {
  const node = await setup();
  return new Promise((resolve) => {
    // The channel tells the program when this process is gone, however it ended.
    const child = spawn(node, [join(root, 'src/node/safe.ts'), ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let asked = false;
    const stop = (signal) => {
      child.kill(signal);
      if (asked) return;
      asked = true;
      setTimeout(() => child.kill('SIGKILL'), patienceMs).unref();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal));
    child.on('error', (error) => {
      process.stderr.write(`Node.js at ${node} did not start: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code, signal) => resolve(code ?? (asked || signal === null ? 0 : 1)));
  });
});
