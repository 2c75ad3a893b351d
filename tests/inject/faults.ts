/** What can go wrong at a call site, and where it makes sense. */
import type { Interruption, Process } from './process.ts';

export const faults = [
  'fails once',
  'fails from here on',
  'fails from here on, tab closed',
  'never answers',
  'damaged',
  'damaged from here on',
  'device full from here on',
  'offline from here on',
  'lock before',
  'lock after',
  'close before',
  'close after',
  'second tab',
  'another tab adds and closes',
  'forget',
  'worker dies before',
  'worker dies after',
  'node restarts before',
  'node restarts after',
] as const;
export type Fault = (typeof faults)[number];

/** The n-th time that a process of this role reaches this border. */
export interface Site {
  readonly role: string;
  readonly label: string;
  readonly occurrence: number;
}

/** One telling of a story in which one thing goes wrong, or nothing. */
export interface Run {
  /** Tells it to its end, heals everything, and looks. */
  readonly tell: () => Promise<void>;
  /** The wrong thing happens, at the site that was reached. */
  readonly strike: (process: Process, label: string, fault: Fault) => Interruption;
  /** What goes on going wrong after that. */
  readonly still: (process: Process, label: string) => Interruption;
  readonly violations: readonly string[];
  readonly end: () => void;
}

/** Asked at every call site while the story runs. */
export type Interrupt = (process: Process, label: string) => Interruption;

export interface Scenario {
  readonly name: string;
  readonly begin: (interrupt: Interrupt) => Run;
}

const calls = /^(store|payments|pins|memory|rpc|fetch|elder|file|download)\./;

export function fits({ role, label }: Site, fault: Fault): boolean {
  if (role === 'node' || role === 'client') {
    if (fault === 'node restarts before' || fault === 'node restarts after') return role === 'node';
    // A client whose own disk never answers waits for its browser to end it.
    // A database call does not wait.
    if (fault === 'never answers') return !/^(payment|sql)\./.test(label);
    return fault === 'fails once' || fault === 'fails from here on';
  }
  switch (fault) {
    case 'fails once':
    case 'fails from here on':
    case 'fails from here on, tab closed':
    case 'never answers':
      return calls.test(label);
    case 'damaged':
    case 'damaged from here on':
      return /^(store\.(getSafe|listSafes)|elder\.getChunk)$/.test(label);
    case 'device full from here on':
      return /^(store|payments|pins)\.put[A-Z]/.test(label);
    case 'offline from here on':
      return /^(rpc|fetch|elder)\./.test(label);
    case 'worker dies before':
    case 'worker dies after':
      return role === 'worker' || /^(rpc|download)\./.test(label);
    case 'second tab':
    case 'another tab adds and closes':
    case 'forget':
    case 'lock before':
    case 'lock after':
    case 'close before':
    case 'close after':
      return role === 'tab';
    case 'node restarts before':
    case 'node restarts after':
      return false;
  }
}

/** As the platform says it: a request that fails, a disk that is full, a file that is gone. */
export function failureOf(label: string): unknown {
  if (label.startsWith('elder.')) return { ok: false, error: { kind: 'timeout' } };
  if (label.startsWith('rpc.') || label.startsWith('fetch.'))
    throw new TypeError('Failed to fetch');
  if (label.startsWith('file.')) throw new DOMException('It cannot be read.', 'NotReadableError');
  if (/\.(put|keep|mark|delete)[A-Z]/.test(label)) {
    throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
  }
  throw new DOMException('Internal error.', 'UnknownError');
}
