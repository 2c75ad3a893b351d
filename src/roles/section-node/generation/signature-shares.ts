/**
 * Collects the shares of a pending generation: of its randomness, then of its seal (N6, N36). Combined
 * signatures continue in `sealing.ts`.
 */
import { assert } from '#core/assert.ts';
import { andThen } from '#core/step.ts';
import {
  afterFailedCombine,
  blameBadShares,
  combineDue,
  withShare,
  type ThresholdCollector,
} from '#protocol/section/index.ts';
import type { SharePurpose } from '../messages.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { broadcast, generationElders, signersOf } from '../recipients.ts';
import type {
  GenerationStage,
  PendingGeneration,
  SectionNodeConfig,
  SectionNodeState,
} from '../state.ts';

/** Computes our share for this stage as a job; it is broadcast when done. */
export function signShare(
  config: SectionNodeConfig,
  state: SectionNodeState,
  of: SharePurpose,
): NodeStep {
  const collector = collectorOf(state.pendingGeneration);
  assert(
    collector !== undefined && state.pendingGeneration !== null,
    'a stage with shares is pending',
  );
  const { share, generation } = state.pendingGeneration;
  const { purpose, bytes } = collector;
  return nodeStep(
    state,
    {
      kind: 'compute',
      id: { kind: 'share', generation, of },
      job: { kind: 'sign', secretShare: share.secretShare, purpose, bytes },
    },
    { kind: 'setTimer', timer: { kind: 'generation' }, afterMs: config.paceMs },
  );
}

/** Our own share was computed. */
export function onShareSigned(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  of: SharePurpose,
  signature: Uint8Array,
): NodeStep {
  const { pendingGeneration } = state;
  if (
    pendingGeneration?.generation !== generation ||
    collectorFor(pendingGeneration, of) === undefined
  )
    return nodeStep(state);
  const churnShare = of === 'churn' ? signature : pendingGeneration.churnShare;
  const kept = { ...state, pendingGeneration: { ...pendingGeneration, churnShare } };
  const added = onShare(kept, generation, of, pendingGeneration.share.index, signature);
  return andThen(added, (now) => sendShare(config, now, of, signature));
}

const sendShare = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  of: SharePurpose,
  signature: Uint8Array,
): NodeStep => {
  const { pendingGeneration } = state;
  if (pendingGeneration === null) return nodeStep(state);
  const payload = {
    kind: 'share',
    generation: pendingGeneration.generation,
    of,
    signature,
  } as const;
  return nodeStep(state, ...broadcast(state, generationElders(config, state), payload));
};

/** N6: one share per elder; shares for a later stage are kept. */
export function onShare(
  state: SectionNodeState,
  generation: bigint,
  of: SharePurpose,
  index: number,
  signature: Uint8Array,
): NodeStep {
  const { pendingGeneration } = state;
  if (pendingGeneration?.generation !== generation || index < 1) return nodeStep(state);
  const collector = collectorFor(pendingGeneration, of);
  if (collector === undefined) {
    if (isPast(pendingGeneration.stage, of) || pendingGeneration.earlyShares[of].has(index))
      return nodeStep(state);
    const earlyShares = {
      ...pendingGeneration.earlyShares,
      [of]: new Map(pendingGeneration.earlyShares[of]).set(index, signature),
    };
    return nodeStep({ ...state, pendingGeneration: { ...pendingGeneration, earlyShares } });
  }
  return collect(state, pendingGeneration, withShare(collector, index, signature));
}

function collect(
  state: SectionNodeState,
  pendingGeneration: PendingGeneration,
  collector: ThresholdCollector,
): NodeStep {
  const { generation, stage } = pendingGeneration;
  const id = { kind: 'combineShares', generation, stage: stage.kind } as const;
  return combineDue(collector, signersOf(state, pendingGeneration), id, (kept) => ({
    ...state,
    pendingGeneration: withCollector(pendingGeneration, kept),
  }));
}

/** N6: an invalid share is blamed; the rest are combined again. */
export function onCombineFailed(
  state: SectionNodeState,
  generation: bigint,
  stage: GenerationStage['kind'],
  wrong: readonly number[],
): NodeStep {
  const { pendingGeneration } = state;
  if (pendingGeneration?.generation !== generation || pendingGeneration.stage.kind !== stage)
    return nodeStep(state);
  const collector = collectorOf(pendingGeneration);
  if (collector === undefined) return nodeStep(state);
  const { elders } = signersOf(state, pendingGeneration);
  return andThen(nodeStep(state, ...blameBadShares(elders, wrong)), (now) =>
    collect(now, pendingGeneration, afterFailedCombine(collector, wrong)),
  );
}

/** Re-sends our shares, which may have been lost. The timer decides nothing. */
export function resendShares(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  const { pendingGeneration } = state;
  if (pendingGeneration === null) return nodeStep(state);
  const seal =
    pendingGeneration.stage.kind === 'sealing'
      ? pendingGeneration.stage.collector.shares.get(pendingGeneration.share.index)
      : undefined;
  const { churnShare } = pendingGeneration;
  return andThen(
    nodeStep(state),
    // Elders that are a stage behind still need our churn share.
    (now) => (churnShare === null ? nodeStep(now) : sendShare(config, now, 'churn', churnShare)),
    (now) => (seal === undefined ? nodeStep(now) : sendShare(config, now, 'seal', seal)),
    (now) =>
      nodeStep(now, { kind: 'setTimer', timer: { kind: 'generation' }, afterMs: config.paceMs }),
  );
}

function collectorOf(pendingGeneration: PendingGeneration | null): ThresholdCollector | undefined {
  const stage = pendingGeneration?.stage;
  return stage?.kind === 'drawingRandomness' || stage?.kind === 'sealing'
    ? stage.collector
    : undefined;
}

const collectorFor = (
  pendingGeneration: PendingGeneration,
  of: SharePurpose,
): ThresholdCollector | undefined =>
  pendingGeneration.stage.kind === (of === 'churn' ? 'drawingRandomness' : 'sealing')
    ? collectorOf(pendingGeneration)
    : undefined;

const isPast = (stage: GenerationStage, of: SharePurpose): boolean =>
  of === 'churn' && (stage.kind === 'applying' || stage.kind === 'sealing');

function withCollector(
  pendingGeneration: PendingGeneration,
  collector: ThresholdCollector,
): PendingGeneration {
  const { stage } = pendingGeneration;
  return stage.kind === 'drawingRandomness' || stage.kind === 'sealing'
    ? { ...pendingGeneration, stage: { ...stage, collector } }
    : pendingGeneration;
}
