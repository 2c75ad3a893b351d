/**
 * The section node (README): one process as a member of a section. Routes inputs, messages, timers and
 * job results to the folders next to it; all decisions are made by the protocols.
 */
import { assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { resultOf, type Context, type Machine, type NodeId } from '#core/machine.ts';
import { andThen, stepForEach, unchanged } from '#core/step.ts';
import { decodeSealedState } from '#protocol/section/index.ts';
import {
  adoptState,
  onSealedState,
  onStateVerified,
  outputAdopted,
} from './catch-up/adopt-state.ts';
import {
  applyVerifiedLinks,
  onSegment,
  onSegmentVerified,
  restoredSegments,
} from './catch-up/chain-segments.ts';
import { compareKnowledge, requestUpdate, updateJoiner } from './catch-up/updates.ts';
import { withQueriedPeers } from './catch-up/verification-slots.ts';
import {
  followDkgSessions,
  isSessionCandidate,
  resendReadiness,
  stepSession,
} from './dkg/dkg-sessions.ts';
import { dkgInstanceId } from './dkg/instance-id.ts';
import { onReadinessChecked, onReadinessProof } from './dkg/readiness-proofs.ts';
import { retryDeferred } from './generation/deferred-proposals.ts';
import { startGeneration, stepAgreement } from './generation/generation-driver.ts';
import { onShareSigned, resendShares } from './generation/signature-shares.ts';
import {
  onActsApplied,
  onElderMessage,
  onCombineResult,
  onProposalValidated,
} from './generation/generation-routing.ts';
import { endorseOwnActs, proposeActs } from './generation/proposing.ts';
import { followHandover, stepHandover } from './handover/handover-flow.ts';
import {
  onHandoverInput,
  onHandoverMessage,
  onHandoverTimer,
} from './handover/handover-routing.ts';
import {
  onJoinRefused,
  onJoinRequest,
  onProbeResult,
  startJoining,
  updateMembership,
} from './joining/joining.ts';
import {
  onCertificateShare,
  onCertificateCombined,
  onCertificateShareSigned,
  sendCertificateShare,
} from './joining/relocation.ts';
import { answerStateQuery, onStateAnswer, queryState } from './lost-state/detect-lost-state.ts';
import type { NodeMessage } from './messages.ts';
import { nodeStep, type NodeStep } from './node-step.ts';
import { recordActivity, startPingRound } from './observations/ping-rounds.ts';
import { recordMemberIssue, recordMembers } from './observations/suspicion.ts';
import { elderIndex, messageInSection, messageWithNewestKey } from './recipients.ts';
import type {
  SectionNode,
  SectionNodeConfig,
  SectionNodeInput,
  SectionNodeState,
} from './state.ts';
import {
  agreementFacts,
  handoverFacts,
  restoreState,
  resumeSessions,
  startStateRecovery,
} from './stored-facts/restore-state.ts';

export const sectionNode: Machine<SectionNodeConfig, SectionNodeState, SectionNode> = {
  start: (config, facts, context) => {
    const restored = restoreState(config, facts);
    const { own } = restored;
    const round = {
      kind: 'setTimer',
      timer: { kind: 'pingRound' },
      afterMs: config.roundMs,
    } as const;
    const known = restoredSegments(facts);
    if (own === null) return nodeStep(restored, round, ...known);
    return andThen(
      nodeStep(recordMembers(config, startStateRecovery(config, restored, own)), round, ...known),
      (now) => resumeSessions(config, now, facts, context),
      (now) => followDkgSessions(config, now, context),
      (now) => startGeneration(config, now, own, agreementFacts(facts, own), context),
      (now) => followHandover(config, now, own, handoverFacts(facts, own), context),
      (now) => queryState(config, now),
      (now) => updateMembership(config, now),
      (now) => outputAdopted(config, now, own),
    );
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return onInput(config, state, event.input, context);
      case 'received':
        return receive(config, state, event.from, event.message, context);
      case 'timerFired':
        return onTimer(config, state, event.timer, context);
      case 'computed':
        return onComputed(config, state, event.id, event.result, context);
      default:
        return assertNever(event);
    }
  },
};

function onInput(
  config: SectionNodeConfig,
  state: SectionNodeState,
  input: SectionNodeInput,
  context: Context,
): NodeStep {
  switch (input.kind) {
    case 'addState':
      return onSealedState(config, state, config.self, input.sealed);
    case 'queryPeers':
      return stepForEach(
        { ...state, queriedPeers: withQueriedPeers(state.queriedPeers, input.peers) },
        input.peers.filter((peer) => peer !== config.self),
        requestUpdate,
      );
    case 'addProof':
      return andThen(applyVerifiedLinks(config, state, input.update).flow, (now) =>
        retryDeferred(config, now, context),
      );
    case 'startAsFounder': {
      const { key, secretShare, index } = input;
      const sealed = decodeSealedState(input.sealed);
      if (!sealed.ok || state.own !== null) return unchanged(state);
      const share = { key, secretShare, index };
      const next = { ...state, shares: new Map(state.shares).set(toHex(key), share) };
      return andThen(
        nodeStep(next, { kind: 'persist', fact: { kind: 'share', ...share } }),
        (now) => adoptState(config, now, sealed.value, 'loaded', context),
      );
    }
    case 'join':
      return andThen(
        nodeStep(state, {
          kind: 'persist',
          fact: { kind: 'joining', certificate: input.certificate },
        }),
        (now) => startJoining(config, now, input.certificate),
      );
    case 'reached':
      return andThen(onProbeResult(state, input.name, input.reachable), (now) =>
        endorseOwnActs(config, now),
      );
    case 'setVacancies': {
      const vacanciesOnce = input.once === true;
      const observations = { ...state.observations, vacancies: input.vacancies, vacanciesOnce };
      return endorseOwnActs(config, { ...state, observations });
    }
    case 'misbehaved':
      return unchanged(recordMemberIssue(config, state, input.name, input.issue));
    case 'moneySealed':
    case 'snapshotHeld':
    case 'merged':
    case 'unmerged':
    case 'inherited':
    case 'sendHandover':
      return onHandoverInput(config, state, input, context);
    default:
      return assertNever(input);
  }
}

/** Handles the payload, then compares the header's key and generation with ours (N30). */
function receive(
  config: SectionNodeConfig,
  before: SectionNodeState,
  from: NodeId,
  { key, generation, payload }: NodeMessage,
  context: Context,
): NodeStep {
  const handled = onPayload(config, recordActivity(before, from), from, key, payload, context);
  if (payload.kind === 'update' || payload.kind === 'chainSegment') return handled;
  if (payload.kind === 'join') return andThen(handled, (now) => updateJoiner(now, from, key));
  return andThen(handled, (now) => compareKnowledge(now, from, key, generation));
}

function onPayload(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  key: Uint8Array,
  payload: NodeMessage['payload'],
  context: Context,
): NodeStep {
  const { own } = state;
  const isOurs = own !== null && equalBytes(own.state.authority.key, key);
  const elder = own === null ? 0 : elderIndex(own.state.authority, from);
  switch (payload.kind) {
    case 'agreement':
    case 'share':
    case 'endorse':
      return onElderMessage(config, state, { id: from, elder, isOurs }, payload, context);
    case 'dkg': {
      const id = dkgInstanceId(payload.session, payload.child);
      const session = state.sessions.get(id);
      if (session === undefined || !isSessionCandidate(session, from)) return nodeStep(state);
      const { message } = payload;
      return stepSession(config, state, id, { kind: 'received', from, message }, context);
    }
    case 'ready':
      return state.pendingGeneration === null
        ? nodeStep(state)
        : onReadinessProof(state, from, payload.session, payload.child, payload.proof);
    case 'handover':
      return onHandoverMessage(config, state, from, elder, payload, context);
    case 'update':
      return onSealedState(config, state, from, payload.sealed);
    case 'stateQuery':
      return answerStateQuery(state, from, isOurs ? elder : 0, payload.generation);
    case 'stateAnswer':
      return isOurs && elder > 0
        ? onStateAnswer(config, state, from, payload.generation, payload.statements, context)
        : nodeStep(state);
    case 'ping': {
      const pong = { kind: 'pong', round: payload.round } as const;
      // A member without a state names the newest key it can follow, and is sent an update.
      const message =
        own === null ? messageWithNewestKey(state, from, pong) : messageInSection(state, pong);
      return nodeStep(state, { kind: 'send', to: [from], message });
    }
    case 'pong':
      return nodeStep(state); // Its receipt alone counts, see `recordActivity`.
    case 'join':
      return onJoinRequest(state, from, payload.body, key);
    case 'chainSegment':
      return onSegment(config, state, from, payload.links);
    case 'joinRefused':
      return onJoinRefused(state, from, payload.reason);
    case 'requestCertificateShare':
      return sendCertificateShare(state, from, payload.certificateId);
    case 'certificateShare':
      return onCertificateShare(state, from, key, payload.signature);
    default:
      return assertNever(payload);
  }
}

function onTimer(
  config: SectionNodeConfig,
  state: SectionNodeState,
  timer: SectionNode['timer'],
  context: Context,
): NodeStep {
  switch (timer.kind) {
    case 'pingRound':
      return andThen(startPingRound(config, state), (now) => resendReadiness(config, now));
    case 'propose':
      return proposeActs(config, state, context);
    case 'stateRecovery':
      return queryState(config, state);
    case 'generation':
      return resendShares(config, state);
    case 'agreement': {
      const event = { kind: 'timerFired', timer: timer.timer } as const;
      return stepAgreement(config, state, event, context);
    }
    case 'handover':
      return onHandoverTimer(config, state, context);
    case 'dkg': {
      const event = { kind: 'timerFired', timer: 'gossip' } as const;
      return stepSession(config, state, timer.instance, event, context);
    }
    default:
      return assertNever(timer);
  }
}

function onComputed(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: SectionNode['jobId'],
  result: SectionNode['result'],
  context: Context,
): NodeStep {
  switch (id.kind) {
    case 'share': {
      const { signature } = resultOf(result, 'signature');
      return onShareSigned(config, state, id.generation, id.of, signature);
    }
    case 'combineShares': {
      const combined = resultOf(result, 'combined', 'combineFailed');
      return onCombineResult(config, state, id.generation, id.stage, combined, context);
    }
    case 'apply':
      return onActsApplied(config, state, id.generation, resultOf(result, 'applied'));
    case 'agreement': {
      const verdict = resultOf(result, 'valid', 'invalid', 'later');
      return onProposalValidated(config, state, id.generation, id.id, verdict, context);
    }
    case 'verifyState':
    case 'verifyLinks': {
      const verified = resultOf(result, 'verified', 'verifiedLinks', 'unverified');
      if (verified.kind !== 'verifiedLinks') {
        const sealed = verified.kind === 'verified' ? verified.sealed : null;
        return onStateVerified(config, state, id.hash, sealed, context);
      }
      return andThen(onSegmentVerified(config, state, id.hash, verified.update), (now) =>
        retryDeferred(config, now, context),
      );
    }
    case 'dkg': {
      const event = {
        kind: 'computed',
        id: id.id,
        result: resultOf(result, 'dkg').result,
      } as const;
      return stepSession(config, state, id.instance, event, context);
    }
    case 'checkReadiness': {
      const { good } = resultOf(result, 'readyChecked');
      return onReadinessChecked(config, state, id.instance, id.from, good);
    }
    case 'handover': {
      const { result: inner } = resultOf(result, 'handover');
      return stepHandover(config, state, { kind: 'computed', id: id.id, result: inner }, context);
    }
    case 'certificateShare':
      return onCertificateShareSigned(state, id.member, resultOf(result, 'signature').signature);
    case 'combineCertificate':
      return onCertificateCombined(state, resultOf(result, 'combined', 'combineFailed'));
    default:
      return assertNever(id);
  }
}
