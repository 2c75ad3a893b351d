/**
 * A node's changes of state and role, one after the other: money must be closed before it is opened
 * under the next key. A failed change (a full disk) is retried while it is the newest.
 */

export interface RoleChanges<T> {
  readonly request: (next: T) => void;
  /** Resolves when the running changes are over; there are no retries from now on. */
  readonly stop: () => Promise<void>;
}

export interface RoleChangesOptions<T> {
  readonly adopt: (next: T) => Promise<void>;
  readonly onDone: () => void;
  readonly onError: (error: unknown) => void;
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
      options.onDone();
    } catch (error) {
      options.onError(error);
      if (newest !== next || stopped) return;
      timer = setTimeout(() => request(next), options.retryMs ?? retryMs);
    }
  };
  const request = (next: T): void => {
    clearTimeout(timer);
    newest = next;
    changing = changing.then(() => change(next));
  };
  return {
    request,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      return changing;
    },
  };
}
