/**
 * The round: an elder asks all members, an adult its elders, whether they are there. The words carry
 * what each knows, so a round is also how whoever was away catches up; and who stays silent while
 * most others answer is, in time, voted out (N40).
 */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  observe,
  proposeFault,
  stillStandsOut,
  usualFaultDetection,
  type FaultDetectionConfig,
} from '#protocol/fault-detection/index.ts';
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
 * N40: silence counts only in rounds that most others answered, so one's own bad link accuses
 * nobody. One member at a time is spoken against: the one that stands out most (N29).
 */
function judgeRound(config: SectionNodeConfig, state: SectionNodeState): SectionNodeState {
  const { own } = state;
  if (own === null || elderIndex(own.state.authority, config.self) === 0) return state;
  const detection = detectionConfig(config);
  const seen = observe(detection, state.faults, {
    kind: 'roundEnded',
    asked: peersOf(config, state),
    answered: [...state.answered],
  });
  const [faults, suspicion] = proposeFault(detection, seen);
  const named = suspicion === null ? undefined : fromHex(suspicion.id);
  const names = named?.ok === true ? [toXorName(named.value)] : [];
  const isGone = suspicion?.hardSilence === true;
  const { opinions } = state;
  return {
    ...state,
    faults,
    opinions: {
      ...opinions,
      gone: isGone ? names : [],
      faulty: isGone || names.length === 0 ? opinions.faulty : names,
    },
  };
}

/** A generation was adopted: who belongs now, and as what. */
export function noteMembers(config: SectionNodeConfig, state: SectionNodeState): SectionNodeState {
  const { own } = state;
  if (own === null) return state;
  const { authority } = own.state;
  const members = memberIds(authority).map(
    (id) => ({ id, kind: elderIndex(authority, id) > 0 ? 'elder' : 'adult' }) as const,
  );
  const faults = observe(detectionConfig(config), state.faults, { kind: 'adopted', members });
  return { ...state, faults };
}

/** Would this elder speak against a member that another one named (N7)? */
export const standsOut = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  name: Uint8Array,
): boolean => stillStandsOut(detectionConfig(config), state.faults, nameToId(name));

const detectionConfig = ({ self, graceRounds }: SectionNodeConfig): FaultDetectionConfig => ({
  ...usualFaultDetection,
  self,
  hardSilenceRounds: graceRounds,
  graceRounds: Math.min(usualFaultDetection.graceRounds, graceRounds - 1),
  // A quiet section decides nothing for days: only answered rounds count as grace here.
  graceGenerations: 0,
  restartRounds: Math.min(usualFaultDetection.restartRounds, graceRounds - 1),
  roundsBetweenProposals: Math.ceil(graceRounds / 2),
});

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
