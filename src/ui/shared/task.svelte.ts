/** One thing a person started: is it running, and what went wrong. */
import type { VaultError } from '#bridge/vault.ts';
import { asVaultError } from './app.svelte.ts';

export class Task {
  busy = $state(false);
  error = $state.raw<VaultError | null>(null);

  /** Runs `work` unless one is running; answers null when it failed, and keeps the error. */
  async run<Value>(work: () => Promise<Value>): Promise<{ readonly value: Value } | null> {
    if (this.busy) return null;
    this.busy = true;
    this.error = null;
    try {
      return { value: await work() };
    } catch (error) {
      this.error = asVaultError(error);
      return null;
    } finally {
      this.busy = false;
    }
  }

  clear(): void {
    this.error = null;
  }
}
