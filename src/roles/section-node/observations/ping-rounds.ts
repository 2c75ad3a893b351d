/**
 * Ping rounds: an elder pings all members, an adult its elders. Envelopes carry the sender's key and
 * generation, so a node that was offline catches up this way. A member that sends nothing while most
 * others do is eventually voted out (N40).
 */
import type { NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import { sendJoinRequest } from '../joining/joining.ts';
import { requestRelocationCertificate } from '../joining/relocation.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { endorseOwnActs } from '../generation/proposing.ts';
import { broadcast, elderIds, memberIds } from '../recipients.ts';
import type { SectionNodeConfig, SectionNodeState } from '../state.ts';
import { evaluateRound, pingTargets } from './suspicion.ts';

/** Evaluates the last round and starts the next. The timer decides nothing; only answers count. */
export function startPingRound(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  const evaluated = evaluateRound(config, state);
  const next: SectionNodeState = {
    ...evaluated,
    pingRound: evaluated.pingRound + 1,
    respondedPeers: new Set(),
    sentUpdates: new Map(),
  };
  const again = {
    kind: 'setTimer',
    timer: { kind: 'pingRound' },
    afterMs: config.roundMs,
  } as const;
  const ping = { kind: 'ping', round: next.pingRound } as const;
  const pinged = nodeStep(next, ...broadcast(next, pingTargets(config, next), ping), again);
  return andThen(
    pinged,
    (now) => sendJoinRequest(config, now),
    requestRelocationCertificate,
    (now) => endorseOwnActs(config, now, 'again'),
  );
}

/**
 * Any signed message from a peer counts as its answer, however late: silence is counted, not delay.
 */
export const recordActivity = (state: SectionNodeState, from: NodeId): SectionNodeState =>
  state.respondedPeers.has(from) || !isPeer(state, from)
    ? state
    : { ...state, respondedPeers: new Set(state.respondedPeers).add(from) };

/** A former member may still be an elder of this key: it is not pinged, but its messages count. */
export const isPeer = ({ own }: SectionNodeState, id: NodeId): boolean =>
  own !== null &&
  (memberIds(own.state.authority).includes(id) || elderIds(own.state.authority).includes(id));
