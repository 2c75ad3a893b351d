/** Decides which successor record the old elders sign, and when their shares are its signature (N20, N21). */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { andThen, stepForEach, unchanged } from '#core/step.ts';
import {
  afterFailedCombine,
  blameBadShares,
  charterHash,
  combineDue,
  createThresholdCollector,
  hasShareOf,
  successorBytes,
  successorHash,
  successorRecordOf,
  withRejected,
  withShare,
  type CombineResult,
  type SectionState,
  type SignedSuccessor,
  type SuccessorRecord,
  type ThresholdCollector,
} from '#protocol/section/index.ts';
import { inheritDue } from './activation.ts';
import { handoverStep, type HandoverEffects, type HandoverStep } from './handover-step.ts';
import type { SuccessorShare } from './messages.ts';
import { oldElders, selfAsOldElder } from './participants.ts';
import { emptyProgress, sendToPeers } from './send-progress.ts';
import type { HandoverConfig, HandoverState } from './state.ts';

/** N20, N21: the first record that matches the decided handover; no other, ever. */
export function onSealed(
  config: HandoverConfig,
  state: HandoverState,
  sealed: SectionState,
): HandoverStep {
  const record = successorRecordOf(sealed);
  if (record === undefined || !matchesDecision(config, record)) return unchanged(state);
  if (state.chosenRecord !== null || selfAsOldElder(config) === undefined) return unchanged(state);
  return andThen(
    handoverStep(withChosenRecord(state, record), {
      kind: 'persist',
      fact: { kind: 'recordChosen', record },
    }),
    (now) => handoverStep(now, ...signDue(config, now)),
    (now) =>
      stepForEach(now, state.earlyShares, (s, [elder, share]) => addShare(config, s, elder, share)),
  );
}

export const withChosenRecord = (state: HandoverState, record: SuccessorRecord): HandoverState => ({
  ...state,
  chosenRecord: record,
  collector: createThresholdCollector('SUCCESSOR', successorBytes(record)),
});

/** N21: same parent, and exactly the keys that the handover decision named. */
function matchesDecision({ closing }: HandoverConfig, record: SuccessorRecord): boolean {
  const { authority, ledger } = closing;
  if (ledger.phase.kind === 'open') return false;
  const { charters } = ledger.phase;
  return (
    equalBytes(record.parentKey, authority.key) &&
    equalBytes(record.networkId, authority.networkId) &&
    record.epoch === authority.epoch &&
    record.finalGeneration === authority.generation &&
    record.children.length === charters.length &&
    charters.every((charter, at) => {
      const child = record.children[at];
      return child !== undefined && equalBytes(child.charterHash, charterHash(charter));
    })
  );
}

export function signDue({ secretShare }: HandoverConfig, state: HandoverState): HandoverEffects {
  const { chosenRecord, ownShare, successor } = state;
  if (chosenRecord === null || ownShare !== null || successor !== null || secretShare === null)
    return [];
  return [
    {
      kind: 'compute',
      id: { kind: 'sign' },
      job: { kind: 'sign', secretShare, record: chosenRecord },
    },
  ];
}

/** This elder's own share is computed. */
export function onOwnShare(
  config: HandoverConfig,
  state: HandoverState,
  signature: Uint8Array,
): HandoverStep {
  const { chosenRecord } = state;
  const self = selfAsOldElder(config);
  if (chosenRecord === null || self === undefined || state.ownShare !== null)
    return unchanged(state);
  const share = { record: successorHash(chosenRecord), signature };
  const sent = sendToPeers(config, { ...emptyProgress, share });
  return andThen(handoverStep({ ...state, ownShare: signature }, ...sent), (now) =>
    addShare(config, now, self.index, share),
  );
}

export function onSuccessorShare(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  share: SuccessorShare,
): HandoverStep {
  const elder = oldElders(config).find(({ name }) => toHex(name) === from);
  const over = state.successor !== null || selfAsOldElder(config) === undefined;
  if (elder === undefined || over) return unchanged(state);
  return addShare(config, state, elder.index, share);
}

/** A share of another record is wrong: every elder signs the one that the section sealed. */
function addShare(
  config: HandoverConfig,
  state: HandoverState,
  elder: number,
  share: SuccessorShare,
): HandoverStep {
  const { chosenRecord, collector, earlyShares } = state;
  if (chosenRecord === null || collector === null) {
    if (earlyShares.has(elder)) return unchanged(state);
    return unchanged({ ...state, earlyShares: new Map(earlyShares).set(elder, share) });
  }
  if (hasShareOf(collector, elder)) return unchanged(state);
  if (!equalBytes(share.record, successorHash(chosenRecord))) {
    return rejectShares(config, state, withRejected(collector, [elder]), [elder]);
  }
  return collect(config, state, withShare(collector, elder, share.signature));
}

function collect(
  config: HandoverConfig,
  state: HandoverState,
  collector: ThresholdCollector,
): HandoverStep {
  if (state.successor !== null) return unchanged({ ...state, collector });
  return combineDue(collector, config.closing.authority, { kind: 'combine' }, (kept) => ({
    ...state,
    collector: kept,
  }));
}

const rejectShares = (
  config: HandoverConfig,
  state: HandoverState,
  collector: ThresholdCollector,
  wrong: readonly number[],
): HandoverStep =>
  andThen(handoverStep(state, ...blameBadShares(oldElders(config), wrong)), (now) =>
    collect(config, now, collector),
  );

/** Five shares are one successor signature, or some are wrong. */
export function onSharesResult(
  config: HandoverConfig,
  state: HandoverState,
  result: CombineResult,
): HandoverStep {
  const { chosenRecord, collector, successor } = state;
  if (chosenRecord === null || collector === null || successor !== null) return unchanged(state);
  if (result.kind === 'combined') {
    return onSuccessor(config, state, { record: chosenRecord, signature: result.signature });
  }
  return rejectShares(config, state, afterFailedCombine(collector, result.wrong), result.wrong);
}

/** A peer sent a signed successor: one check per peer at a time, none after a false one. */
export function onClaimedSuccessor(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  signed: SignedSuccessor,
): HandoverStep {
  const { verifying, invalidSuccessorFrom } = state;
  if (state.successor !== null || verifying.has(from) || invalidSuccessorFrom.has(from)) {
    return unchanged(state);
  }
  if (!matchesDecision(config, signed.record)) {
    return handoverStep(state, { kind: 'blame', fault: { kind: 'badSuccessor', culprit: from } });
  }
  return handoverStep(
    { ...state, verifying: new Map(verifying).set(from, signed) },
    { kind: 'compute', id: { kind: 'verify', from }, job: { kind: 'verify', signed } },
  );
}

export function onSuccessorVerified(
  config: HandoverConfig,
  state: HandoverState,
  culprit: NodeId,
  good: boolean,
): HandoverStep {
  const signed = state.verifying.get(culprit);
  if (signed === undefined) return unchanged(state);
  const verifying = new Map(state.verifying);
  verifying.delete(culprit);
  if (good) return onSuccessor(config, { ...state, verifying }, signed);
  const invalidSuccessorFrom = new Set(state.invalidSuccessorFrom).add(culprit);
  return handoverStep(
    { ...state, verifying, invalidSuccessorFrom },
    { kind: 'blame', fault: { kind: 'badSuccessor', culprit } },
  );
}

/** The link exists: the old share is no longer needed (N18), and new elders may activate. */
export function onSuccessor(
  config: HandoverConfig,
  state: HandoverState,
  signed: SignedSuccessor,
): HandoverStep {
  if (state.successor !== null || !matchesDecision(config, signed.record)) return unchanged(state);
  return andThen(
    handoverStep(
      { ...state, successor: signed },
      { kind: 'persist', fact: { kind: 'succeeded', signed } },
      ...sendToPeers(config, { ...emptyProgress, successor: signed }),
      ...publishSuccessor(signed),
    ),
    (now) => inheritDue(config, now),
  );
}

export const publishSuccessor = (signed: SignedSuccessor): HandoverEffects => [
  { kind: 'output', output: { kind: 'succeeded', signed } },
  { kind: 'output', output: { kind: 'eraseShare' } },
];
