/**
 * Joining: a node sends join requests to the elders of the section that covers its name until a sealed
 * state names it; elders answer, or probe and endorse it.
 */
import { sectionFor } from '#protocol/section/index.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  actBodyBytes,
  decodeActBody,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import type { JoinRefusal } from '../messages.ts';
import { addJoinRequest, joinRefusalFor, withJoinRequest } from './join-requests.ts';
import { broadcast, elderIds, messageToSection } from '../recipients.ts';
import { startRelocation } from './relocation.ts';
import type { SectionNodeConfig, SectionNodeState } from '../state.ts';
import { sendUpdate } from '../catch-up/updates.ts';
import { segmentsTo } from '../catch-up/chain-segments.ts';

export function startJoining(
  config: SectionNodeConfig,
  state: SectionNodeState,
  certificate: RelocationCertificate | null,
): NodeStep {
  return sendJoinRequest(config, { ...state, joining: { certificate, refused: null } });
}

/** Sent again every round until this node is a member. */
export function sendJoinRequest(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  const { joining, tree } = state;
  const authority = sectionFor(tree, config.name);
  if (joining === null || authority === undefined) return nodeStep(state);
  const { name, sharingKey } = config;
  const body = actBodyBytes({ kind: 'join', name, sharingKey, certificate: joining.certificate });
  const { certificate } = joining;
  const segments =
    certificate === null ? [] : segmentsTo(tree, authority.key, certificate.sourceKey);
  return nodeStep(
    state,
    ...[...segments, { kind: 'join', body } as const].map((payload) => ({
      kind: 'send' as const,
      to: elderIds(authority),
      message: messageToSection(authority, payload),
    })),
  );
}

/** A join request at an elder. @param known the newest section key that the sender has, 96 bytes */
export function onJoinRequest(
  state: SectionNodeState,
  from: NodeId,
  bytes: Uint8Array,
  known: Uint8Array,
): NodeStep {
  const { own, pendingGeneration } = state;
  if (own === null || pendingGeneration === null) return nodeStep(state);
  const body = decodeActBody(bytes);
  if (!body.ok || body.value.kind !== 'join' || nameToId(body.value.name) !== from) {
    return nodeStep(state, { kind: 'blame', fault: { kind: 'malformedJoin', culprit: from } });
  }
  const { name, sharingKey, certificate } = body.value;
  if (own.state.authority.members.some((each) => equalBytes(each.name, name))) {
    return sendUpdate(state, from, known);
  }
  const request = { name, sharingKey, certificate, reachable: null };
  const reason = joinRefusalFor(state, request);
  return reason === undefined
    ? addJoinRequest(state, request)
    : nodeStep(state, ...broadcast(state, [from], { kind: 'joinRefused', reason }));
}

/** Result of the shell's probe (N40). */
export function onProbeResult(
  state: SectionNodeState,
  name: Uint8Array,
  reachable: boolean,
): NodeStep {
  const id = nameToId(name);
  const request = state.observations.joinRequests.get(id);
  if (request === undefined) return nodeStep(state);
  const next = withJoinRequest(state, { ...request, reachable });
  if (reachable) return nodeStep(next);
  return nodeStep(next, ...broadcast(next, [id], { kind: 'joinRefused', reason: 'unreachable' }));
}

export function onJoinRefused(
  state: SectionNodeState,
  from: NodeId,
  reason: JoinRefusal,
): NodeStep {
  const { joining } = state;
  if (joining === null) return nodeStep(state);
  if (joining.refused === reason) return nodeStep(state);
  return nodeStep(
    { ...state, joining: { ...joining, refused: reason } },
    { kind: 'output', output: { kind: 'refused', by: from, reason } },
  );
}

/** Compares a new state with this node's membership: admitted, member, selected to relocate, or removed. */
export function updateMembership(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  const { own } = state;
  if (own === null) return nodeStep(state);
  const { authority, ledger } = own.state;
  const isMember = authority.members.some(({ name }) => equalBytes(name, config.name));
  if (isMember) {
    return nodeStep({ ...state, joining: null, wasMember: true, relocation: null });
  }
  const relocation = ledger.relocating.find(({ name }) => equalBytes(name, config.name));
  if (relocation !== undefined) return startRelocation(state, relocation, authority);
  if (!state.wasMember || state.relocation !== null) return nodeStep(state);
  return nodeStep(
    { ...state, wasMember: false, joining: null },
    { kind: 'persist', fact: { kind: 'removed' } },
    { kind: 'output', output: { kind: 'removed' } },
  );
}
