import type { Log } from './monitoring/log.ts';

/** A machine of this node broke an invariant, or its fact could not be stored. */
export class MachineFailure extends Error {
  constructor(cause: unknown) {
    super(`A machine of this node failed: ${String(cause)}`, { cause });
    this.name = 'MachineFailure';
  }
}

/** Ends the program: the machine's facts are on disk, and none of its later messages may be relied on. */
export function endOnMachineFailure(log: Log, node: string, error: unknown): void {
  log.write({ event: 'machineFailed', node, error: String(error) });
  setImmediate(() => {
    throw new MachineFailure(error);
  });
}
