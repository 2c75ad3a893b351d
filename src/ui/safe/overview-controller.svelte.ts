/** What a person can do with an open Safe as a whole: lock it, forget it here. */
import type { App } from '../shared/app.svelte.ts';
import { Task } from '../shared/task.svelte.ts';

export class OverviewController {
  asksToForget = $state(false);
  readonly locking = new Task();
  readonly forgetting = new Task();
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  lock(): void {
    void this.locking.run(() => this.#app.ask({ kind: 'lock' }));
  }

  async forget(): Promise<void> {
    // The dialog warns while something is on this device only.
    const { vault } = this.#app;
    const evenUnsaved = vault.kind === 'open' && vault.published === 'waiting';
    const done = await this.forgetting.run(() => this.#app.ask({ kind: 'forget', evenUnsaved }));
    if (done !== null) this.asksToForget = false;
  }
}
