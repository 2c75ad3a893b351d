/**
 * Limits on the cost of lies: entries that a node keeps, and jobs that unknown peers make it run.
 */
import type { Effect, Event, NodeId } from '#core/machine.ts';
import { maxProposals } from '#protocol/agreement/index.ts';
import { maxActsUnderDiscussion } from '#roles/section-node/generation/proposing.ts';
import type { SectionNode, SectionNodeState } from '#roles/section-node/index.ts';
import type { SectionMachine } from '../section/section-check.ts';
import type { SimNode, SectionNodeView } from '../section/section-world.ts';

/** Entries of any one table, and bytes of a node's whole state, when all peers lie to it. */
export const maxEntries = 600;
export const maxStateBytes = 4 * 1024 * 1024;
/**
 * Concurrent jobs at one node for one unknown peer, and for one liar: the proposals its newest
 * statements cite.
 */
export const maxJobs = { outsider: 1, liar: 80 };
/**
 * Jobs started by one message: of an unknown peer one check, of a liar all it may propose together.
 */
export const maxJobsOfMessage = { outsider: 1, liar: 16 };
/** The only jobs an unknown peer may cause: it may present newer states, and links. */
const jobsOfOutsiders: readonly string[] = ['verifySealed', 'verifyLinks'];
/**
 * Proposals of one generation: two liars fill their quotas of four times `maxProposals`, plus 64
 * for the honest elders.
 */
export const maxProposalsHeld = 2 * 4 * maxProposals + 64;
/**
 * Acts discussed in one generation: two liars fill their quotas, honest elders want a few acts
 * each.
 */
export const maxDiscussedHeld = 2 * maxActsUnderDiscussion + 7 * 16;
/** A node's state is measured after this many of its events. */
const lookEvery = 400;

/** Tables with their own limits. */
export const bounded: readonly (readonly [path: string, most: number])[] = [
  ['.pendingGeneration.agreement.proposals', maxProposalsHeld],
  ['.pendingGeneration.endorsements', maxDiscussedHeld],
];

export interface Bounds {
  readonly watched: (machine: SectionMachine) => SectionMachine;
  readonly sample: (node: SectionNodeView) => void;
  readonly violations: readonly string[];
  /** Jobs started at honest nodes by messages of unknown peers, of liars, and of honest nodes. */
  readonly jobs: { outsider: number; liar: number; other: number };
  readonly received: { outsider: number; liar: number; other: number };
  readonly pending: { outsider: number; liar: number };
  readonly most: { entries: number; bytes: number };
  /** The paths of {@link bounded} that occurred in a state. */
  readonly measured: ReadonlySet<string>;
}

export function createBounds(liars: ReadonlySet<NodeId>, outsiders: readonly SimNode[]): Bounds {
  const names = new Set(outsiders.map(({ id }) => id));
  const jobs = { outsider: 0, liar: 0, other: 0 };
  const received = { outsider: 0, liar: 0, other: 0 };
  const pending = { outsider: 0, liar: 0 };
  const most = { entries: 0, bytes: 0 };
  const measured = new Set<string>();
  const violations: string[] = [];
  const seen = new Map<NodeId, number>();
  const work = createWork();
  const report = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  return {
    jobs,
    received,
    pending,
    most,
    measured,
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
        const by = names.has(cause.from) ? 'outsider' : liars.has(cause.from) ? 'liar' : 'other';
        if (event.kind === 'received') received[by] += 1;
        jobs[by] += cause.jobs;
        if (by === 'other') return step;
        pending[by] = Math.max(pending[by], cause.pending);
        const kinds = step.effects.flatMap((each) =>
          each.kind === 'compute' ? [each.job.kind] : [],
        );
        if (by === 'outsider' && !kinds.every((kind) => jobsOfOutsiders.includes(kind))) {
          report(`an outsider makes others do work: ${kinds.join(' ')}`);
        }
        if (cause.pending > maxJobs[by]) report(`work without end for one ${by}`);
        if (cause.jobs > maxJobsOfMessage[by]) report(`too much work for a message of one ${by}`);
        return step;
      },
    }),
    sample: ({ id, honest, state }) => {
      const count = (seen.get(id) ?? 0) + 1;
      seen.set(id, count);
      if (!honest || count % lookEvery !== 0) return;
      const size = sizeOf(state, (path, entries) => {
        most.entries = Math.max(most.entries, entries);
        const own = bounded.find(([name]) => path.endsWith(name));
        if (own !== undefined) measured.add(own[0]);
        const limit = own?.[1] ?? maxEntries;
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
  /** Its jobs at this node that have no result yet. */
  readonly pending: number;
}

/** Attributes work to a sender: of the message, or of the message that led to a job's result. */
function createWork() {
  const open = new Map<NodeId, Map<SectionNode['jobId'], NodeId>>();
  return {
    /** A restart loses the node's open jobs. */
    restarted: (self: NodeId): void => void open.delete(self),
    caused: (
      self: NodeId,
      event: Event<SectionNode>,
      effects: readonly Effect<SectionNode>[],
    ): Cause | null => {
      const jobs = open.get(self) ?? new Map<SectionNode['jobId'], NodeId>();
      open.set(self, jobs);
      const from =
        event.kind === 'received'
          ? event.from
          : event.kind === 'computed'
            ? jobs.get(event.id)
            : undefined;
      if (event.kind === 'computed') jobs.delete(event.id);
      // An adopted state is the section's own: do not attribute the following work to its sender.
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

/**
 * Bytes of all values in a state, each object counted once; calls `table` for each collection with
 * its path.
 */
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
