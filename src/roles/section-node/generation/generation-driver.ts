/**
 * Drives the pending generation: agree, draw randomness, apply, seal (decision 12).
 *
 * Only the agreement decides; every elder computes the same result from its decision. Signature shares
 * are released only after the decision (N6, N36).
 */
import { toHex } from '#core/codec/bytes.ts';
import { lift } from '#core/lift-effects.ts';
import type { Context, Event } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import {
  agreement,
  type Agreement,
  type AgreementFact,
  statementKeysIn,
} from '#protocol/agreement/index.ts';
import { churnMessageBytes } from '#protocol/node-age/index.ts';
import {
  authoritySigningBytes,
  type SealedState,
  type SectionState,
  createThresholdCollector,
} from '#protocol/section/index.ts';
import { agreementConfig, agreementEffectsOf } from './agreement-wiring.ts';
import { signShare } from './signature-shares.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { elderIndex, isDeciding } from '../recipients.ts';
import { mustAbstain } from '../lost-state/abstained-keys.ts';
import type {
  PendingGeneration,
  HeldShare,
  SectionNode,
  SectionNodeConfig,
  SectionNodeState,
  GenerationStage,
} from '../state.ts';

/** Starts the next generation, if this node is an elder that holds its share. */
export function startGeneration(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  facts: readonly AgreementFact[],
  context: Context,
): NodeStep {
  const { authority } = sealed.state;
  const share = state.shares.get(toHex(authority.key));
  if (elderIndex(authority, config.self) === 0 || share === undefined) return nodeStep(state);
  // N10: this node lost statements it signed under this key, so it signs nothing more under it.
  if (mustAbstain(state, authority.key)) return nodeStep(state);
  return openGeneration(config, state, sealed, share, facts, context);
}

/** Starts the generation after the newest sealed state, with the agreement facts stored before a crash. */
function openGeneration(
  config: SectionNodeConfig,
  state: SectionNodeState,
  own: SealedState,
  share: HeldShare,
  facts: readonly AgreementFact[],
  context: Context,
): NodeStep {
  const { authority, ledger } = own.state;
  // N22: after the sealed set nothing more is decided under this key.
  if (ledger.phase.kind === 'sealed') return nodeStep({ ...state, pendingGeneration: null });
  const generation = authority.generation + 1n;
  const stateRecovery =
    state.stateRecovery === null ? null : { answered: new Set<string>(), facts };
  const started = agreement.start(
    agreementConfig(config, own, stateRecovery !== null),
    facts,
    context,
  );
  const pendingGeneration: PendingGeneration = {
    generation,
    share,
    agreement: started.state,
    stage: { kind: 'agreeing' },
    churnShare: null,
    earlyShares: { churn: new Map(), seal: new Map() },
    endorsements: new Map(),
    proposedActs: new Set(),
    ownStatements: new Set(statementKeysIn(facts)),
  };
  return applyAgreementEffects(
    config,
    { ...state, pendingGeneration, stateRecovery },
    started.effects,
  );
}

/** The first state of a new key is only sealed: there is nothing to agree on. */
export function startFirstGeneration(
  config: SectionNodeConfig,
  state: SectionNodeState,
  first: SectionState,
  share: HeldShare,
): NodeStep {
  const pendingGeneration: PendingGeneration = {
    generation: first.authority.generation,
    share,
    agreement: null,
    stage: sealingStage(first, new Map()),
    churnShare: null,
    earlyShares: { churn: new Map(), seal: new Map() },
    endorsements: new Map(),
    proposedActs: new Set(),
    ownStatements: new Set(),
  };
  return signShare(config, { ...state, pendingGeneration }, 'seal');
}

/** Feeds one event to the agreement of the pending generation. */
export function stepAgreement(
  config: SectionNodeConfig,
  state: SectionNodeState,
  event: Event<Agreement>,
  context: Context,
): NodeStep {
  const { pendingGeneration, own } = state;
  if (!isDeciding(pendingGeneration) || own === null) return nodeStep(state);
  const inner = agreementConfig(config, own, state.stateRecovery !== null);
  const stepped = agreement.step(inner, pendingGeneration.agreement, event, context);
  const next = { ...state, pendingGeneration: { ...pendingGeneration, agreement: stepped.state } };
  return applyAgreementEffects(config, next, stepped.effects);
}

/** Maps the agreement's effects to node effects; its decision starts the next stage. */
function applyAgreementEffects(
  config: SectionNodeConfig,
  state: SectionNodeState,
  effects: Parameters<typeof lift<Agreement, SectionNode>>[0],
): NodeStep {
  const { effects: lifted } = lift(effects, agreementEffectsOf(state));
  return andThen(nodeStep(recordOwnStatements(state, effects), ...lifted), (now) => {
    // Read from the state: after a restart the stored decision causes no output.
    const decided =
      now.pendingGeneration?.agreement?.kind === 'decided'
        ? now.pendingGeneration.agreement.decision
        : null;
    return decided === null
      ? nodeStep(now)
      : startDrawingRandomness(config, now, decided.proposals);
  });
}

/** N10: records the key of each statement sent, to recognise it when other elders return it. */
function recordOwnStatements(
  state: SectionNodeState,
  effects: Parameters<typeof lift<Agreement, SectionNode>>[0],
): SectionNodeState {
  const { pendingGeneration } = state;
  const facts = effects.flatMap((effect) => (effect.kind === 'persist' ? [effect.fact] : []));
  const statementKeys = statementKeysIn(facts);
  if (pendingGeneration === null || statementKeys.length === 0) return state;
  return {
    ...state,
    pendingGeneration: {
      ...pendingGeneration,
      ownStatements: new Set([...pendingGeneration.ownStatements, ...statementKeys]),
    },
  };
}

/** N10: four others returned this elder's statements and all were known: it signs again. */
export function resumeSigning(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep {
  const { own, pendingGeneration, stateRecovery } = state;
  const next = { ...state, stateRecovery: null };
  if (own === null || stateRecovery === null || !isDeciding(pendingGeneration))
    return nodeStep(next);
  if (pendingGeneration.agreement.kind !== 'open') return nodeStep(next);
  const started = agreement.start(
    agreementConfig(config, own, false),
    stateRecovery.facts,
    context,
  );
  // Proposals made while abstaining were not sent, so they are proposed again.
  const again = { ...pendingGeneration, agreement: started.state, proposedActs: new Set<string>() };
  return applyAgreementEffects(config, { ...next, pendingGeneration: again }, started.effects);
}

/** N36: the churn message does not depend on what was decided. */
function startDrawingRandomness(
  config: SectionNodeConfig,
  state: SectionNodeState,
  acts: readonly Uint8Array[],
): NodeStep {
  const { pendingGeneration, own } = state;
  if (pendingGeneration === null || own === null || pendingGeneration.stage.kind !== 'agreeing')
    return nodeStep(state);
  const { networkId, key, epoch } = own.state.authority;
  const bytes = churnMessageBytes({
    networkId,
    key,
    epoch,
    generation: pendingGeneration.generation,
  });
  const stage: GenerationStage = {
    kind: 'drawingRandomness',
    acts,
    collector: createThresholdCollector('CHURN', bytes, pendingGeneration.earlyShares.churn),
  };
  return signShare(
    config,
    { ...state, pendingGeneration: { ...pendingGeneration, stage } },
    'churn',
  );
}

/** N8: every elder computed the same state; now it is sealed. */
export function onApplied(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  next: SectionState,
): NodeStep {
  const { pendingGeneration } = state;
  if (pendingGeneration?.generation !== generation || pendingGeneration.stage.kind !== 'applying')
    return nodeStep(state);
  const stage = sealingStage(next, pendingGeneration.earlyShares.seal);
  return signShare(
    config,
    { ...state, pendingGeneration: { ...pendingGeneration, stage } },
    'seal',
  );
}

const sealingStage = (
  next: SectionState,
  early: ReadonlyMap<number, Uint8Array>,
): GenerationStage => ({
  kind: 'sealing',
  next,
  collector: createThresholdCollector('AUTHORITY', authoritySigningBytes(next.authority), early),
});
