/** The table of pending join requests, its bound, and the reasons to refuse one (N39, N40). */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { refusalReason, type JoinAct } from '#protocol/membership/index.ts';
import { rankJoiners } from '#protocol/node-age/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import type { JoinRefusal } from '../messages.ts';
import type { JoinRequest, SectionNodeState } from '../state.ts';

/** Pending join requests: twice the vacancies a section may have. */
export const maxJoinRequests = 128;

/** N40: an elder endorses only nodes that it reached itself, so it first asks the shell to probe. */
export function addJoinRequest(state: SectionNodeState, request: JoinRequest): NodeStep {
  const id = nameToId(request.name);
  const known = state.observations.joinRequests.get(id);
  if (known !== undefined && known.reachable !== false) return nodeStep(state);
  const withSpace = known === undefined ? makeRoom(state, request.name) : state;
  if (withSpace === undefined) return nodeStep(state);
  return nodeStep(withJoinRequest(withSpace, { ...request, reachable: null }), {
    kind: 'output',
    output: { kind: 'probe', name: request.name },
  });
}

/**
 * Names are free, so a full table must not exclude later requests: evicts an unreachable node first, then
 * the one ranked last by N39. The rank changes with every decision.
 */
function makeRoom(state: SectionNodeState, name: XorName): SectionNodeState | undefined {
  const { joinRequests } = state.observations;
  if (joinRequests.size < maxJoinRequests || state.own === null) return state;
  const waiting = [...joinRequests.values()];
  const unreachable = waiting.find(({ reachable }) => reachable === false)?.name;
  const { churnId } = state.own.state.ledger;
  const last =
    unreachable ?? rankJoiners([...waiting.map((each) => each.name), name], churnId).at(-1);
  if (last === undefined || equalBytes(last, name)) return undefined;
  const others = new Map(joinRequests);
  others.delete(nameToId(last));
  return { ...state, observations: { ...state.observations, joinRequests: others } };
}

export function withJoinRequest(state: SectionNodeState, request: JoinRequest): SectionNodeState {
  const joinRequests = new Map(state.observations.joinRequests).set(
    nameToId(request.name),
    request,
  );
  return { ...state, observations: { ...state.observations, joinRequests } };
}

/** Removes requests of nodes that are members now. */
export function pruneJoinRequests(state: SectionNodeState): SectionNodeState {
  const { own } = state;
  if (own === null || state.observations.joinRequests.size === 0) return state;
  const members = new Set(own.state.authority.members.map(({ name }) => nameToId(name)));
  const joinRequests = new Map(
    [...state.observations.joinRequests].filter(([id]) => !members.has(id)),
  );
  return { ...state, observations: { ...state.observations, joinRequests } };
}

/** Why the section would refuse this node now; undefined if it would admit it. */
export function joinRefusalFor(
  state: SectionNodeState,
  { name, sharingKey, certificate }: JoinRequest,
): JoinRefusal | undefined {
  const { own } = state;
  if (own === null) return 'wrongSection';
  const join: JoinAct = { kind: 'join', name, sharingKey, certificate };
  const verdict = refusalReason(own.state, join);
  if (verdict.ok || verdict.error.kind !== 'refused') return undefined;
  switch (verdict.error.rule) {
    case 'N39':
      return 'noVacancy';
    case 'MEMBERSHIP-B3':
      return 'wrongSection';
    case 'MEMBERSHIP-B5':
      return 'wrongAge';
    case 'N38':
      return 'wrongProof';
    case 'MEMBERSHIP-B4':
      return 'departed';
    default:
      return undefined; // Closing for a handover: the node will ask again.
  }
}
