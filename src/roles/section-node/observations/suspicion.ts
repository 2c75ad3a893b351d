/** Local suspicion of members from ping rounds and reported faults (N40). It only decides endorsements. */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  observe,
  nextSuspect,
  suspicionOf,
  defaultFaultDetection,
  type FaultDetectionConfig,
  type Issue,
} from '#protocol/fault-detection/index.ts';
import type { DemoteAct, LeaveAct } from '#protocol/membership/index.ts';
import { elderIds, elderIndex, memberIds } from '../recipients.ts';
import type { SectionNodeConfig, SectionNodeState } from '../state.ts';

/**
 * N40: silence counts only in rounds that most others answered, so this elder's own bad link accuses no
 * member. At most one member is accused at a time: the clearest outlier (N29).
 */
export function evaluateRound(
  config: SectionNodeConfig,
  state: SectionNodeState,
): SectionNodeState {
  const { own } = state;
  if (own === null || elderIndex(own.state.authority, config.self) === 0) return state;
  const detection = detectionConfig(config);
  const seen = observe(detection, state.faults, {
    kind: 'roundEnded',
    asked: pingTargets(config, state),
    answered: [...state.respondedPeers],
  });
  // Earlier suspects stay, but a round with a bad link adds none.
  if (!seen.lastRoundCounts) return { ...state, faults: seen };
  const [faults, suspicion] = nextSuspect(detection, seen);
  const named = suspicion === null ? undefined : fromHex(suspicion.id);
  const names = named?.ok === true ? [toXorName(named.value)] : [];
  const isGone = suspicion?.reachedSilenceLimit === true;
  const { observations } = state;
  return {
    ...state,
    faults,
    observations: {
      ...observations,
      gone: isGone ? names : [],
      faulty: isGone ? [] : names,
    },
  };
}

/** Records a fault that the shell observed; it counts in addition to silence. */
export function recordMemberIssue(
  config: SectionNodeConfig,
  state: SectionNodeState,
  name: Uint8Array,
  issue: Exclude<Issue, 'silence'>,
): SectionNodeState {
  const seen = { kind: 'seen', id: nameToId(name), issue } as const;
  return { ...state, faults: observe(detectionConfig(config), state.faults, seen) };
}

/** Updates fault detection with the members and elders of an adopted state. */
export function recordMembers(
  config: SectionNodeConfig,
  state: SectionNodeState,
): SectionNodeState {
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
 * Would this elder endorse another elder's accusation (N7)? It supports removal only of a member it finds
 * gone, and demotion only of one it finds faulty but responsive, so an accuser cannot exaggerate what
 * the others observed.
 */
export function supportsAccusation(
  config: SectionNodeConfig,
  state: SectionNodeState,
  body: LeaveAct | DemoteAct,
): boolean {
  const suspicion = suspicionOf(detectionConfig(config), state.faults, nameToId(body.name));
  return suspicion !== undefined && suspicion.reachedSilenceLimit === (body.kind === 'leave');
}

const detectionConfig = ({ self, graceRounds }: SectionNodeConfig): FaultDetectionConfig => ({
  ...defaultFaultDetection,
  self,
  silenceLimitRounds: graceRounds,
  graceRounds: Math.min(defaultFaultDetection.graceRounds, graceRounds - 1),
  // An idle section may decide nothing for days, so grace is counted in answered rounds only.
  graceGenerations: 0,
  restartRounds: Math.min(defaultFaultDetection.restartRounds, graceRounds - 1),
  roundsBetweenProposals: Math.ceil(graceRounds / 2),
});

/** An elder pings all members, an adult its elders. */
export function pingTargets(
  config: SectionNodeConfig,
  { own }: SectionNodeState,
): readonly NodeId[] {
  if (own === null) return [];
  const { authority } = own.state;
  const isElder = elderIndex(authority, config.self) > 0;
  const all = isElder ? memberIds(authority) : elderIds(authority);
  return all.filter((id) => id !== config.self);
}
