/**
 * Turns observations into acts (N7): endorses the acts this elder wants, collects the endorsements of
 * others, and proposes acts that have enough. Acts not decided in a generation are endorsed again.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { Context } from '#core/machine.ts';
import { andThen, stepForEach } from '#core/step.ts';
import { isProposed } from '#protocol/agreement/index.ts';
import {
  actId,
  decodeActBody,
  encodeAct,
  actBodyBytes,
  endorse,
  isProposable,
  verifyEndorsement,
  withEndorsements,
  actsToEndorse,
  refusalReason,
  type Act,
  type ActBody,
} from '#protocol/membership/index.ts';
import { stepAgreement } from './generation-driver.ts';
import { handoverActs, sealedSetActs } from '../handover/handover-acts.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { broadcast, isDeciding, generationElders } from '../recipients.ts';
import { observationsFor } from '../observations/local-observations.ts';
import type { PendingGeneration, SectionNodeConfig, SectionNodeState } from '../state.ts';
import { supportsAccusation } from '../observations/suspicion.ts';

/**
 * Acts that one elder may endorse in one generation: 128 join requests, accusations, and vacancies. Its
 * newest endorsements are kept, so an elder can only displace its own.
 */
export const maxActsUnderDiscussion = 160;

/**
 * N7: endorses the acts this elder wants. `again` re-sends endorsements of acts not yet proposed: a
 * lost one may be the fifth.
 */
export function endorseOwnActs(
  config: SectionNodeConfig,
  state: SectionNodeState,
  mode: 'new' | 'again' = 'new',
): NodeStep {
  const { pendingGeneration, own } = state;
  if (!isDeciding(pendingGeneration) || own === null || pendingGeneration.stage.kind !== 'agreeing')
    return nodeStep(state);
  const accused = [...pendingGeneration.endorsements.values()]
    .map(({ body }) => body)
    .filter((body) => body.kind === 'leave' || body.kind === 'demote')
    .filter((body) => supportsAccusation(config, state, body) && refusalReason(own.state, body).ok);
  const toEndorse = [...actsToEndorse(own.state, observationsFor(state)), ...accused];
  const endorsing = stepForEach(state, toEndorse, (now, body) =>
    endorseAct(config, now, body, mode),
  );
  return andThen(endorsing, (now) => proposeSoon(config, now));
}

function endorseAct(
  config: SectionNodeConfig,
  state: SectionNodeState,
  body: ActBody,
  mode: 'new' | 'again',
): NodeStep {
  const { pendingGeneration, own } = state;
  if (pendingGeneration === null || own === null) return nodeStep(state);
  const { index } = pendingGeneration.share;
  const id = toHex(actId(body));
  const ownSignature = pendingGeneration.endorsements.get(id)?.signatures.get(index);
  if (ownSignature !== undefined && (mode === 'new' || pendingGeneration.proposedActs.has(id)))
    return nodeStep(state);
  const signature =
    ownSignature ??
    endorse(config.suites.identity, own.state, index, config.identitySeed, body).signature;
  const { generation } = pendingGeneration;
  const payload = { kind: 'endorse', generation, body: actBodyBytes(body), signature } as const;
  return nodeStep(
    { ...state, pendingGeneration: withEndorsement(pendingGeneration, body, index, signature) },
    ...broadcast(state, generationElders(config, state), payload),
  );
}

/** Another elder's endorsement, verified immediately: forged ones take no space. */
export function onEndorsement(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  elder: number,
  bytes: Uint8Array,
  signature: Uint8Array,
): NodeStep | 'malformed' | 'invalidEndorsement' {
  const { pendingGeneration, own } = state;
  if (
    pendingGeneration?.generation !== generation ||
    pendingGeneration.agreement === null ||
    own === null
  )
    return nodeStep(state);
  const body = decodeActBody(bytes);
  if (!body.ok) return 'malformed';
  const known = pendingGeneration.endorsements.get(toHex(actId(body.value)));
  if (known?.signatures.has(elder) === true) return nodeStep(state);
  if (!verifyEndorsement(config.suites.identity, own.state, body.value, { elder, signature })) {
    return 'invalidEndorsement';
  }
  const next = {
    ...state,
    pendingGeneration: withEndorsement(pendingGeneration, body.value, elder, signature),
  };
  return proposeSoon(config, next);
}

/** Waits a quarter of `paceMs`, so that acts endorsed at the same time are proposed together. */
export function proposeSoon(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  return proposableActs(state).length === 0
    ? nodeStep(state)
    : nodeStep(state, {
        kind: 'setTimer',
        timer: { kind: 'propose' },
        afterMs: Math.ceil(config.paceMs / 4),
      });
}

/** Proposes each act with enough endorsements, once per generation. */
export function proposeActs(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep {
  return stepForEach(state, proposableActs(state), (now, act) => {
    const proposal = encodeAct(act);
    const input = { kind: 'propose', proposal } as const;
    const stepped = stepAgreement(config, now, { kind: 'input', input }, context);
    const { pendingGeneration } = stepped.state;
    // An act the agreement did not accept is proposed again in the next round.
    if (!isDeciding(pendingGeneration) || !isProposed(pendingGeneration.agreement, proposal))
      return stepped;
    const proposedActs = new Set(pendingGeneration.proposedActs).add(toHex(actId(act.body)));
    return {
      ...stepped,
      state: { ...stepped.state, pendingGeneration: { ...pendingGeneration, proposedActs } },
    };
  });
}

function proposableActs(state: SectionNodeState): readonly Act[] {
  const { pendingGeneration, own } = state;
  if (!isDeciding(pendingGeneration) || own === null || pendingGeneration.stage.kind !== 'agreeing')
    return [];
  const endorsedActs = [...pendingGeneration.endorsements.values()].map(
    ({ body, signatures }): Act =>
      withEndorsements(
        { body, endorsements: [] },
        [...signatures].map(([elder, signature]) => ({ elder, signature })),
      ),
  );
  const proven = [...handoverActs(state), ...sealedSetActs(state)]
    .filter((body) => refusalReason(own.state, body).ok)
    .map((body): Act => ({ body, endorsements: [] }));
  return [...endorsedActs, ...proven].filter(
    (act) =>
      !pendingGeneration.proposedActs.has(toHex(actId(act.body))) && isProposable(own.state, act),
  );
}

function withEndorsement(
  pendingGeneration: PendingGeneration,
  body: ActBody,
  elder: number,
  signature: Uint8Array,
): PendingGeneration {
  const id = toHex(actId(body));
  const known = pendingGeneration.endorsements.get(id)?.signatures ?? new Map<number, Uint8Array>();
  const signatures = new Map(known).set(elder, signature);
  const endorsements = new Map(pendingGeneration.endorsements).set(id, { body, signatures });
  return { ...pendingGeneration, endorsements: withinShare(endorsements, elder) };
}

/** Above the limit an elder's oldest endorsement is dropped; it re-sends those it still wants every round. */
function withinShare(
  all: PendingGeneration['endorsements'],
  elder: number,
): PendingGeneration['endorsements'] {
  const own = [...all].filter(([, { signatures }]) => signatures.has(elder));
  const [oldest] = own;
  if (oldest === undefined || own.length <= maxActsUnderDiscussion) return all;
  const [id, { body, signatures }] = oldest;
  const kept = new Map(all);
  const others = new Map(signatures);
  others.delete(elder);
  if (others.size === 0) kept.delete(id);
  else kept.set(id, { body, signatures: others });
  return kept;
}
