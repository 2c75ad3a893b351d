/**
 * A node's changes of state and role, one after the other: money must be closed before it is opened
 * under the next key. A change that failed (a full disk) is tried again as long as it is the newest.
 */

export interface RoleChanges<T> {
  readonly to: (next: T) => void;
  /** Resolves when the changes begun so far are over; nothing is tried again from now on. */
  readonly stop: () => Promise<void>;
}

export interface RoleChangesOptions<T> {
  readonly adopt: (next: T) => Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
  /** For tests. */
  readonly retryMs?: number;
}

const retryMs = 2_000;

export function createRoleChanges<T>(options: RoleChangesOptions<T>): RoleChanges<T> {
  let changing: Promise<void> = Promise.resolve();
  let newest: T | null = null;
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const change = async (next: T): Promise<void> => {
    try {
      await options.adopt(next);
      options.done();
    } catch (error) {
      options.failed(error);
      if (newest !== next || stopped) return;
      timer = setTimeout(() => to(next), options.retryMs ?? retryMs);
    }
  };
  const to = (next: T): void => {
    clearTimeout(timer);
    newest = next;
    changing = changing.then(() => change(next));
  };
  return {
    to,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      return changing;
    },
  };
}
