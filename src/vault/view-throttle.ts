/** Sends the view to the page, at most five times a second. */
import type { VaultPorts } from './ports.ts';

const viewIntervalMs = 200;

export interface ViewThrottle {
  /** Immediate if the last notice is old enough, else when the interval has passed; never lost. */
  (): void;
  /** Sends a pending notice now. */
  readonly flush: () => void;
}

export function createViewThrottle(
  ports: Pick<VaultPorts, 'now' | 'wait'>,
  emit: () => void,
): ViewThrottle {
  const never = new AbortController().signal;
  let lastAt = -Infinity;
  let pending = false;
  const flush = (): void => {
    if (!pending) return;
    pending = false;
    lastAt = ports.now();
    emit();
  };
  const later = (): void => {
    if (pending) return;
    pending = true;
    const ms = Math.min(viewIntervalMs, Math.max(0, lastAt + viewIntervalMs - ports.now()));
    void (ms === 0 ? Promise.resolve() : ports.wait(ms, never)).then(flush);
  };
  return Object.assign(later, { flush });
}
