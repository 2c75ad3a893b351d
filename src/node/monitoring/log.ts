/**
 * The log: JSON lines, rotated at 10 MiB × 5. A line names the node, the peer, the kind of message and
 * the rule. Fields outside this list are dropped, so that no caller can log a secret, an amount or a
 * file name by handing over a whole object.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface LogLine {
  readonly event: string;
  readonly node?: string;
  readonly peer?: string;
  readonly kind?: string;
  readonly rule?: string;
  readonly ms?: number;
  readonly count?: number;
  readonly error?: string;
  /** Counters by name (metrics.ts). */
  readonly metrics?: Readonly<Record<string, number>>;
}

const allowed = ['event', 'node', 'peer', 'kind', 'rule', 'ms', 'count', 'error'] as const;
const maxFileBytes = 10 * 1024 * 1024;
const filesKept = 5;
const maxFieldCharacters = 300;
const maxMetricsPerLine = 256;

export interface Log {
  readonly write: (line: LogLine) => void;
  readonly close: () => void;
}

/** Opens `<folder>/safe.log`. A disk error loses log lines, but never stops the program. */
export function openLog(folder: string, limits = { maxFileBytes, filesKept }): Log {
  const path = join(folder, 'safe.log');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  /** Undefined after a failed rotation: its descriptor may belong to another file by now. */
  let file: number | undefined = openSync(path, 'a', 0o600);
  let size = fstatSync(file).size;
  let open = true;

  const rotate = (): void => {
    closeFile();
    rmSync(`${path}.${limits.filesKept - 1}`, { force: true });
    for (let n = limits.filesKept - 2; n >= 0; n--) {
      try {
        renameSync(n === 0 ? path : `${path}.${n}`, `${path}.${n + 1}`);
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOENT') throw error;
      }
    }
  };
  const closeFile = (): void => {
    const closing = file;
    file = undefined;
    if (closing !== undefined) closeSync(closing);
  };
  const reopen = (): number => {
    const opened = openSync(path, 'a', 0o600);
    file = opened;
    size = fstatSync(opened).size;
    return opened;
  };

  return {
    write: (line) => {
      if (!open) return;
      try {
        const bytes = Buffer.from(`${toText(line)}\n`);
        if (size + bytes.length > limits.maxFileBytes) rotate();
        size += writeSync(file ?? reopen(), bytes);
      } catch {
        // A full disk is reported by the work that it stops.
      }
    },
    close: () => {
      open = false;
      closeFile();
    },
  };
}

function toText(line: LogLine): string {
  const kept: Record<string, unknown> = { at: new Date().toISOString() };
  for (const field of allowed) {
    const value = line[field];
    if (typeof value === 'string') kept[field] = value.slice(0, maxFieldCharacters);
    else if (typeof value === 'number') kept[field] = value;
  }
  const metrics = Object.entries(line.metrics ?? {}).filter(([, n]) => typeof n === 'number');
  if (metrics.length > 0) kept['metrics'] = Object.fromEntries(metrics.slice(0, maxMetricsPerLine));
  return JSON.stringify(kept);
}
