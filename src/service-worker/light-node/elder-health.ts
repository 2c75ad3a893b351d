/**
 * Which elders answer this device, and whether a section can decide without the others (N29). Pure: it
 * counts calls, reads no clock, and ignores other nodes' reports about an elder.
 */
import { showPrefix, type Prefix } from '#address/prefix.ts';
import type { StallView } from '#bridge/worker-messages.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';

type PeerHealth =
  | { readonly kind: 'responsive' }
  /**
   * Its last call failed, perhaps because of this device. It `isConfirmed` once it has failed again after
   * another elder answered.
   */
  | { readonly kind: 'unresponsive'; readonly since: number; readonly isConfirmed: boolean };

export interface ElderHealth {
  /** Calls so far, used as the clock. */
  readonly calls: number;
  /** The number of the newest answered call. */
  readonly lastAnsweredCall: number;
  /** By name; elders that were never asked are absent and count for neither side. */
  readonly peers: ReadonlyMap<string, PeerHealth>;
}

export const emptyHealth: ElderHealth = { calls: 0, lastAnsweredCall: 0, peers: new Map() };

/** Records the result of a call; a refusal counts as an answer, malformed bytes do not. */
export function recordCall(before: ElderHealth, peer: string, responded: boolean): ElderHealth {
  const calls = before.calls + 1;
  const peers = new Map(before.peers);
  if (responded)
    return { calls, lastAnsweredCall: calls, peers: peers.set(peer, { kind: 'responsive' }) };
  const previous = before.peers.get(peer);
  const since = previous?.kind === 'unresponsive' ? previous.since : calls;
  const isConfirmed =
    (previous?.kind === 'unresponsive' && previous.isConfirmed) || before.lastAnsweredCall > since;
  return { ...before, calls, peers: peers.set(peer, { kind: 'unresponsive', since, isConfirmed }) };
}

/** Drops all other peers: elders of ended epochs are no evidence about the current section. */
export function retainPeers(before: ElderHealth, names: ReadonlySet<string>): ElderHealth {
  return { ...before, peers: new Map([...before.peers].filter(([name]) => names.has(name))) };
}

/** Was its last call answered? Undefined if it was never asked. */
export const isResponsive = ({ peers }: ElderHealth, peer: string): boolean | undefined => {
  const health = peers.get(peer);
  return health && health.kind === 'responsive';
};

/**
 * Why this section cannot decide, or null while it may. If no elder answers at all, this device's
 * connection is the likelier cause, so the result is null.
 */
export function stallStatus(
  { peers }: ElderHealth,
  prefix: Prefix,
  elders: readonly string[],
): StallView | null {
  const health = elders.map((name) => peers.get(name));
  const unresponsive = health.filter(
    (each) => each?.kind === 'unresponsive' && each.isConfirmed,
  ).length;
  const mayAnswer = elders.length - unresponsive;
  const reachesAnyPeer = [...peers.values()].some(({ kind }) => kind === 'responsive');
  if (mayAnswer >= SHARES_REQUIRED || !reachesAnyPeer) return null;
  const answering = health.filter((each) => each?.kind === 'responsive').length;
  return {
    answering,
    sentence: stallSentence(showPrefix(prefix), answering, mayAnswer, elders.length),
  };
}

/** The sentence that pages, payments and uploads show. */
function stallSentence(
  prefix: string,
  answering: number,
  mayAnswer: number,
  elders: number,
): string {
  const section = prefix === '()' ? 'The section' : `Section ${prefix}`;
  const count = answering === mayAnswer ? `${answering}` : `at most ${mayAnswer}`;
  const verb = answering === 1 && mayAnswer === 1 ? 'answers' : 'answer';
  const reason =
    mayAnswer === 0
      ? `none of its ${elders} elders answers this device`
      : `${count} of its ${elders} elders ${verb} this device`;
  const waiting =
    mayAnswer === 0
      ? 'Payments and files wait; nothing is lost.'
      : 'Payments wait and nothing is lost; files can still be read.';
  return `${section} cannot decide at the moment: ${reason}, and ${SHARES_REQUIRED} are needed. ${waiting} Safe continues as soon as ${SHARES_REQUIRED} answer again.`;
}
