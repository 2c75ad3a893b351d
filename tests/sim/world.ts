/**
 * A whole network in one process: virtual clock, seeded faults, one event at a time.
 *
 * The world is a second driver for the machines in `src/protocol`. It performs the same effects as
 * `runtime/driver.ts`, but it may lose, delay, repeat or reorder messages, cut links, cut a whole
 * group off, stop a node between any two effects, and restart it with a disk that lost its last
 * facts. A run is a function of (scenario, seed), so a failing seed is a complete bug report.
 */
import { writeFileSync } from 'node:fs';
import {
  timerKey,
  type Context,
  type Effect,
  type Event,
  type Machine,
  type NodeId,
  type Protocol,
  type Step,
} from '#core/machine.ts';
import { createPrng, type Prng } from './prng.ts';

export interface Faults {
  readonly latencyMs: readonly [min: number, max: number];
  readonly dropProbability: number;
  readonly duplicateProbability: number;
  readonly crashProbability: number;
  readonly restartAfterMs: readonly [min: number, max: number];
  readonly cutProbability: number;
  /** Duration of a job; 0 means its result is the very next event. */
  readonly computeMs: readonly [min: number, max: number];
  /** Additional latency of all messages of these nodes. */
  readonly slowMs?: ReadonlyMap<string, number>;
  /** Delays single messages by up to this long in addition to their latency. */
  readonly straggle?: { readonly probability: number; readonly upToMs: number };
  /** Per event: a group of random size is cut off from all others; one group at a time. */
  readonly partition?: {
    readonly probability: number;
    readonly forMs: readonly [min: number, max: number];
  };
  /**
   * Per crash: the disk loses its last facts (never all), in at most `maxNodes` nodes. Such a node
   * is `rolledBack` in every view, and the scenario's `whenRolledBack` returns its new
   * configuration, as its role would detect the loss (N10).
   */
  readonly lostTail?: {
    readonly probability: number;
    readonly facts: readonly [min: number, max: number];
    readonly maxNodes: number;
  };
}

export interface Scenario<Config, State, P extends Protocol> {
  readonly machine: Machine<Config, State, P>;
  readonly configs: ReadonlyMap<NodeId, Config>;
  readonly inputs: readonly {
    readonly atMs: number;
    readonly to: NodeId;
    readonly input: P['input'];
  }[];
  /** Performs a job immediately; the world delays the result and a crash loses it. */
  readonly compute: (job: P['job']) => P['result'];
  readonly faults: Faults;
  /** Faults stop here; from then on the run must make progress. */
  readonly healAtMs: number;
  readonly endAtMs: number;
  /**
   * Called once a second after healing: is the story complete? When it was for three seconds the
   * run ends; otherwise, or without it, at `endAtMs`.
   */
  readonly isOver?: (nodes: readonly NodeView<State>[]) => boolean;
  /** Byzantine nodes: functions that replace their messages. */
  readonly corrupt?: ReadonlyMap<NodeId, Corrupt<P>>;
  /** The configuration of a node whose disk lost facts; unchanged by default. */
  readonly whenRolledBack?: (config: Config) => Config;
  /** The environment: starts and stops nodes and sends them inputs, after every event's check. */
  readonly react?: (observation: Observation<State, P>, api: WorldApi<Config, State, P>) => void;
}

/** The actions of `react` on the world. */
export interface WorldApi<Config, State, P extends Protocol> {
  readonly nowMs: number;
  readonly nodes: () => readonly NodeView<State>[];
  /**
   * Adds a node; `corrupt` makes it a Byzantine one.
   * @param facts initial disk contents, from the node's previous name; empty by default.
   */
  readonly spawn: (
    id: NodeId,
    config: Config,
    corrupt?: Corrupt<P>,
    facts?: readonly P['fact'][],
  ) => void;
  /** A node's disk, also of a stopped one. */
  readonly disk: (id: NodeId) => readonly P['fact'][];
  /** Stops a node permanently: it gets no more events. */
  readonly stop: (id: NodeId) => void;
  /**
   * Crashes a node, which loses its memory. `since` names the oldest fact that its disk loses, with
   * all later ones; without it, or where no fact matches, the disk stays intact.
   */
  readonly crash: (id: NodeId, since?: (fact: P['fact']) => boolean) => void;
  readonly input: (id: NodeId, input: P['input'], afterMs: number) => void;
  /** A message from any name, also from one that is not a node of the world. */
  readonly send: (from: NodeId, to: NodeId, message: P['message']) => void;
}

/** Rewrites one outgoing message per recipient, so that a node can equivocate. */
export type Corrupt<P extends Protocol> = (
  message: P['message'],
  to: NodeId,
  prng: Prng,
) => readonly P['message'][];

export interface NodeView<State> {
  readonly id: NodeId;
  readonly honest: boolean;
  readonly up: boolean;
  /** Its disk lost facts: the node must never sign under their key again (N10). */
  readonly rolledBack: boolean;
  /** Stopped permanently by `react`. */
  readonly stopped: boolean;
  readonly state: State;
}

/** One event and its effects at one node. */
export interface Observation<State, P extends Protocol> {
  readonly node: NodeView<State>;
  readonly outputs: readonly P['output'][];
  readonly faults: readonly P['fault'][];
}

/**
 * Throws when a property that must hold after every event does not. A checker may store what it
 * observes, so each run takes a fresh one, and each observation costs the same however long the
 * run.
 */
export type Checker<State, P extends Protocol> = (observation: Observation<State, P>) => void;

export interface Report<State> {
  readonly nodes: readonly NodeView<State>[];
  readonly trace: readonly TraceLine[];
  readonly events: number;
}

export interface TraceLine {
  readonly atMs: number;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly label: string;
}

interface Node<Config, State, P extends Protocol> {
  readonly id: NodeId;
  readonly honest: boolean;
  readonly corrupt: Corrupt<P> | undefined;
  config: Config;
  up: boolean;
  rolledBack: boolean;
  stopped: boolean;
  /** Counts restarts: results of jobs from an earlier run are lost. */
  run: number;
  state: State;
  readonly disk: P['fact'][];
  readonly timers: Map<string, number>;
  fresh: { readonly outputs: P['output'][]; readonly faults: P['fault'][] };
}

type Task<P extends Protocol> =
  | { readonly kind: 'deliver'; readonly to: NodeId; readonly event: Event<P> }
  | {
      readonly kind: 'timer';
      readonly to: NodeId;
      readonly timer: P['timer'];
      readonly token: number;
    }
  | {
      readonly kind: 'computed';
      readonly to: NodeId;
      readonly run: number;
      readonly event: Event<P>;
    }
  | { readonly kind: 'restart'; readonly to: NodeId }
  | { readonly kind: 'heal'; readonly to: null };

/** A story must stay complete for this long. */
const settledForMs = 3_000;

/**
 * Runs one seed. With `TRACE=file` in the environment the trace is written to that file, also when
 * a checker threw; of several runs the last one stays.
 */
export function run<Config, State, P extends Protocol>(
  scenario: Scenario<Config, State, P>,
  seed: number,
  check: Checker<State, P>,
): Report<State> {
  const prng = createPrng(seed);
  const queue = createQueue<Task<P>>();
  const nodes = new Map<NodeId, Node<Config, State, P>>();
  const cut = new Set<string>();
  const trace: TraceLine[] = [];
  let isolated: ReadonlySet<NodeId> | null = null;
  let nowMs = 0;
  let events = 0;
  let tokens = 0;

  const faulty = (): boolean => nowMs < scenario.healAtMs;
  const between = ([min, max]: readonly [number, number]): number =>
    min + prng.below(max - min + 1);
  const context = (): Context => ({ now: nowMs, entropy: prng.bytes(32) });
  const link = (a: NodeId, b: NodeId): string => (a < b ? `${a}-${b}` : `${b}-${a}`);
  const nodeOf = (id: NodeId): Node<Config, State, P> => must(nodes.get(id), `no node ${id}`);

  const apart = (a: NodeId, b: NodeId): boolean =>
    cut.has(link(a, b)) || (isolated !== null && isolated.has(a) !== isolated.has(b));

  const transmit = (from: NodeId, to: NodeId, message: P['message']): void => {
    const lost = faulty() && (apart(from, to) || prng.chance(scenario.faults.dropProbability));
    trace.push({ atMs: nowMs, from, to, label: `${lost ? 'x ' : ''}${messageKind(message)}` });
    if (lost) return;
    const copies = faulty() && prng.chance(scenario.faults.duplicateProbability) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const task: Task<P> = { kind: 'deliver', to, event: { kind: 'received', from, message } };
      const slow = scenario.faults.slowMs?.get(from) ?? 0;
      queue.add(nowMs + between(scenario.faults.latencyMs) + straggling() + slow, task);
    }
  };

  const straggling = (): number => {
    const { straggle } = scenario.faults;
    if (straggle === undefined || !faulty() || !prng.chance(straggle.probability)) return 0;
    return prng.below(straggle.upToMs + 1);
  };

  const perform = (node: Node<Config, State, P>, effect: Effect<P>): void => {
    switch (effect.kind) {
      case 'persist':
        node.disk.push(effect.fact);
        return;
      case 'send': {
        for (const to of effect.to) {
          const sent = node.corrupt ? node.corrupt(effect.message, to, prng) : [effect.message];
          for (const message of sent) transmit(node.id, to, message);
        }
        return;
      }
      case 'setTimer': {
        const token = ++tokens;
        node.timers.set(timerKey(effect.timer), token);
        queue.add(nowMs + effect.afterMs, {
          kind: 'timer',
          to: node.id,
          timer: effect.timer,
          token,
        });
        return;
      }
      case 'clearTimer':
        node.timers.delete(timerKey(effect.timer));
        return;
      case 'compute': {
        const event: Event<P> = {
          kind: 'computed',
          id: effect.id,
          result: scenario.compute(effect.job),
        };
        const task: Task<P> = { kind: 'computed', to: node.id, run: node.run, event };
        queue.add(nowMs + between(scenario.faults.computeMs), task);
        return;
      }
      case 'blame':
        node.fresh.faults.push(effect.fault);
        return;
      case 'output':
        node.fresh.outputs.push(effect.output);
    }
  };

  const apply = (node: Node<Config, State, P>, step: Step<State, P>): void => {
    node.state = step.state;
    for (const effect of step.effects) {
      if (faulty() && prng.chance(scenario.faults.crashProbability)) return crash(node);
      perform(node, effect);
    }
  };

  const crash = (node: Node<Config, State, P>, damage = loseTail): void => {
    node.up = false;
    node.timers.clear(); // Memory is lost; only `disk` survives.
    trace.push({ atMs: nowMs, from: node.id, to: node.id, label: 'crash' });
    damage(node);
    queue.add(nowMs + between(scenario.faults.restartAfterMs), { kind: 'restart', to: node.id });
  };

  const loseTail = (node: Node<Config, State, P>): void => {
    const { lostTail } = scenario.faults;
    if (lostTail === undefined || node.disk.length === 0) return;
    if (!node.rolledBack) {
      const before = [...nodes.values()].filter(({ rolledBack }) => rolledBack).length;
      if (before >= lostTail.maxNodes || !prng.chance(lostTail.probability)) return;
    } else if (!prng.chance(lostTail.probability)) return;
    keepFirst(node, Math.max(0, node.disk.length - Math.max(1, between(lostTail.facts))));
  };

  const keepFirst = (node: Node<Config, State, P>, facts: number): void => {
    node.disk.splice(facts);
    node.config = scenario.whenRolledBack?.(node.config) ?? node.config;
    node.rolledBack = true;
    trace.push({ atMs: nowMs, from: node.id, to: node.id, label: 'lost its tail' });
  };

  const boot = (node: Node<Config, State, P>): void => {
    if (node.stopped) return;
    node.up = true;
    node.run += 1;
    apply(node, scenario.machine.start(node.config, [...node.disk], context()));
  };

  const handle = (node: Node<Config, State, P>, event: Event<P>): void => {
    if (!node.up) return;
    deepFreeze(node.state); // A step that edits its input fails here, not three files away.
    deepFreeze(event);
    apply(node, scenario.machine.step(node.config, node.state, event, context()));
  };

  const moveLinks = (): void => {
    if (!prng.chance(scenario.faults.cutProbability)) return;
    const ids = [...nodes.keys()];
    const chosen = link(prng.pick(ids), prng.pick(ids));
    if (!cut.delete(chosen)) cut.add(chosen);
  };

  const moveGroups = (): void => {
    const { partition } = scenario.faults;
    if (partition === undefined || isolated !== null || !prng.chance(partition.probability)) return;
    const ids = [...nodes.keys()];
    const size = 1 + prng.below(Math.max(1, ids.length - 1));
    const group = new Set<NodeId>();
    while (group.size < size) group.add(prng.pick(ids));
    isolated = group;
    const names = [...group].map((id) => id.slice(0, 8)).join(' ');
    const [first = ''] = group;
    trace.push({ atMs: nowMs, from: first, to: first, label: `cut off: ${names}` });
    queue.add(nowMs + between(partition.forMs), { kind: 'heal', to: null });
  };

  const add = (
    id: NodeId,
    config: Config,
    corrupt: Corrupt<P> | undefined,
    facts: readonly P['fact'][] = [],
  ): void => {
    const initial = scenario.machine.start(config, facts, context());
    const node: Node<Config, State, P> = {
      id,
      honest: corrupt === undefined,
      corrupt,
      config,
      up: true,
      rolledBack: false,
      stopped: false,
      run: 0,
      state: initial.state,
      disk: [...facts],
      timers: new Map(),
      fresh: { outputs: [], faults: [] },
    };
    nodes.set(id, node);
    apply(node, initial);
  };

  const api: WorldApi<Config, State, P> = {
    get nowMs() {
      return nowMs;
    },
    nodes: () => [...nodes.values()],
    disk: (id) => [...nodeOf(id).disk],
    spawn: (id, config, corrupt, facts) => {
      if (nodes.has(id)) throw new Error(`a second node ${id}`);
      trace.push({ atMs: nowMs, from: id, to: id, label: 'spawn' });
      add(id, config, corrupt, facts);
    },
    stop: (id) => {
      const node = nodeOf(id);
      node.stopped = true;
      node.up = false;
      node.timers.clear();
      trace.push({ atMs: nowMs, from: id, to: id, label: 'stop' });
    },
    crash: (id, since = () => false) => {
      const node = nodeOf(id);
      if (!node.up) return;
      crash(node, () => {
        const at = node.disk.findIndex(since);
        if (at >= 0) keepFirst(node, at);
      });
    },
    input: (id, input, afterMs) => {
      queue.add(nowMs + afterMs, { kind: 'deliver', to: id, event: { kind: 'input', input } });
    },
    send: transmit,
  };

  for (const [id, config] of scenario.configs) add(id, config, scenario.corrupt?.get(id));
  for (const { atMs, to, input } of scenario.inputs) {
    queue.add(atMs, { kind: 'deliver', to, event: { kind: 'input', input } });
  }

  let lookAtMs = scenario.healAtMs;
  let overSince: number | null = null;
  const isOver = (): boolean => {
    if (scenario.isOver === undefined || nowMs < lookAtMs) return false;
    lookAtMs = nowMs + 1_000;
    overSince = scenario.isOver([...nodes.values()]) ? (overSince ?? nowMs) : null;
    return overSince !== null && nowMs >= overSince + settledForMs;
  };

  try {
    for (let next = queue.take(); next && next.atMs <= scenario.endAtMs; next = queue.take()) {
      nowMs = next.atMs;
      if (isOver()) break;
      events += 1;
      const { task } = next;
      if (task.kind === 'heal') {
        isolated = null;
        continue;
      }
      // Where nodes join and leave, a message may be for one that is not there yet.
      if (scenario.react !== undefined && !nodes.has(task.to)) continue;
      const node = nodeOf(task.to);
      if (task.kind === 'restart') boot(node);
      else if (task.kind === 'deliver') handle(node, task.event);
      else if (task.kind === 'computed') {
        if (task.run === node.run) handle(node, task.event);
      } else if (node.timers.get(timerKey(task.timer)) === task.token) {
        node.timers.delete(timerKey(task.timer));
        handle(node, { kind: 'timerFired', timer: task.timer });
      }
      if (faulty()) {
        moveLinks();
        moveGroups();
      }
      const observation: Observation<State, P> = { node, ...node.fresh };
      node.fresh = { outputs: [], faults: [] };
      check(observation);
      scenario.react?.(observation, api);
    }
  } finally {
    const file = process.env['TRACE'];
    if (file !== undefined) writeFileSync(file, `${toMermaid(trace)}\n`);
  }
  return { nodes: [...nodes.values()], trace, events };
}

/** A priority queue ordered by time, then by insertion, so that ties are deterministic. */
function createQueue<Task>() {
  const heap: { readonly atMs: number; readonly order: number; readonly task: Task }[] = [];
  let order = 0;
  const before = (i: number, j: number): boolean => {
    const x = must(heap[i], 'heap index');
    const y = must(heap[j], 'heap index');
    return x.atMs !== y.atMs ? x.atMs < y.atMs : x.order < y.order;
  };
  const swap = (i: number, j: number): void => {
    const x = must(heap[i], 'heap index');
    heap[i] = must(heap[j], 'heap index');
    heap[j] = x;
  };
  return {
    add: (atMs: number, task: Task): void => {
      let i = heap.push({ atMs, order: order++, task }) - 1;
      for (let parent = (i - 1) >> 1; i > 0 && before(i, parent); parent = (i - 1) >> 1) {
        swap(i, parent);
        i = parent;
      }
    },
    take: (): { readonly atMs: number; readonly task: Task } | undefined => {
      const top = heap[0];
      const last = heap.pop();
      if (top === undefined || last === undefined || heap.length === 0) return top;
      heap[0] = last;
      for (let i = 0; ;) {
        const left = 2 * i + 1;
        const right = left + 1;
        let least = i;
        if (left < heap.length && before(left, least)) least = left;
        if (right < heap.length && before(right, least)) least = right;
        if (least === i) return top;
        swap(i, least);
        i = least;
      }
    },
  };
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  if (ArrayBuffer.isView(value)) return; // Views cannot be frozen; machines never write to them.
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
}

function messageKind(message: unknown): string {
  return typeof message === 'object' && message !== null && 'kind' in message
    ? String(message.kind)
    : 'message';
}

function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(what);
  return value;
}

/** The trace as a Mermaid sequence diagram, for docs and for reading a failing seed. */
export function toMermaid(trace: readonly TraceLine[]): string {
  const arrow = (line: TraceLine): string => (line.label.startsWith('x ') ? '--x' : '->>');
  // Names are 64 hex digits in most scenarios; eight are enough to distinguish seven nodes.
  const short = (id: NodeId): string => id.slice(0, 8);
  const lines = trace.map(
    (line) => `  ${short(line.from)}${arrow(line)}${short(line.to)}: ${line.atMs}ms ${line.label}`,
  );
  return ['sequenceDiagram', ...lines].join('\n');
}
