/** What this elder thinks of the members it asks every round (N40): an opinion, never a decision. */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  observe,
  proposeFault,
  suspicionOf,
  usualFaultDetection,
  type FaultDetectionConfig,
  type Issue,
} from '#protocol/fault-detection/index.ts';
import type { Demote, Leave } from '#protocol/membership/index.ts';
import { elderIds, elderIndex, memberIds } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';

/**
 * N40: silence counts only in rounds that most others answered, so one's own bad link accuses
 * nobody. One member at a time is spoken against: the one that stands out most (N29).
 */
export function judgeRound(config: SectionNodeConfig, state: SectionNodeState): SectionNodeState {
  const { own } = state;
  if (own === null || elderIndex(own.state.authority, config.self) === 0) return state;
  const detection = detectionConfig(config);
  const seen = observe(detection, state.faults, {
    kind: 'roundEnded',
    asked: peersOf(config, state),
    answered: [...state.answered],
  });
  // What stood out before may still do so, but a round in which the link was bad names nobody new.
  if (!seen.lastRoundCounts) return { ...state, faults: seen };
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
      faulty: isGone ? [] : names,
    },
  };
}

/** What the shell saw a member do; it counts beside its silence and is named by no other way. */
export function noteIssue(
  config: SectionNodeConfig,
  state: SectionNodeState,
  name: Uint8Array,
  issue: Exclude<Issue, 'silence'>,
): SectionNodeState {
  const seen = { kind: 'seen', id: nameToId(name), issue } as const;
  return { ...state, faults: observe(detectionConfig(config), state.faults, seen) };
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

/**
 * Would this elder endorse what another one wants done about a member (N7)? Removal is for whoever is
 * gone and nothing else is; for whoever is there and works badly it is demotion. So no elder makes of
 * the others' view more than they saw.
 */
export function agreesAbout(
  config: SectionNodeConfig,
  state: SectionNodeState,
  body: Leave | Demote,
): boolean {
  const suspicion = suspicionOf(detectionConfig(config), state.faults, nameToId(body.name));
  return suspicion !== undefined && suspicion.hardSilence === (body.kind === 'leave');
}

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

/** Whom this node asks: an elder everybody, an adult its elders. */
export function peersOf(config: SectionNodeConfig, { own }: SectionNodeState): readonly NodeId[] {
  if (own === null) return [];
  const { authority } = own.state;
  const isElder = elderIndex(authority, config.self) > 0;
  const all = isElder ? memberIds(authority) : elderIds(authority);
  return all.filter((id) => id !== config.self);
}
