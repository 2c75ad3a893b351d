/** What the Network page shows of the light node, and the one thing a person may set. */
import type { ElderView, RoadPreference } from '#bridge/worker.ts';
import type { App } from '../shared/app.svelte.ts';
import { Task } from '../shared/task.svelte.ts';

/** Where an elder stands on a circle of `radius` around the middle; the first one is on top. */
export function placeOnRing(index: number, of: number, radius: number): readonly [number, number] {
  const angle = (index / of) * 2 * Math.PI - Math.PI / 2;
  return [Math.cos(angle) * radius, Math.sin(angle) * radius];
}

export const shortName = (name: string): string => name.slice(0, 6);

export const connectedCount = (elders: readonly ElderView[]): number =>
  elders.filter((elder) => elder.state === 'connected').length;

export class NetworkController {
  readonly task = new Task();
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  async setRoad(preference: RoadPreference): Promise<void> {
    await this.task.run(() => this.#app.setRoad(preference));
  }
}
