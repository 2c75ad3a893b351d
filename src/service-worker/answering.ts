/**
 * Which elders answer this device, and whether a section can decide without the others (N29). Pure:
 * calls are counted, no clock is read, and what others say about an elder is not asked for.
 */
import { showPrefix, type Prefix } from '#address/prefix.ts';
import type { StallView } from '#bridge/worker.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';

type Heard =
  | { readonly kind: 'answers' }
  /**
   * Its last call came to nothing. That may be this device's own doing, until it has failed again
   * after somebody else answered: only then it is `sure`.
   */
  | { readonly kind: 'silent'; readonly since: number; readonly sure: boolean };

export interface Answering {
  /** Calls so far: what stands for time here. */
  readonly calls: number;
  /** The number of the newest call that anybody answered. */
  readonly answered: number;
  /** By name; who was never asked is not here, and counts for neither side. */
  readonly peers: ReadonlyMap<string, Heard>;
}

export const nobodyAsked: Answering = { calls: 0, answered: 0, peers: new Map() };

/** How a call ended; a refusal is an answer, bytes that are no answer are none. */
export function noteCall(before: Answering, peer: string, answers: boolean): Answering {
  const calls = before.calls + 1;
  const peers = new Map(before.peers);
  if (answers) return { calls, answered: calls, peers: peers.set(peer, { kind: 'answers' }) };
  const held = before.peers.get(peer);
  const since = held?.kind === 'silent' ? held.since : calls;
  const sure = (held?.kind === 'silent' && held.sure) || before.answered > since;
  return { ...before, calls, peers: peers.set(peer, { kind: 'silent', since, sure }) };
}

/** Forgets whoever is not named: elders of ended epochs say nothing about the section of today. */
export function keepOnly(before: Answering, names: ReadonlySet<string>): Answering {
  return { ...before, peers: new Map([...before.peers].filter(([name]) => names.has(name))) };
}

/** Was its last call answered? Undefined while it was never asked. */
export const answersNow = ({ peers }: Answering, peer: string): boolean | undefined => {
  const heard = peers.get(peer);
  return heard && heard.kind === 'answers';
};

/**
 * Why this section cannot decide, or null while it may. Where nobody at all answers, the fault is
 * rather with this device's connection, and nothing is said about the section.
 */
export function stallOf(
  { peers }: Answering,
  prefix: Prefix,
  elders: readonly string[],
): StallView | null {
  const heard = elders.map((name) => peers.get(name));
  const silent = heard.filter((each) => each?.kind === 'silent' && each.sure).length;
  const mayAnswer = elders.length - silent;
  const reachesAnybody = [...peers.values()].some(({ kind }) => kind === 'answers');
  if (mayAnswer >= SHARES_REQUIRED || !reachesAnybody) return null;
  const answering = heard.filter((each) => each?.kind === 'answers').length;
  return {
    answering,
    sentence: stallSentence(showPrefix(prefix), answering, mayAnswer, elders.length),
  };
}

/** The one sentence that pages, payments and uploads say. */
function stallSentence(
  prefix: string,
  answering: number,
  mayAnswer: number,
  elders: number,
): string {
  const section = prefix === '()' ? 'The section' : `Section ${prefix}`;
  const count = answering === mayAnswer ? `${answering}` : `at most ${mayAnswer}`;
  const verb = answering === 1 && mayAnswer === 1 ? 'answers' : 'answer';
  const said =
    mayAnswer === 0
      ? `none of its ${elders} elders answers this device`
      : `${count} of its ${elders} elders ${verb} this device`;
  const waiting =
    mayAnswer === 0
      ? 'Payments and files wait; nothing is lost.'
      : 'Payments wait and nothing is lost; files can still be read.';
  return `${section} cannot decide at the moment: ${said}, and ${SHARES_REQUIRED} are needed. ${waiting} It goes on by itself as soon as ${SHARES_REQUIRED} answer again.`;
}
