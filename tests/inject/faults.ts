/** The faults at a call site, and the sites at which each can happen. */
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

/** The n-th time that a process of this role reaches this call site. */
export interface Site {
  readonly role: string;
  readonly label: string;
  readonly occurrence: number;
}

/** One run of a story with one fault, or none. */
export interface FaultRun {
  /** Plays it to its end, ends all faults, and checks. */
  readonly play: () => Promise<void>;
  /** Injects the fault at the site that was reached. */
  readonly injectFault: (process: Process, label: string, fault: Fault) => Interruption;
  /** The continuing effect of the fault on later sites. */
  readonly faultStillActive: (process: Process, label: string) => Interruption;
  readonly violations: readonly string[];
  readonly end: () => void;
}

/** Called at every call site while the story runs. */
export type Interrupt = (process: Process, label: string) => Interruption;

export interface InjectScenario {
  readonly name: string;
  readonly begin: (interrupt: Interrupt) => FaultRun;
}

const calls = /^(store|payments|pins|worker-store|rpc|fetch|elder|file|download)\./;

export function canHappenAt({ role, label }: Site, fault: Fault): boolean {
  if (role === 'node' || role === 'client') {
    if (fault === 'node restarts before' || fault === 'node restarts after') return role === 'node';
    // A client whose own disk never answers waits until its browser ends it. A database call does
    // not wait.
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

/** The platform's errors: a failed request, a full disk, a missing file. */
export function failureOf(label: string): unknown {
  if (label.startsWith('elder.')) return { ok: false, error: { kind: 'timeout' } };
  if (label.startsWith('rpc.') || label.startsWith('fetch.'))
    throw new TypeError('Failed to fetch');
  if (label.startsWith('file.')) throw new DOMException('It cannot be read.', 'NotReadableError');
  if (/\.(put|save|mark|delete)[A-Z]/.test(label)) {
    throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
  }
  throw new DOMException('Internal error.', 'UnknownError');
}
