/**
 * The round: an elder asks all members, an adult its elders, whether they are there. The words carry
 * what each knows, so a round is also how whoever was away catches up; and who stays silent while
 * most others answer is, in time, voted out (N40).
 */
import { toXorName } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { askIn, askTicket } from './arrival.ts';
import { flow, inOrder, type Flow } from './flow.ts';
import { wish } from './offering.ts';
import { broadcast, elderIds, elderIndex, memberIds } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';

/** The timer starts a round and decides nothing: what counts is who answered and who did not. */
export function beginRound(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const judged = judgeRound(config, state);
  const next: SectionNodeState = {
    ...judged,
    round: judged.round + 1,
    answered: new Set(),
    told: new Set(),
  };
  const again = { kind: 'setTimer', timer: 'round', afterMs: config.roundMs } as const;
  const ping = { kind: 'ping', round: next.round } as const;
  const asked = flow(next, ...broadcast(next, peersOf(config, next), ping), again);
  return inOrder(
    asked.state,
    () => asked,
    (now) => askIn(config, now),
    askTicket,
    (now) => wish(config, now),
  );
}

export const answered = (state: SectionNodeState, from: NodeId, round: number): Flow =>
  flow(round === state.round ? { ...state, answered: new Set(state.answered).add(from) } : state);

/**
 * Silence counts only in rounds that most others answered: one's own bad link accuses nobody. One
 * member at a time is held to be gone, the one that was silent longest (N29).
 */
function judgeRound(config: SectionNodeConfig, state: SectionNodeState): SectionNodeState {
  const { own } = state;
  if (own === null || elderIndex(own.state.authority, config.self) === 0) return state;
  const peers = peersOf(config, state);
  if (2 * state.answered.size < peers.length || peers.length === 0) return state;
  const silent = new Map<NodeId, number>();
  for (const id of peers) {
    if (!state.answered.has(id)) silent.set(id, (state.silent.get(id) ?? 0) + 1);
  }
  const worst = [...silent]
    .filter(([, rounds]) => rounds >= config.graceRounds)
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, 2);
  const gone = worst.flatMap(([id]) => {
    const name = fromHex(id);
    return name.ok ? [toXorName(name.value)] : [];
  });
  return { ...state, silent, opinions: { ...state.opinions, gone } };
}

function peersOf(config: SectionNodeConfig, { own }: SectionNodeState): readonly NodeId[] {
  if (own === null) return [];
  const { authority } = own.state;
  const isElder = elderIndex(authority, config.self) > 0;
  const all = isElder ? memberIds(authority) : elderIds(authority);
  return all.filter((id) => id !== config.self);
}

/** An elder that is a member no more is not asked, but it may still hold votes. */
export const isPeer = ({ own }: SectionNodeState, id: NodeId): boolean =>
  own !== null &&
  (memberIds(own.state.authority).includes(id) || elderIds(own.state.authority).includes(id));
