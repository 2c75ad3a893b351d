/** What lies may cost: entries that a node keeps, and jobs that strangers make it do. */
import type { NodeId } from '#core/machine.ts';
import type { SectionNodeState } from '#roles/section-node/index.ts';
import type { SectionMachine } from '../section-check.ts';
import type { Person, SectionView } from '../section-world.ts';

/** Entries of any one table, and bytes in all of a node's state, when everybody lies to it. */
export const maxEntries = 600;
export const maxStateBytes = 4 * 1024 * 1024;
/** Every so many events of a node its state is walked. */
const lookEvery = 400;

export interface Bounds {
  readonly watched: (machine: SectionMachine) => SectionMachine;
  readonly look: (node: SectionView) => void;
  readonly violations: readonly string[];
  /** Jobs that messages of strangers, of liars and of the honest started at honest nodes. */
  readonly jobs: { stranger: number; liar: number; other: number };
  readonly heard: { stranger: number; liar: number; other: number };
  readonly most: { entries: number; bytes: number };
}

export function createBounds(liars: ReadonlySet<NodeId>, strangers: readonly Person[]): Bounds {
  const names = new Set(strangers.map(({ id }) => id));
  const jobs = { stranger: 0, liar: 0, other: 0 };
  const heard = { stranger: 0, liar: 0, other: 0 };
  const most = { entries: 0, bytes: 0 };
  const violations: string[] = [];
  const seen = new Map<NodeId, number>();
  const report = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  return {
    jobs,
    heard,
    most,
    violations,
    watched: (machine) => ({
      start: machine.start,
      step: (config, state, event, context) => {
        const step = machine.step(config, state, event, context);
        if (event.kind !== 'received' || liars.has(config.self)) return step;
        const by = names.has(event.from) ? 'stranger' : liars.has(event.from) ? 'liar' : 'other';
        heard[by] += 1;
        jobs[by] += step.effects.filter(({ kind }) => kind === 'compute').length;
        return step;
      },
    }),
    look: ({ id, honest, state }) => {
      const count = (seen.get(id) ?? 0) + 1;
      seen.set(id, count);
      if (!honest || count % lookEvery !== 0) return;
      const size = sizeOf(state, (path, entries) => {
        most.entries = Math.max(most.entries, entries);
        if (entries > maxEntries) report(`a table grows without end: ${path}`);
      });
      most.bytes = Math.max(most.bytes, size);
      if (size > maxStateBytes) report('a state grows without end');
    },
  };
}

/** Bytes of all that a state holds, each thing once; tables are told by their path. */
export function sizeOf(
  state: SectionNodeState,
  table: (path: string, entries: number) => void,
): number {
  const known = new Set<object>();
  const walk = (value: unknown, path: string): number => {
    if (typeof value === 'string') return value.length;
    if (typeof value !== 'object' || value === null) return 8;
    if (known.has(value)) return 0;
    known.add(value);
    if (value instanceof Uint8Array) return value.length;
    if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
      const items = value instanceof Map ? [...value.entries()].flat() : [...value];
      table(path, value instanceof Map ? value.size : items.length);
      return items.reduce<number>((sum, item) => sum + walk(item, path), 0);
    }
    return Object.entries(value).reduce(
      (sum, [name, inner]) => sum + walk(inner, `${path}.${name}`),
      0,
    );
  };
  return walk(state, 'state');
}
