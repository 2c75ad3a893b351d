/**
 * Memory of one browser's processes as proportional set size (PSS): Linux divides shared pages
 * among their processes.
 */
import { readdirSync, readFileSync } from 'node:fs';

interface Process {
  readonly parent: number;
  readonly command: string;
}

/** In bytes. */
export interface Pss {
  /** The processes of pages and workers. */
  readonly renderers: number;
  /** All processes of this browser, including the renderers. */
  readonly browser: number;
}

/** Σ Pss over the processes of the browser that runs this profile. */
export function pssOfBrowser(profile: string): Pss {
  const processes = new Map<number, Process>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      // After the name in parentheses: state, then the parent's id (proc(5)).
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      processes.set(pid, { parent, command });
    } catch {
      // The process ended during the read.
    }
  }
  const belongs = (pid: number): boolean => {
    for (let at = pid, known = processes.get(at); known !== undefined; known = processes.get(at)) {
      if (known.command.includes(profile)) return true;
      at = known.parent;
    }
    return false;
  };
  let [renderers, browser] = [0, 0];
  for (const [pid, { command }] of processes) {
    if (!belongs(pid)) continue;
    const bytes = pssOf(pid);
    browser += bytes;
    if (command.includes('--type=renderer')) renderers += bytes;
  }
  return { renderers, browser };
}

function pssOf(pid: number): number {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

export interface Sampler {
  /** Ends the sampling; returns the peak sums and the renderers' mean of each tenth of the time. */
  readonly stop: () => {
    readonly highest: Pss;
    readonly tenths: readonly number[];
    readonly count: number;
  };
}

export function samplePss(profile: string, everyMs: number): Sampler {
  const seen: Pss[] = [];
  const timer = setInterval(() => seen.push(pssOfBrowser(profile)), everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      const highest = {
        renderers: Math.max(...seen.map(({ renderers }) => renderers)),
        browser: Math.max(...seen.map(({ browser }) => browser)),
      };
      const tenths = Array.from({ length: 10 }, (_, n) => {
        const [from, to] = [n, n + 1].map((at) => Math.floor((at * seen.length) / 10));
        const part = seen.slice(from, to);
        return part.reduce((sum, { renderers }) => sum + renderers, 0) / Math.max(1, part.length);
      });
      return { highest, tenths, count: seen.length };
    },
  };
}
