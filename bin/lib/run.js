/** Child processes, with their output on stderr, so that stdout carries only results. */
import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { delimiter, join } from 'node:path';
import { findNode } from './find-node.js';
import { root, showProgress, Stop } from './root.js';

/** Below that of programs that a person waits for, above that of an idle machine's. */
const backgroundPriority = 10;
const interruptedCode = 130;

/**
 * Runs a command to its end; resolves with its exit code.
 * options: `stdout` 'stderr' (default: shown as progress) or 'inherit'; `quiet` shows the output
 * only on failure; `label` begins each line of the output; `env` added variables; `isBackground`
 * lets other programs run first. Errors: throws a Stop when a signal ended this program meanwhile.
 */
export function run(command, args, options = {}) {
  const isPiped = options.quiet || options.label !== undefined;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: isPiped
        ? ['ignore', 'pipe', 'pipe']
        : ['ignore', options.stdout === 'inherit' ? 'inherit' : 2, 'inherit'],
      env: { ...process.env, ...options.env },
    });
    if (options.isBackground && child.pid !== undefined) lowerPriority(child.pid);
    const output = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (options.label === undefined) stream?.on('data', (part) => output.push(part));
      else writeLines(stream, options.label);
    }
    let isInterrupted = false;
    const forward = (signal) => {
      isInterrupted = true;
      child.kill(signal);
    };
    process.on('SIGINT', forward).on('SIGTERM', forward);
    const settled = () => process.off('SIGINT', forward).off('SIGTERM', forward);
    child.on('error', (error) => (settled(), reject(error)));
    child.on('close', (code) => {
      settled();
      if (code !== 0) process.stderr.write(Buffer.concat(output));
      if (isInterrupted) reject(new Stop('Stopped.', interruptedCode));
      else resolve(code ?? 1);
    });
  });
}

function lowerPriority(pid) {
  try {
    setPriority(pid, backgroundPriority);
  } catch {
    // Where this is forbidden, or the child has ended, it runs as any other program.
  }
}

/** Whole lines only, so that those of programs that run at the same time do not mix. */
function writeLines(stream, label) {
  let begun = '';
  const write = (lines) => {
    for (const line of lines) if (line.trim() !== '') process.stdout.write(`${label}${line}\n`);
  };
  stream.setEncoding('utf8').on('data', (text) => {
    const lines = (begun + text).split('\n');
    begun = lines.pop() ?? '';
    write(lines);
  });
  stream.on('end', () => write([begun]));
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

/** Prints a step and its duration; stops on failure. */
export async function step(title, act) {
  showProgress(`${title} …`);
  const started = Date.now();
  const result = await act();
  showProgress(`${title}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return result;
}
