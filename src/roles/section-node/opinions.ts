/** What this node would endorse (N7), as the rules of membership want to hear it. */
import { successorsSince } from '#protocol/section/index.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Join, Opinions as MembershipOpinions } from '#protocol/membership/index.ts';
import { rankJoiners } from '#protocol/node-age/index.ts';
import { flow, type Flow } from './flow.ts';
import type { JoinRefusal } from './messages.ts';
import { whyNot } from '#protocol/membership/index.ts';
import type { Arrival, SectionNodeState } from './state.ts';

/** Nodes that ask to come in, remembered at once: twice what a section may have places for. */
export const maxArrivals = 128;

export const opinionsFor = ({ opinions, tree }: SectionNodeState): MembershipOpinions => ({
  joiners: [...opinions.arrivals.values()]
    .filter(({ reachable }) => reachable === true)
    .map(({ name, sharingKey, ticket }) => ({
      name,
      sharingKey,
      ticket,
      sourceSuccessors: ticket === null ? 0 : successorsSince(tree, ticket.sourceKey),
    })),
  gone: opinions.gone,
  faulty: opinions.faulty,
  places: opinions.places,
});

/** N40: an elder endorses whom it reached itself; so first it asks the shell to try. */
export function arrive(state: SectionNodeState, arrival: Arrival): Flow {
  const id = nameToId(arrival.name);
  const known = state.opinions.arrivals.get(id);
  if (known !== undefined && known.reachable !== false) return flow(state);
  const roomy = known === undefined ? withRoom(state, arrival.name) : state;
  if (roomy === undefined) return flow(state);
  return flow(withArrival(roomy, { ...arrival, reachable: null }), {
    kind: 'output',
    output: { kind: 'probe', name: arrival.name },
  });
}

/**
 * Names cost nothing, so a full table must not shut out who comes later: who could not be reached gives
 * way, and of those that could whoever N39 ranks last. The rank changes with every decision.
 */
function withRoom(state: SectionNodeState, name: XorName): SectionNodeState | undefined {
  const { arrivals } = state.opinions;
  if (arrivals.size < maxArrivals || state.own === null) return state;
  const waiting = [...arrivals.values()];
  const missed = waiting.find(({ reachable }) => reachable === false)?.name;
  const { churnId } = state.own.state.ledger;
  const last = missed ?? rankJoiners([...waiting.map((each) => each.name), name], churnId).at(-1);
  if (last === undefined || equalBytes(last, name)) return undefined;
  const others = new Map(arrivals);
  others.delete(nameToId(last));
  return { ...state, opinions: { ...state.opinions, arrivals: others } };
}

export function withArrival(state: SectionNodeState, arrival: Arrival): SectionNodeState {
  const arrivals = new Map(state.opinions.arrivals).set(nameToId(arrival.name), arrival);
  return { ...state, opinions: { ...state.opinions, arrivals } };
}

/** Whoever is a member now is no arrival any more. */
export function pruneArrivals(state: SectionNodeState): SectionNodeState {
  const { own } = state;
  if (own === null || state.opinions.arrivals.size === 0) return state;
  const members = new Set(own.state.authority.members.map(({ name }) => nameToId(name)));
  const arrivals = new Map([...state.opinions.arrivals].filter(([id]) => !members.has(id)));
  return { ...state, opinions: { ...state.opinions, arrivals } };
}

/** N39: places that were wanted once are there; whoever takes them makes no further ones. */
export function withoutGranted(state: SectionNodeState): SectionNodeState {
  const { own, opinions } = state;
  const { places, placesOnce } = opinions;
  if (own === null || !placesOnce || places === null) return state;
  if (own.state.ledger.places < places) return state;
  return { ...state, opinions: { ...opinions, places: null, placesOnce: false } };
}

/** Why the section would not take this node in now; undefined when it would. */
export function refusalOf(
  state: SectionNodeState,
  { name, sharingKey, ticket }: Arrival,
): JoinRefusal | undefined {
  const { own } = state;
  if (own === null) return 'wrongSection';
  const join: Join = { kind: 'join', name, sharingKey, ticket };
  const verdict = whyNot(own.state, join);
  if (verdict.ok || verdict.error.kind !== 'refused') return undefined;
  switch (verdict.error.rule) {
    case 'N39':
      return 'noPlaces';
    case 'B3':
      return 'wrongSection';
    case 'B5':
      return 'wrongAge';
    case 'N38':
      return 'wrongProof';
    case 'B4':
      return 'departed';
    default:
      return undefined; // Closing for a handover: it will ask again.
  }
}
