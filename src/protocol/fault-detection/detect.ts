/** Pure scoring: events in, at most one member to speak against out (N7, N40). */
import { assertNever } from '#core/assert.ts';
import type { NodeId } from '#core/machine.ts';
import {
  isDamningAlone,
  issues,
  type Block,
  type Evidence,
  type FaultDetectionConfig,
  type FaultDetectionEvent,
  type FaultDetectionState,
  type Issue,
  type Peer,
  type PeerKind,
  type Suspicion,
} from './state.ts';

export const startFaultDetection = (): FaultDetectionState => ({
  peers: new Map(),
  round: 0,
  roundsSinceProposal: 0,
  lastRoundCounts: false,
  lastProposed: null,
});

/** What one peer may add to one category between two rounds: no flood makes it worse. */
export const maxIssuesPerRound = 3;
/** The window is forgotten in twelve parts. */
const blocksPerWindow = 12;

export function observe(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  event: FaultDetectionEvent,
): FaultDetectionState {
  switch (event.kind) {
    case 'adopted':
      return adopt(config, state, event.members);
    case 'roundEnded':
      return endRound(config, state, event.asked, event.answered);
    case 'seen':
      return see(config, state, event.id, event.issue);
    default:
      return assertNever(event);
  }
}

function adopt(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  members: readonly { readonly id: NodeId; readonly kind: PeerKind }[],
): FaultDetectionState {
  const peers = new Map<NodeId, Peer>();
  for (const { id, kind } of members) {
    if (id === config.self) continue;
    const known = state.peers.get(id);
    // F6: a new elder is judged by what it does as an elder.
    peers.set(
      id,
      known === undefined || known.kind !== kind
        ? { ...stranger(kind), generations: known?.generations ?? 0 }
        : { ...known, generations: known.generations + 1 },
    );
  }
  return { ...state, peers };
}

const stranger = (kind: PeerKind): Peer => ({
  kind,
  generations: 0,
  rounds: 0,
  silentRounds: 0,
  returns: 0,
  blocks: [],
});

function endRound(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  asked: readonly NodeId[],
  answered: readonly NodeId[],
): FaultDetectionState {
  const round = state.round + 1;
  const heard = new Set(answered);
  const others = asked.filter((id) => state.peers.has(id));
  const countOfHeard = others.filter((id) => heard.has(id)).length;
  // F4: without an answer from most of them the fault may be ours: nothing counts.
  const counts = others.length >= config.samplesRequired && 2 * countOfHeard >= others.length;
  const peers = new Map(state.peers);
  for (const id of others) {
    const peer = peers.get(id);
    if (peer === undefined) continue;
    if (heard.has(id)) {
      peers.set(id, heardAgain(config, withoutOld(config, peer, round)));
    } else if (counts) {
      const silent = add(config, withoutOld(config, peer, round), round, 'silence', 1);
      peers.set(id, {
        ...silent,
        rounds: peer.rounds + 1,
        silentRounds: peer.silentRounds + 1,
      });
    }
  }
  const roundsSinceProposal = state.roundsSinceProposal + (counts ? 1 : 0);
  return { ...state, peers, round, roundsSinceProposal, lastRoundCounts: counts };
}

/** F5: who comes back from a silence has restarted and catches up: it is left alone again. */
function heardAgain(config: FaultDetectionConfig, peer: Peer): Peer {
  const cameBack = peer.silentRounds >= config.restartRounds;
  const returns = peer.blocks.length === 0 ? 0 : peer.returns + (cameBack ? 1 : 0);
  const rounds = cameBack && returns <= config.restartsAllowed ? 0 : peer.rounds + 1;
  return { ...peer, rounds, returns, silentRounds: 0 };
}

function see(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  id: NodeId,
  issue: Issue,
): FaultDetectionState {
  const peer = state.peers.get(id);
  if (peer === undefined) return state;
  // F2: a missed vote of one that is down says the same as its silence, not something new.
  const isDown = peer.silentRounds > 1 && peer.returns < config.restartsAllowed;
  if (isDown && issue !== 'data' && !isDamningAlone(issue)) return state;
  const next = add(config, peer, state.round, issue, 1);
  return { ...state, peers: new Map(state.peers).set(id, next) };
}

const none: Readonly<Record<Issue, number>> = {
  silence: 0,
  knowledge: 0,
  data: 0,
  falsehood: 0,
  dkg: 0,
  vote: 0,
};

const blockRounds = (config: FaultDetectionConfig): number =>
  Math.max(1, Math.floor(config.windowRounds / blocksPerWindow));

function add(
  config: FaultDetectionConfig,
  peer: Peer,
  round: number,
  issue: Issue,
  count: number,
): Peer {
  const from = round - (round % blockRounds(config));
  const [newest, ...older] = peer.blocks;
  const block: Block = newest?.from === from ? newest : { from, counts: none };
  const rest = newest?.from === from ? older : peer.blocks;
  const most = maxIssuesPerRound * blockRounds(config);
  const counts = { ...block.counts, [issue]: Math.min(most, block.counts[issue] + count) };
  return { ...peer, blocks: [{ from, counts }, ...rest] };
}

function withoutOld(config: FaultDetectionConfig, peer: Peer, round: number): Peer {
  const oldest = peer.blocks.at(-1);
  if (oldest === undefined || oldest.from + config.windowRounds > round) return peer;
  return { ...peer, blocks: peer.blocks.filter(({ from }) => from + config.windowRounds > round) };
}

const countOf = (peer: Peer, issue: Issue): number =>
  peer.blocks.reduce((sum, { counts }) => sum + counts[issue], 0);

/** Everybody who is out of line, worst first; for the page and the log. */
export function suspicionsOf(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
): readonly Suspicion[] {
  return (['elder', 'adult'] as const)
    .flatMap((kind) => suspicionsAmong(config, state, kind))
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
}

function suspicionsAmong(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  kind: PeerKind,
): readonly Suspicion[] {
  const peers = [...state.peers].filter(([, peer]) => peer.kind === kind);
  // F3: of two nodes neither is the odd one.
  if (peers.length < config.samplesRequired) return [];
  const lines = issues.map((issue) =>
    lineFor(
      config,
      issue,
      peers.map(([, peer]) => countOf(peer, issue)),
    ),
  );
  return peers.flatMap(([id, peer]): readonly Suspicion[] => {
    if (isInGrace(config, peer)) return [];
    const evidence = lines.flatMap(({ issue, median, allowed }): readonly Evidence[] => {
      const count = countOf(peer, issue);
      return count > allowed ? [{ issue, count, median, allowed }] : [];
    });
    const hardSilence = peer.silentRounds >= config.hardSilenceRounds;
    const suffices =
      evidence.length >= config.categoriesRequired ||
      evidence.some(({ issue }) => isDamningAlone(issue));
    if (!hardSilence && !suffices) return [];
    const excess = evidence.reduce(
      (sum, { count, median, allowed }) => sum + (count - median) / (allowed - median),
      0,
    );
    const score = excess + (hardSilence ? peer.silentRounds / config.hardSilenceRounds : 0);
    return [{ id, kind, score, hardSilence, evidence }];
  });
}

/** F1: median and median deviation; neither is moved by what a few do. */
function lineFor(
  config: FaultDetectionConfig,
  issue: Issue,
  counts: readonly number[],
): { readonly issue: Issue; readonly median: number; readonly allowed: number } {
  const median = medianOf(counts);
  // 1.4826 makes the median deviation comparable to a standard deviation.
  const deviation = 1.4826 * medianOf(counts.map((count) => Math.abs(count - median)));
  const spread = Math.max(config.excessRequired[issue], config.deviationsAllowed * deviation);
  return { issue, median, allowed: median + spread };
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

const isInGrace = (config: FaultDetectionConfig, peer: Peer): boolean =>
  peer.rounds < config.graceRounds || peer.generations < config.graceGenerations;

/**
 * F7: the one member to speak against now, if any: the worst, and not before the section had time
 * to answer the last word. The same one may be named again as long as it stands out.
 */
export function proposeFault(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
): readonly [FaultDetectionState, Suspicion | null] {
  const suspicions = suspicionsOf(config, state);
  const { lastProposed, roundsSinceProposal } = state;
  const pending = suspicions.find(({ id }) => id === lastProposed);
  // As long as the last one is here and stands out, it stays the one: two are never named at once.
  const chosen = pending ?? suspicions[0];
  if (chosen === undefined) return [state, null];
  const isEarly = lastProposed !== null && roundsSinceProposal < config.roundsBetweenProposals;
  if (chosen.id !== lastProposed && isEarly) return [state, null];
  if (chosen.id === lastProposed) return [state, chosen];
  return [{ ...state, lastProposed: chosen.id, roundsSinceProposal: 0 }, chosen];
}

/** F8: what this elder itself holds against a member, if it stands out at all: its own view only. */
export const suspicionOf = (
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  id: NodeId,
): Suspicion | undefined => suspicionsOf(config, state).find((suspicion) => suspicion.id === id);
