/** Memory of one browser's renderer processes, as Linux counts it (pages shared are divided). */
import { readdirSync, readFileSync } from 'node:fs';

interface Process {
  readonly parent: number;
  readonly command: string;
}

/** Σ Pss in bytes over the renderer processes of the browser that runs this profile. */
export function rendererPss(profile: string): number {
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
      // It ended while we were reading.
    }
  }
  const belongs = (pid: number): boolean => {
    for (let at = pid, known = processes.get(at); known !== undefined; known = processes.get(at)) {
      if (known.command.includes(profile)) return true;
      at = known.parent;
    }
    return false;
  };
  let bytes = 0;
  for (const [pid, { command }] of processes) {
    if (command.includes('--type=renderer') && belongs(pid)) bytes += pssOf(pid);
  }
  return bytes;
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
  /** Ends the sampling; the highest and the last sum seen, in bytes. */
  readonly stop: () => { readonly highest: number; readonly last: number; readonly count: number };
}

export function samplePss(profile: string, everyMs: number): Sampler {
  const seen: number[] = [];
  const timer = setInterval(() => seen.push(rendererPss(profile)), everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      return { highest: Math.max(...seen), last: seen.at(-1) ?? 0, count: seen.length };
    },
  };
}
