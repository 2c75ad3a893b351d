/** What the Network page shows of the light node, and the one thing a person may set. */
import type { ElderView, NetworkView, RoadPreference, SectionView } from '#bridge/worker.ts';
import type { App } from '../shared/app.svelte.ts';
import { Task } from '../shared/task.svelte.ts';
import { changesBetween } from './sections.ts';

/** Where an elder stands on a circle of `radius` around the middle; the first one is on top. */
export function placeOnRing(index: number, of: number, radius: number): readonly [number, number] {
  const angle = (index / of) * 2 * Math.PI - Math.PI / 2;
  return [Math.cos(angle) * radius, Math.sin(angle) * radius];
}

export const connectedCount = (elders: readonly ElderView[]): number =>
  elders.filter((elder) => elder.state === 'connected').length;

/** Lines kept of what happened while somebody watched. */
export const maxChanges = 8;

export class NetworkController {
  readonly task = new Task();
  /** What changed while this page was open, newest first. */
  changes = $state.raw<readonly { readonly id: number; readonly sentence: string }[]>([]);
  readonly #app: App;
  #seen: readonly SectionView[] = [];
  #count = 0;

  constructor(app: App) {
    this.#app = app;
  }

  /** Asks for news every few seconds until the returned function is called. */
  watch(): () => void {
    return this.#app.watchNetwork();
  }

  /** The next view: what differs from the last one becomes a line. */
  see(view: NetworkView | null): void {
    const sections = view?.sections ?? [];
    if (sections.length === 0 || sections === this.#seen) return;
    const news = changesBetween(this.#seen, sections);
    this.#seen = sections;
    if (news.length === 0) return;
    const lines = news.map((sentence) => ({ id: ++this.#count, sentence }));
    this.changes = [...lines.reverse(), ...this.changes].slice(0, maxChanges);
  }

  async setRoad(preference: RoadPreference): Promise<void> {
    await this.task.run(() => this.#app.setRoad(preference));
  }
}
