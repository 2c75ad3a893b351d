/** What lies may cost: entries that a node keeps, and jobs that strangers make it do. */
import type { Effect, Event, NodeId } from '#core/machine.ts';
import { maxProposals } from '#protocol/agreement/index.ts';
import { maxDiscussed } from '#roles/section-node/offering.ts';
import type { SectionNode, SectionNodeState } from '#roles/section-node/index.ts';
import type { SectionMachine } from '../section-check.ts';
import type { Person, SectionView } from '../section-world.ts';

/** Entries of any one table, and bytes in all of a node's state, when everybody lies to it. */
export const maxEntries = 600;
export const maxStateBytes = 4 * 1024 * 1024;
/** Jobs at one node, under way at once, for one stranger; and for one liar: what its newest statements cite. */
export const maxJobs = { stranger: 1, liar: 80 };
/** Jobs that one message starts: of a stranger one check, of a liar all that it may propose at once. */
export const maxJobsOfMessage = { stranger: 1, liar: 16 };
/** Jobs that a stranger may cause at all: it may show newer states, and links. */
const jobsOfStrangers: readonly string[] = ['verifySealed', 'verifyLinks'];
/** Proposals of one generation: two liars fill their shares of four times `maxProposals`, the honest a little. */
export const maxProposalsHeld = 2 * 4 * maxProposals + 64;
/** Acts discussed in one generation: two liars fill their shares, the honest want a few things each. */
export const maxDiscussedHeld = 2 * maxDiscussed + 7 * 16;
/** Every so many events of a node its state is walked. */
const lookEvery = 400;

/** Tables with a bound of their own. */
const bounded: readonly (readonly [path: string, most: number])[] = [
  ['.desk.agreement.proposals', maxProposalsHeld],
  ['.desk.endorsements', maxDiscussedHeld],
];

export interface Bounds {
  readonly watched: (machine: SectionMachine) => SectionMachine;
  readonly look: (node: SectionView) => void;
  readonly violations: readonly string[];
  /** Jobs that messages of strangers, of liars and of the honest started at honest nodes. */
  readonly jobs: { stranger: number; liar: number; other: number };
  readonly heard: { stranger: number; liar: number; other: number };
  readonly pending: { stranger: number; liar: number };
  readonly most: { entries: number; bytes: number };
}

export function createBounds(liars: ReadonlySet<NodeId>, strangers: readonly Person[]): Bounds {
  const names = new Set(strangers.map(({ id }) => id));
  const jobs = { stranger: 0, liar: 0, other: 0 };
  const heard = { stranger: 0, liar: 0, other: 0 };
  const pending = { stranger: 0, liar: 0 };
  const most = { entries: 0, bytes: 0 };
  const violations: string[] = [];
  const seen = new Map<NodeId, number>();
  const work = createWork();
  const report = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  return {
    jobs,
    heard,
    pending,
    most,
    violations,
    watched: (machine) => ({
      start: (config, facts, context) => {
        work.restarted(config.self);
        return machine.start(config, facts, context);
      },
      step: (config, state, event, context) => {
        const step = machine.step(config, state, event, context);
        if (liars.has(config.self)) return step;
        const cause = work.caused(config.self, event, step.effects);
        if (cause === null) return step;
        const by = names.has(cause.from) ? 'stranger' : liars.has(cause.from) ? 'liar' : 'other';
        if (event.kind === 'received') heard[by] += 1;
        jobs[by] += cause.jobs;
        if (by === 'other') return step;
        pending[by] = Math.max(pending[by], cause.pending);
        const kinds = step.effects.flatMap((each) =>
          each.kind === 'compute' ? [each.job.kind] : [],
        );
        if (by === 'stranger' && !kinds.every((kind) => jobsOfStrangers.includes(kind))) {
          report(`a stranger makes others do work: ${kinds.join(' ')}`);
        }
        if (cause.pending > maxJobs[by]) report(`work without end for one ${by}`);
        if (cause.jobs > maxJobsOfMessage[by]) report(`too much work for a message of one ${by}`);
        return step;
      },
    }),
    look: ({ id, honest, state }) => {
      const count = (seen.get(id) ?? 0) + 1;
      seen.set(id, count);
      if (!honest || count % lookEvery !== 0) return;
      const size = sizeOf(state, (path, entries) => {
        most.entries = Math.max(most.entries, entries);
        const [, limit = maxEntries] = bounded.find(([name]) => path.endsWith(name)) ?? [];
        if (entries > limit) report(`a table grows without end: ${path}`);
      });
      most.bytes = Math.max(most.bytes, size);
      if (size > maxStateBytes) report('a state grows without end');
    },
  };
}

interface Cause {
  readonly from: NodeId;
  /** Jobs that this step started for it. */
  readonly jobs: number;
  /** Its jobs at this node that have no answer yet. */
  readonly pending: number;
}

/** Who makes a node work: the sender of a message, and of the message behind a job's answer. */
function createWork() {
  const open = new Map<NodeId, Map<string, NodeId>>();
  return {
    /** What it had begun is gone with its memory. */
    restarted: (self: NodeId): void => void open.delete(self),
    caused: (
      self: NodeId,
      event: Event<SectionNode>,
      effects: readonly Effect<SectionNode>[],
    ): Cause | null => {
      const jobs = open.get(self) ?? new Map<string, NodeId>();
      open.set(self, jobs);
      const from =
        event.kind === 'received'
          ? event.from
          : event.kind === 'computed'
            ? jobs.get(event.id)
            : undefined;
      if (event.kind === 'computed') jobs.delete(event.id);
      // An adopted state is the section's own: the work that follows was not caused by the node that sent it.
      const isAdopted = effects.some(
        (each) => each.kind === 'output' && each.output.kind === 'adopted',
      );
      if (from === undefined || isAdopted) return null;
      const begun = effects.flatMap((each) => (each.kind === 'compute' ? [each.id] : []));
      for (const id of begun) jobs.set(id, from);
      const pending = [...jobs.values()].filter((by) => by === from).length;
      return { from, jobs: begun.length, pending };
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
