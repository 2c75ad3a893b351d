/**
 * The end of a handover, from freezing money to the activation of the new key: N18–N28. One machine
 * for old and new elders; a node may be both. Rules: docs/spec/handover.md.
 */
import { assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { resultOf, type Effect, type Machine, type NodeId } from '#core/machine.ts';
import { andThen, stepForEach, unchanged } from '#core/step.ts';
import { freezeDue, inheritDue, onReceipt, withReceipt } from './activation.ts';
import { handoverStep, type HandoverEffects, type HandoverStep } from './handover-step.ts';
import type { HandoverMessage, HandoverProgress } from './messages.ts';
import { peersOf, selfAsIncomingElder, selfAsOldElder } from './participants.ts';
import { progressMessage, repeatProgress, sendToPeers } from './send-progress.ts';
import {
  onClaimedSuccessor,
  onOwnShare,
  onSealed,
  onSharesResult,
  onSuccessor,
  onSuccessorShare,
  onSuccessorVerified,
  publishSuccessor,
  signDue,
  withChosenRecord,
} from './sign-successor.ts';
import {
  fetchMissing,
  mergeDue,
  onMoneyFrozen,
  onReferenced,
  onRoot,
  onListHeld,
} from './snapshot-roots.ts';
import type {
  HandoverConfig,
  HandoverFact,
  HandoverInput,
  HandoverProtocol,
  HandoverState,
} from './state.ts';

export const handover: Machine<HandoverConfig, HandoverState, HandoverProtocol> = {
  start: (config, facts) => {
    const state = facts.reduce(applyFact, initialState);
    const { successor, released } = state;
    const again: HandoverEffects = released
      ? [{ kind: 'output', output: { kind: 'releaseSnapshots' } }]
      : [
          repeatProgress(config, state),
          ...sendToPeers(config, progressMessage(config, state, true)),
        ];
    return andThen(
      handoverStep(
        { ...state, activated: false },
        ...freezeDue(config, state),
        ...(successor === null ? [] : publishSuccessor(successor)),
        ...again,
        ...signDue(config, state),
      ),
      (now) => inheritDue(config, now),
    );
  },

  step: (config, state, event) => {
    switch (event.kind) {
      case 'input':
        return onInput(config, state, event.input);
      case 'received':
        return onMessage(config, state, event.from, event.message);
      case 'timerFired':
        return repeat(config, state);
      case 'computed':
        return onComputed(config, state, event.id, event.result);
      default:
        return assertNever(event);
    }
  },
};

const initialState: HandoverState = {
  ownSnapshot: null,
  roots: new Map(),
  rootEquivocators: new Set(),
  referencedSnapshots: new Map(),
  heldSnapshots: new Set(),
  proposed: false,
  chosenRecord: null,
  ownShare: null,
  earlyShares: new Map(),
  collector: null,
  successor: null,
  verifying: new Map(),
  invalidSuccessorFrom: new Set(),
  inherited: false,
  activated: false,
  receipts: new Map(),
  released: false,
  round: 0,
};

/** Snapshots and shares are requested again; the facts hold what other nodes rely on. */
function applyFact(state: HandoverState, fact: HandoverFact): HandoverState {
  switch (fact.kind) {
    case 'snapshotSigned': {
      const { snapshot } = fact;
      const roots = new Map(state.roots).set(snapshot.elder, snapshot);
      return { ...state, ownSnapshot: snapshot, roots, heldSnapshots: new Set([snapshot.elder]) };
    }
    case 'recordChosen':
      return state.chosenRecord === null ? withChosenRecord(state, fact.record) : state; // N20
    case 'succeeded':
      return { ...state, successor: fact.signed };
    case 'inherited':
      return { ...state, inherited: true };
    case 'receipt':
      return withReceipt(state, fact.receipt);
    case 'released':
      return { ...state, released: true };
    default:
      return assertNever(fact);
  }
}

function onInput(config: HandoverConfig, state: HandoverState, input: HandoverInput): HandoverStep {
  switch (input.kind) {
    case 'moneySealed':
      return onMoneyFrozen(config, state, input.root);
    case 'snapshotHeld':
      return onListHeld(state, input);
    case 'snapshotsReferenced':
      return onReferenced(config, state, input.snapshots);
    case 'merged': {
      if (state.chosenRecord !== null || state.proposed) return unchanged(state);
      const { snapshots, sealedRoot } = input;
      return {
        state: { ...state, proposed: true },
        effects: [{ kind: 'output', output: { kind: 'propose', snapshots, sealedRoot } }],
      };
    }
    case 'sealed':
      return onSealed(config, state, input.state);
    case 'succeeded':
      return onSuccessor(config, state, input.signed);
    case 'inherited': {
      const { successor } = state;
      const fits = successor && equalBytes(successor.record.sealedRoot, input.sealedRoot);
      if (fits !== true || selfAsIncomingElder(config) === undefined) return unchanged(state);
      return inheritDue(config, { ...state, inherited: true });
    }
    default:
      return assertNever(input);
  }
}

function onMessage(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  message: HandoverMessage,
): HandoverStep {
  if (!peersOf(config).includes(from)) return unchanged(state);
  switch (message.kind) {
    case 'progress':
      return onProgress(config, state, from, message);
    case 'requestPage': {
      // N27: any holder serves the list; a late incoming elder gets it from others once the old
      // elders released it.
      const { root, start } = message;
      return handoverStep(state, {
        kind: 'output',
        output: { kind: 'serve', to: from, root, start },
      });
    }
    case 'page':
      return handoverStep(state, { kind: 'output', output: { kind: 'page', from, page: message } });
    default:
      return assertNever(message);
  }
}

function onProgress(
  config: HandoverConfig,
  before: HandoverState,
  from: NodeId,
  message: HandoverProgress,
): HandoverStep {
  const { roots, share, successor, receipts, incomplete } = message;
  return andThen(
    stepForEach(before, roots, (state, root) => onRoot(config, state, from, root)),
    (state) => (share === null ? unchanged(state) : onSuccessorShare(config, state, from, share)),
    (state) =>
      successor === null ? unchanged(state) : onClaimedSuccessor(config, state, from, successor),
    (state) =>
      stepForEach(state, receipts, (now, receipt) => onReceipt(config, now, from, receipt)),
    (state) => {
      if (!incomplete) return unchanged(state);
      const answer = progressMessage(config, state, false);
      return handoverStep(state, { kind: 'send', to: [from], message: answer });
    },
  );
}

function onComputed(
  config: HandoverConfig,
  state: HandoverState,
  id: HandoverProtocol['jobId'],
  result: HandoverProtocol['result'],
): HandoverStep {
  switch (id.kind) {
    case 'sign':
      return onOwnShare(config, state, resultOf(result, 'signed').signature);
    case 'combine':
      return onSharesResult(config, state, resultOf(result, 'combined', 'combineFailed'));
    case 'verify':
      return onSuccessorVerified(config, state, id.from, resultOf(result, 'verified').good);
    default:
      return assertNever(id);
  }
}

/** The timer decides nothing: it requests again, and re-sends messages that may be lost. */
function repeat(config: HandoverConfig, before: HandoverState): HandoverStep {
  if (before.released) return unchanged(before);
  const state = { ...before, round: before.round + 1 };
  const effects: Effect<HandoverProtocol>[] = [
    ...sendToPeers(config, progressMessage(config, state, true)),
    repeatProgress(config, state),
    ...freezeDue(config, state),
  ];
  const { chosenRecord, successor } = state;
  if (selfAsOldElder(config) !== undefined && chosenRecord === null && successor === null) {
    effects.push(...fetchMissing(config, state), ...mergeDue(state).effects);
  }
  if (selfAsIncomingElder(config) !== undefined && !state.activated) {
    effects.push(...inheritDue(config, state).effects.filter(({ kind }) => kind === 'output'));
  }
  return { state, effects };
}
