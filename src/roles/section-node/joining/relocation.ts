/**
 * Relocation (N38): a relocating node collects five shares of its relocation certificate; its former
 * elders sign them.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { relocationsToCertify } from '#protocol/membership/index.ts';
import {
  relocationBytes,
  relocationId,
  type RelocationDetails,
  type SectionAuthority,
  combineDue,
  createThresholdCollector,
  afterFailedCombine,
  type CombineResult,
  withShare,
  type ThresholdCollector,
} from '#protocol/section/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { broadcast, elderIds, elderIndex, isDeciding, messageToSection } from '../recipients.ts';
import type { SectionNodeState } from '../state.ts';

/** N38: five elders send shares of one relocation certificate to the relocating node only. */
export function startRelocation(
  state: SectionNodeState,
  details: RelocationDetails,
  authority: SectionAuthority,
): NodeStep {
  const { networkId, key } = authority;
  if (state.relocation !== null && equalBytes(state.relocation.authority.key, key))
    return nodeStep(state);
  const collector = createThresholdCollector('RELOCATION', relocationBytes(networkId, details));
  return requestRelocationCertificate({
    ...state,
    relocation: { details, authority, collector, done: false },
  });
}

export function requestRelocationCertificate(state: SectionNodeState): NodeStep {
  const { relocation } = state;
  if (relocation === null) return nodeStep(state);
  const { authority } = relocation;
  const id = relocationId(authority.networkId, relocation.details);
  return nodeStep(state, {
    kind: 'send',
    to: elderIds(authority),
    message: messageToSection(authority, { kind: 'requestCertificateShare', certificateId: id }),
  });
}

/** Signs an elder's share of a certificate that the sealed state names. N22: none once the section closes. */
export function sendCertificateShare(
  state: SectionNodeState,
  from: NodeId,
  id: Uint8Array,
): NodeStep {
  const { own, pendingGeneration } = state;
  if (own === null || !isDeciding(pendingGeneration) || own.state.ledger.phase.kind !== 'open') {
    return nodeStep(state);
  }
  const { networkId } = own.state.authority;
  const relocation = relocationsToCertify(own.state).find(
    (each) => nameToId(each.name) === from && equalBytes(relocationId(networkId, each), id),
  );
  if (relocation === undefined) return nodeStep(state);
  return nodeStep(state, {
    kind: 'compute',
    id: { kind: 'certificateShare', member: from },
    job: {
      kind: 'sign',
      secretShare: pendingGeneration.share.secretShare,
      purpose: 'RELOCATION',
      bytes: relocationBytes(networkId, relocation),
    },
  });
}

export function onCertificateShare(
  state: SectionNodeState,
  from: NodeId,
  key: Uint8Array,
  signature: Uint8Array,
): NodeStep {
  const { relocation } = state;
  // A late share under the former key is not wrong, only of no use.
  if (relocation === null || !equalBytes(relocation.authority.key, key)) return nodeStep(state);
  const index = elderIndex(relocation.authority, from);
  if (index === 0) return nodeStep(state);
  return collectCertificate(state, withShare(relocation.collector, index, signature));
}

function onCertificateCombineFailed(state: SectionNodeState, wrong: readonly number[]): NodeStep {
  const { relocation } = state;
  return relocation === null
    ? nodeStep(state)
    : collectCertificate(state, afterFailedCombine(relocation.collector, wrong));
}

function collectCertificate(state: SectionNodeState, collector: ThresholdCollector): NodeStep {
  const { relocation } = state;
  if (relocation === null) return nodeStep(state);
  return combineDue(collector, relocation.authority, { kind: 'combineCertificate' }, (kept) => ({
    ...state,
    relocation: { ...relocation, collector: kept },
  }));
}

/** The certificate is complete: the shell creates a new name under it and restarts as that node. */
function onCertificate(state: SectionNodeState, signature: Uint8Array): NodeStep {
  const { relocation } = state;
  if (relocation === null || relocation.done) return nodeStep(state);
  const { authority, details: body } = relocation;
  const { key, epoch } = authority;
  return nodeStep(
    { ...state, relocation: { ...relocation, done: true } },
    {
      kind: 'output',
      output: { kind: 'relocate', details: body, sourceKey: key, sourceEpoch: epoch, signature },
    },
  );
}

/** Our share of a relocating member's certificate was computed. */
export function onCertificateShareSigned(
  state: SectionNodeState,
  member: NodeId,
  signature: Uint8Array,
): NodeStep {
  if (state.own === null) return nodeStep(state);
  return nodeStep(state, ...broadcast(state, [member], { kind: 'certificateShare', signature }));
}

export const onCertificateCombined = (state: SectionNodeState, result: CombineResult): NodeStep =>
  result.kind === 'combined'
    ? onCertificate(state, result.signature)
    : onCertificateCombineFailed(state, result.wrong);
