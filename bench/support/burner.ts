/**
 * A process that burns a share of a processor: the cost of a program to its neighbours on this
 * computer just by running.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Busy for its share of every 20 ms. */
const program = `
const share = Number(process.argv[1]);
const burn = () => {
  const end = performance.now() + 20 * share;
  while (performance.now() < end);
  setTimeout(burn, 20 * (1 - share));
};
burn();
`;

/** @param share of one processor, at most 1. @returns a function that ends it. */
export function startBurner(share: number): () => void {
  const child = spawn(process.execPath, ['-e', program, `${Math.min(1, share)}`], {
    stdio: 'ignore',
  });
  return () => void child.kill('SIGKILL');
}

const ticksPerSecond = 100;

/** Processor time of a process and its threads so far, in seconds; 0 when it has ended. */
export function processorSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return 0;
  }
}
