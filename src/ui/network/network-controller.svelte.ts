/** The Network page's view of the light node, and the one setting a person has. */
import type {
  ElderView,
  NetworkView,
  TransportPreference,
  SectionView,
} from '#bridge/worker-messages.ts';
import type { App } from '../shared/app.svelte.ts';
import { Task } from '../shared/task.svelte.ts';
import { changesBetween } from './section-tree.ts';

/** The position of an elder on a circle of `radius` around the middle; the first one is on top. */
export function pointOnCircle(
  index: number,
  of: number,
  radius: number,
): readonly [number, number] {
  const angle = (index / of) * 2 * Math.PI - Math.PI / 2;
  return [Math.cos(angle) * radius, Math.sin(angle) * radius];
}

export const connectedCount = (elders: readonly ElderView[]): number =>
  elders.filter((elder) => elder.state === 'connected').length;

/** Lines of changes kept while the page is open. */
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

  /** Polls for changes every few seconds until the returned function is called. */
  watch(): () => void {
    return this.#app.watchNetwork();
  }

  /** Adds a line for each difference from the last view. */
  update(view: NetworkView | null): void {
    const sections = view?.sections ?? [];
    if (sections.length === 0 || sections === this.#seen) return;
    const news = changesBetween(this.#seen, sections);
    this.#seen = sections;
    if (news.length === 0) return;
    const lines = news.map((sentence) => ({ id: ++this.#count, sentence }));
    this.changes = [...lines.reverse(), ...this.changes].slice(0, maxChanges);
  }

  async setTransport(preference: TransportPreference): Promise<void> {
    await this.task.run(() => this.#app.setTransport(preference));
  }
}
