/**
 * Records the steps of the nodes of a run and writes them as lines that a person can read: the time,
 * who, what arrived, and every effect in the order in which it is performed. Nodes that do the same
 * at the same time share a line, in the order of their first step; which of its equals sent what
 * arrived is left out.
 */
import type { Effect, Event, Machine, NodeId, Protocol } from '#core/machine.ts';

/** The text of each value of a protocol; an empty text leaves an effect out. */
export interface Words<P extends Protocol> {
  readonly message: (message: P['message']) => string;
  readonly fact: (fact: P['fact']) => string;
  readonly job: (job: P['job']) => string;
  readonly output: (output: P['output']) => string;
  readonly input: (input: P['input']) => string;
}

interface Line {
  readonly atMs: number;
  readonly who: NodeId;
  readonly text: string;
}

export interface Transcript<Config, State, P extends Protocol> {
  readonly machine: Machine<Config, State, P>;
  readonly text: () => string;
}

/** Equals, which a transcript numbers: `elder 1`; others keep their names. */
export interface Cast {
  readonly word: string;
  readonly ids: readonly NodeId[];
}

/** @param selfOf the node of a configuration. */
export function createTranscript<Config, State, P extends Protocol>(
  machine: Machine<Config, State, P>,
  words: Words<P>,
  cast: Cast,
  selfOf: (config: Config) => NodeId,
): Transcript<Config, State, P> {
  const lines: Line[] = [];
  const add = (atMs: number, who: NodeId, cause: string, effects: readonly Effect<P>[]): void => {
    const done = effects.map((effect) => showEffect(effect, words, who, cast));
    const shown = mergeEqual(done.filter((each) => each !== ''));
    if (shown.length > 0) lines.push({ atMs, who, text: `${cause} → ${shown.join('; ')}` });
  };
  return {
    machine: {
      start: (config, facts, context) => {
        const step = machine.start(config, facts, context);
        add(context.now, selfOf(config), 'start', step.effects);
        return step;
      },
      step: (config, state, event, context) => {
        const step = machine.step(config, state, event, context);
        add(context.now, selfOf(config), showCause(event, words, cast), step.effects);
        return step;
      },
    },
    text: () => showLines(lines, cast),
  };
}

function showCause<P extends Protocol>(event: Event<P>, words: Words<P>, cast: Cast): string {
  switch (event.kind) {
    case 'input':
      return `input ${words.input(event.input)}`;
    case 'received':
      return (
        words.message(event.message) + (cast.ids.includes(event.from) ? '' : ` from ${event.from}`)
      );
    case 'timerFired':
      return 'timer';
    case 'computed':
      return 'job done';
  }
}

function showEffect<P extends Protocol>(
  effect: Effect<P>,
  words: Words<P>,
  self: NodeId,
  cast: Cast,
): string {
  const after = (verb: string, what: string): string => (what === '' ? '' : `${verb} ${what}`);
  switch (effect.kind) {
    case 'persist':
      return after('stores', words.fact(effect.fact));
    case 'send': {
      const to = effect.to.filter((each) => each !== self);
      if (to.length === 0) return '';
      return after(
        'sends',
        `${words.message(effect.message)} to ${showRecipients(to, self, cast)}`,
      );
    }
    case 'compute':
      return after('starts', words.job(effect.job));
    case 'blame':
      return `blames ${nameIn(cast, effect.fault.culprit)}: ${effect.fault.kind}`;
    case 'output':
      return after('outputs', words.output(effect.output));
    case 'setTimer':
    case 'clearTimer':
      return '';
  }
}

function nameIn({ word, ids }: Cast, id: NodeId): string {
  const at = ids.indexOf(id);
  return at < 0 ? id : `${word} ${at + 1}`;
}

function showRecipients(to: readonly NodeId[], self: NodeId, cast: Cast): string {
  const others = cast.ids.filter((id) => id !== self);
  const isAll = to.length === others.length && others.every((id) => to.includes(id));
  if (!isAll) return showNames(to.map((id) => nameIn(cast, id)));
  return cast.ids.includes(self) ? 'all others' : `all ${cast.word}s`;
}

function mergeEqual(texts: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].map(([text, count]) => (count === 1 ? text : `${text} (${count} times)`));
}

/** `elder 1, elder 2, elder 4` as `elder 1–2, 4`. */
function showNames(names: readonly string[]): string {
  const byWord = new Map<string, number[]>();
  for (const name of names) {
    const [, word = name, number] = /^(.*?)(?: (\d+))?$/.exec(name) ?? [];
    const numbers = byWord.get(word) ?? [];
    byWord.set(word, number === undefined ? numbers : [...numbers, Number(number)]);
  }
  return [...byWord]
    .map(([word, numbers]) => (numbers.length === 0 ? word : `${word} ${showNumbers(numbers)}`))
    .join(', ');
}

function showNumbers(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const next of [...numbers].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && next === last[1] + 1) last[1] = next;
    else runs.push([next, next]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}

function showLines(lines: readonly Line[], cast: Cast): string {
  const groups = new Map<string, { readonly line: Line; readonly who: string[] }>();
  for (const line of lines) {
    const key = `${line.atMs} ${line.text}`;
    const group = groups.get(key) ?? { line, who: [] };
    group.who.push(nameIn(cast, line.who));
    groups.set(key, group);
  }
  return [...groups.values()]
    .map(
      ({ line: { atMs, text }, who }) => `${`${atMs}`.padStart(6)} ms  ${showWho(who)}: ${text}\n`,
    )
    .join('');
}

/** A node that did the same several times in one millisecond is named with the number. */
function showWho(who: readonly string[]): string {
  const byCount = new Map<number, string[]>();
  for (const name of new Set(who)) {
    const count = who.filter((each) => each === name).length;
    byCount.set(count, [...(byCount.get(count) ?? []), name]);
  }
  return [...byCount]
    .map(([count, names]) => showNames(names) + (count === 1 ? '' : ` (${count} times)`))
    .join(', ');
}
