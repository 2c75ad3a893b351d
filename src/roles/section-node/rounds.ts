/**
 * The round: an elder asks all members, an adult its elders, whether they are there. The messages carry
 * what each knows, so a round is also how whoever was away catches up; and who sends nothing at all
 * while most others do is, in time, voted out (N40).
 */
import type { NodeId } from '#core/machine.ts';
import { askIn, askTicket } from './arrival.ts';
import { flow, inOrder, type Flow } from './flow.ts';
import { wish } from './offering.ts';
import { broadcast, elderIds, memberIds } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';
import { judgeRound, peersOf } from './suspicion.ts';

/** The timer starts a round and decides nothing: what counts is who answered and who did not. */
export function beginRound(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const judged = judgeRound(config, state);
  const next: SectionNodeState = {
    ...judged,
    round: judged.round + 1,
    answered: new Set(),
    told: new Map(),
  };
  const again = { kind: 'setTimer', timer: 'round', afterMs: config.roundMs } as const;
  const ping = { kind: 'ping', round: next.round } as const;
  const asked = flow(next, ...broadcast(next, peersOf(config, next), ping), again);
  return inOrder(
    asked.state,
    () => asked,
    (now) => askIn(config, now),
    askTicket,
    (now) => wish(config, now, 'again'),
  );
}

/**
 * Whatever a peer signed and sent is an answer, also a late one: whoever is slow is there. Its silence
 * counts, not its delay.
 */
export const heardFrom = (state: SectionNodeState, from: NodeId): SectionNodeState =>
  state.answered.has(from) || !isPeer(state, from)
    ? state
    : { ...state, answered: new Set(state.answered).add(from) };

/** An elder that is a member no more is not asked, but it may still hold votes. */
export const isPeer = ({ own }: SectionNodeState, id: NodeId): boolean =>
  own !== null &&
  (memberIds(own.state.authority).includes(id) || elderIds(own.state.authority).includes(id));
