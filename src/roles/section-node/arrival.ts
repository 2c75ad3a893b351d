/**
 * Coming in and moving on. A node asks the elders of the section that covers its name until a
 * sealed state names it; a member that has to move gathers five shares of its ticket and leaves.
 */
import { sectionFor } from '#protocol/section/index.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  actBodyBytes,
  decodeActBody,
  ticketsDue,
  type TicketProof,
} from '#protocol/membership/index.ts';
import {
  ticketBytes,
  ticketId,
  type Moving,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { combineDue, openCollector, withoutShares, withShare } from './collector.ts';
import { flow, type Flow } from './flow.ts';
import type { JoinRefusal } from './messages.ts';
import { arrive, refusalOf, withArrival } from './opinions.ts';
import { broadcast, decides, elderIds, elderIndex, stampFor } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';
import { tell } from './telling.ts';
import { wayTo } from './way.ts';

/** The person, or the relocation, wants this node to be a member. */
export function join(
  config: SectionNodeConfig,
  state: SectionNodeState,
  ticket: TicketProof | null,
): Flow {
  return askIn(config, { ...state, joining: { ticket, refused: null } });
}

/** Said again every round until it is a member. */
export function askIn(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const { joining, tree } = state;
  const authority = sectionFor(tree, config.name);
  if (joining === null || authority === undefined) return flow(state);
  const { name, sharingKey } = config;
  const body = actBodyBytes({ kind: 'join', name, sharingKey, ticket: joining.ticket });
  const { ticket } = joining;
  const way = ticket === null ? [] : wayTo(tree, authority.key, ticket.sourceKey);
  return flow(
    state,
    ...[...way, { kind: 'join', body } as const].map((payload) => ({
      kind: 'send' as const,
      to: elderIds(authority),
      message: stampFor(authority, payload),
    })),
  );
}

/** An elder is asked to let somebody in. @param known the newest key that the asker has. */
export function asked(
  state: SectionNodeState,
  from: NodeId,
  bytes: Uint8Array,
  known: Uint8Array,
): Flow {
  const { own, desk } = state;
  if (own === null || desk === null) return flow(state);
  const body = decodeActBody(bytes);
  if (!body.ok || body.value.kind !== 'join' || nameToId(body.value.name) !== from) {
    return flow(state, { kind: 'blame', fault: { kind: 'malformedJoin', culprit: from } });
  }
  const { name, sharingKey, ticket } = body.value;
  if (own.state.authority.members.some((each) => equalBytes(each.name, name))) {
    return tell(state, from, known);
  }
  const arrival = { name, sharingKey, ticket, reachable: null };
  const reason = refusalOf(state, arrival);
  return reason === undefined
    ? arrive(state, arrival)
    : flow(state, ...broadcast(state, [from], { kind: 'joinRefused', reason }));
}

/** The shell tried to reach it (N40). */
export function reached(state: SectionNodeState, name: Uint8Array, reachable: boolean): Flow {
  const id = nameToId(name);
  const arrival = state.opinions.arrivals.get(id);
  if (arrival === undefined) return flow(state);
  const next = withArrival(state, { ...arrival, reachable });
  if (reachable) return flow(next);
  return flow(next, ...broadcast(next, [id], { kind: 'joinRefused', reason: 'unreachable' }));
}

export function refusedBy(state: SectionNodeState, from: NodeId, reason: JoinRefusal): Flow {
  const { joining } = state;
  if (joining === null) return flow(state);
  if (joining.refused === reason) return flow(state);
  return flow(
    { ...state, joining: { ...joining, refused: reason } },
    { kind: 'output', output: { kind: 'refused', by: from, reason } },
  );
}

/** A new state is known: am I in, still in, on the move, or out? */
export function settleArrival(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const { own } = state;
  if (own === null) return flow(state);
  const { authority, ledger } = own.state;
  const isMember = authority.members.some(({ name }) => equalBytes(name, config.name));
  if (isMember) {
    return flow({ ...state, joining: null, wasMember: true, moving: null });
  }
  const moving = ledger.moving.find(({ name }) => equalBytes(name, config.name));
  if (moving !== undefined) return startMove(state, moving, authority);
  if (!state.wasMember || state.moving !== null) return flow(state);
  return flow(
    { ...state, wasMember: false, joining: null },
    { kind: 'persist', fact: { kind: 'removed' } },
    { kind: 'output', output: { kind: 'removed' } },
  );
}

/** N38: the section signs one ticket; five of its elders give their shares to the mover alone. */
function startMove(state: SectionNodeState, moving: Moving, authority: SectionAuthority): Flow {
  const { networkId, key } = authority;
  if (state.moving !== null && equalBytes(state.moving.authority.key, key)) return flow(state);
  const collector = openCollector('RELOCATION', ticketBytes(networkId, moving));
  return askTicket({ ...state, moving: { moving, authority, collector, done: false } });
}

export function askTicket(state: SectionNodeState): Flow {
  const { moving } = state;
  if (moving === null) return flow(state);
  const { authority } = moving;
  const ticket = ticketId(authority.networkId, moving.moving);
  return flow(state, {
    kind: 'send',
    to: elderIds(authority),
    message: stampFor(authority, { kind: 'askTicket', ticket }),
  });
}

/** An elder's share of a ticket that the sealed state names. N22: none once the section closes. */
export function giveTicket(state: SectionNodeState, from: NodeId, ticket: Uint8Array): Flow {
  const { own, desk } = state;
  if (own === null || !decides(desk) || own.state.ledger.phase.kind !== 'open') {
    return flow(state);
  }
  const { networkId } = own.state.authority;
  const moving = ticketsDue(own.state).find(
    (each) => nameToId(each.name) === from && equalBytes(ticketId(networkId, each), ticket),
  );
  if (moving === undefined) return flow(state);
  return flow(state, {
    kind: 'compute',
    id: `ticket/sign/${from}`,
    job: {
      kind: 'sign',
      secretShare: desk.share.secretShare,
      purpose: 'RELOCATION',
      bytes: ticketBytes(networkId, moving),
    },
  });
}

export function takeTicketShare(
  state: SectionNodeState,
  from: NodeId,
  signature: Uint8Array,
): Flow {
  const { moving } = state;
  if (moving === null) return flow(state);
  const index = elderIndex(moving.authority, from);
  if (index === 0) return flow(state);
  return collectTicket(state, withShare(moving.collector, index, signature));
}

export function ticketUncombined(state: SectionNodeState, wrong: readonly number[]): Flow {
  const { moving } = state;
  return moving === null
    ? flow(state)
    : collectTicket(state, withoutShares(moving.collector, wrong));
}

function collectTicket(
  state: SectionNodeState,
  collector: NonNullable<SectionNodeState['moving']>['collector'],
): Flow {
  const { moving } = state;
  if (moving === null) return flow(state);
  const due = combineDue(collector, moving.authority);
  const next = { ...state, moving: { ...moving, collector: due?.collector ?? collector } };
  return due === undefined
    ? flow(next)
    : flow(next, { kind: 'compute', id: 'ticket/combine', job: due.job });
}

/** The ticket is whole: the shell makes a new name under it and starts again as that node. */
export function ticketCombined(state: SectionNodeState, signature: Uint8Array): Flow {
  const { moving } = state;
  if (moving === null || moving.done) return flow(state);
  const { authority, moving: body } = moving;
  const { key, epoch } = authority;
  return flow(
    { ...state, moving: { ...moving, done: true } },
    {
      kind: 'output',
      output: { kind: 'relocate', moving: body, sourceKey: key, sourceEpoch: epoch, signature },
    },
  );
}
