/** Pure scoring: takes events, names at most one suspect (N7, N40). */
import { assertNever } from '#core/assert.ts';
import type { NodeId } from '#core/machine.ts';
import {
  isSufficientAlone,
  issues,
  type RoundBucket,
  type Evidence,
  type FaultDetectionConfig,
  type FaultDetectionEvent,
  type FaultDetectionState,
  type Issue,
  type PeerHistory,
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

/** FAULT-F9: the most one peer adds to one category between two rounds, so a flood has no extra weight. */
export const maxIssuesPerRound = 3;
/** The window expires in twelve parts. */
const bucketsPerWindow = 12;

export function observe(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  event: FaultDetectionEvent,
): FaultDetectionState {
  switch (event.kind) {
    case 'adopted':
      return adoptMembers(config, state, event.members);
    case 'roundEnded':
      return endRound(config, state, event.asked, event.answered);
    case 'seen':
      return recordIssue(config, state, event.id, event.issue);
    default:
      return assertNever(event);
  }
}

function adoptMembers(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  members: readonly { readonly id: NodeId; readonly kind: PeerKind }[],
): FaultDetectionState {
  const peers = new Map<NodeId, PeerHistory>();
  for (const { id, kind } of members) {
    if (id === config.self) continue;
    const known = state.peers.get(id);
    // FAULT-F6: a new elder is judged only by what it does as an elder.
    peers.set(
      id,
      known === undefined || known.kind !== kind
        ? { ...newPeer(kind), generations: known?.generations ?? 0 }
        : { ...known, generations: known.generations + 1 },
    );
  }
  return { ...state, peers };
}

const newPeer = (kind: PeerKind): PeerHistory => ({
  kind,
  generations: 0,
  rounds: 0,
  unresponsiveRounds: 0,
  restarts: 0,
  buckets: [],
});

function endRound(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  asked: readonly NodeId[],
  answered: readonly NodeId[],
): FaultDetectionState {
  const round = state.round + 1;
  const answeredIds = new Set(answered);
  const others = asked.filter((id) => state.peers.has(id));
  const answeredCount = others.filter((id) => answeredIds.has(id)).length;
  // FAULT-F4: if most did not answer, our own link may be at fault: the round does not count.
  const counts = others.length >= config.samplesRequired && 2 * answeredCount >= others.length;
  const peers = new Map(state.peers);
  for (const id of others) {
    const peer = peers.get(id);
    if (peer === undefined) continue;
    if (answeredIds.has(id)) {
      peers.set(id, recordAnswer(config, dropExpiredBuckets(config, peer, round)));
    } else if (counts) {
      const unresponsive = addIssues(
        config,
        dropExpiredBuckets(config, peer, round),
        round,
        'silence',
        1,
      );
      peers.set(id, {
        ...unresponsive,
        rounds: peer.rounds + 1,
        unresponsiveRounds: peer.unresponsiveRounds + 1,
      });
    }
  }
  const roundsSinceProposal = state.roundsSinceProposal + (counts ? 1 : 0);
  return { ...state, peers, round, roundsSinceProposal, lastRoundCounts: counts };
}

/** FAULT-F5: a peer that answers again after an outage has restarted and gets a new grace period. */
function recordAnswer(config: FaultDetectionConfig, peer: PeerHistory): PeerHistory {
  const cameBack = peer.unresponsiveRounds >= config.restartRounds;
  const restarts = peer.buckets.length === 0 ? 0 : peer.restarts + (cameBack ? 1 : 0);
  const rounds = cameBack && restarts <= config.restartsAllowed ? 0 : peer.rounds + 1;
  return { ...peer, rounds, restarts, unresponsiveRounds: 0 };
}

function recordIssue(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  id: NodeId,
  issue: Issue,
): FaultDetectionState {
  const peer = state.peers.get(id);
  if (peer === undefined) return state;
  // FAULT-F2: while a peer is down, a missed vote is not independent of its silence.
  const isDown = peer.unresponsiveRounds > 1 && peer.restarts < config.restartsAllowed;
  if (isDown && issue !== 'missingCopy' && !isSufficientAlone(issue)) return state;
  const next = addIssues(config, peer, state.round, issue, 1);
  return { ...state, peers: new Map(state.peers).set(id, next) };
}

const zeroCounts: Readonly<Record<Issue, number>> = {
  silence: 0,
  staleState: 0,
  missingCopy: 0,
  provable: 0,
  dkg: 0,
  missedVote: 0,
};

const bucketRounds = (config: FaultDetectionConfig): number =>
  Math.max(1, Math.floor(config.windowRounds / bucketsPerWindow));

function addIssues(
  config: FaultDetectionConfig,
  peer: PeerHistory,
  round: number,
  issue: Issue,
  count: number,
): PeerHistory {
  const from = round - (round % bucketRounds(config));
  const [newest, ...older] = peer.buckets;
  const bucket: RoundBucket = newest?.from === from ? newest : { from, counts: zeroCounts };
  const rest = newest?.from === from ? older : peer.buckets;
  const maxCount = maxIssuesPerRound * bucketRounds(config);
  const counts = { ...bucket.counts, [issue]: Math.min(maxCount, bucket.counts[issue] + count) };
  return { ...peer, buckets: [{ from, counts }, ...rest] };
}

function dropExpiredBuckets(
  config: FaultDetectionConfig,
  peer: PeerHistory,
  round: number,
): PeerHistory {
  const oldest = peer.buckets.at(-1);
  if (oldest === undefined || oldest.from + config.windowRounds > round) return peer;
  return {
    ...peer,
    buckets: peer.buckets.filter(({ from }) => from + config.windowRounds > round),
  };
}

const countOf = (peer: PeerHistory, issue: Issue): number =>
  peer.buckets.reduce((sum, { counts }) => sum + counts[issue], 0);

/** All members out of line, worst first; for the page and the log. */
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
  // FAULT-F3: of two nodes, neither is an outlier.
  if (peers.length < config.samplesRequired) return [];
  const thresholds = issues.map((issue) =>
    thresholdFor(
      config,
      issue,
      peers.map(([, peer]) => countOf(peer, issue)),
    ),
  );
  return peers.flatMap(([id, peer]): readonly Suspicion[] => {
    if (isInGrace(config, peer)) return [];
    const evidence = thresholds.flatMap(({ issue, median, allowed }): readonly Evidence[] => {
      const count = countOf(peer, issue);
      return count > allowed ? [{ issue, count, median, allowed }] : [];
    });
    const reachedSilenceLimit = peer.unresponsiveRounds >= config.silenceLimitRounds;
    const suffices =
      evidence.length >= config.categoriesRequired ||
      evidence.some(({ issue }) => isSufficientAlone(issue));
    if (!reachedSilenceLimit && !suffices) return [];
    const excess = evidence.reduce(
      (sum, { count, median, allowed }) => sum + (count - median) / (allowed - median),
      0,
    );
    const score =
      excess + (reachedSilenceLimit ? peer.unresponsiveRounds / config.silenceLimitRounds : 0);
    return [{ id, kind, score, reachedSilenceLimit, evidence }];
  });
}

/** FAULT-F1: median and median deviation; a few outliers move neither. */
function thresholdFor(
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

const isInGrace = (config: FaultDetectionConfig, peer: PeerHistory): boolean =>
  peer.rounds < config.graceRounds || peer.generations < config.graceGenerations;

/**
 * FAULT-F7: the worst member to propose now, if any, and only after the section had time to act on the
 * previous proposal. The same member is proposed again while it stays out of line.
 */
export function nextSuspect(
  config: FaultDetectionConfig,
  state: FaultDetectionState,
): readonly [FaultDetectionState, Suspicion | null] {
  const suspicions = suspicionsOf(config, state);
  const { lastProposed, roundsSinceProposal } = state;
  const pending = suspicions.find(({ id }) => id === lastProposed);
  // While the last one proposed is a member and out of line, no other is proposed.
  const chosen = pending ?? suspicions[0];
  if (chosen === undefined) return [state, null];
  const isEarly = lastProposed !== null && roundsSinceProposal < config.roundsBetweenProposals;
  if (chosen.id !== lastProposed && isEarly) return [state, null];
  if (chosen.id === lastProposed) return [state, chosen];
  return [{ ...state, lastProposed: chosen.id, roundsSinceProposal: 0 }, chosen];
}

/** FAULT-F8: this elder's own evidence against a member, if it is out of line. */
export const suspicionOf = (
  config: FaultDetectionConfig,
  state: FaultDetectionState,
  id: NodeId,
): Suspicion | undefined => suspicionsOf(config, state).find((suspicion) => suspicion.id === id);
