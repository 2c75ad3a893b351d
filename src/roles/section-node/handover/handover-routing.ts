/** Routes inputs, messages, timers and jobs of a handover, and retries deferred proposals after them. */
import { equalBytes } from '#core/codec/bytes.ts';
import type { Context, NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import type { HandoverMessage } from '#protocol/handover/index.ts';
import { retryDeferred } from '../generation/deferred-proposals.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { broadcast, elderIndex } from '../recipients.ts';
import type {
  ActiveHandover,
  SectionNodeConfig,
  SectionNodeInput,
  SectionNodeState,
} from '../state.ts';
import {
  isParticipant,
  onMerged,
  onMergeFailed,
  onSnapshotHeld,
  stepHandover,
} from './handover-flow.ts';

type HandoverInput = Extract<
  SectionNodeInput,
  {
    readonly kind:
      'moneySealed' | 'snapshotHeld' | 'merged' | 'unmerged' | 'inherited' | 'sendHandover';
  }
>;

/** The shell's answers to a handover's outputs; those for another key are ignored. */
export function onHandoverInput(
  config: SectionNodeConfig,
  state: SectionNodeState,
  input: HandoverInput,
  context: Context,
): NodeStep {
  if (input.kind === 'sendHandover') {
    const { key, to, message } = input;
    return nodeStep(state, ...broadcast(state, to, { kind: 'handover', key, message }));
  }
  if (!isHandoverOf(state, input.key)) return unchanged(state);
  switch (input.kind) {
    case 'moneySealed':
      return onMoneySealed(config, state, input.root, context);
    case 'inherited': {
      const { sealedRoot } = input;
      const inherited = { kind: 'inherited', sealedRoot } as const;
      return stepHandover(config, state, { kind: 'input', input: inherited }, context);
    }
    case 'snapshotHeld':
      return onSnapshotArrived(config, state, input.elder, input.root, context);
    case 'merged':
      return andThen(onMerged(config, state, input.snapshots, input.root, context), (now) =>
        retryDeferred(config, now, context),
      );
    case 'unmerged':
      return onMergeFailed(state, input.snapshots);
  }
}

/** An elder of the ending key also holds its own snapshot now. */
function onMoneySealed(
  config: SectionNodeConfig,
  state: SectionNodeState & { readonly activeHandover: ActiveHandover },
  root: Uint8Array,
  context: Context,
): NodeStep {
  const own = elderIndex(state.activeHandover.closingState.authority, config.self);
  const input = { kind: 'moneySealed', root } as const;
  const stepped = stepHandover(config, state, { kind: 'input', input }, context);
  return own === 0
    ? stepped
    : andThen(stepped, (now) => onSnapshotArrived(config, now, own, root, context));
}

/** A handover message. @param elder the sender's index in this node's own section, or 0 */
export function onHandoverMessage(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  elder: number,
  { key, message }: { readonly key: Uint8Array; readonly message: HandoverMessage },
  context: Context,
): NodeStep {
  if (!isHandoverOf(state, key) || !isParticipant(state, from)) {
    return elder > 0 ? archivePage(state, key, from, message) : nodeStep(state);
  }
  return stepHandover(config, state, { kind: 'received', from, message }, context);
}

/** The timer requests again what failed or was lost. */
export const onHandoverTimer = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep =>
  andThen(stepHandover(config, state, { kind: 'timerFired', timer: 'repeat' }, context), (now) =>
    retryDeferred(config, now, context),
  );

/** A snapshot is held; deferred proposals may now be complete. */
const onSnapshotArrived = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  elder: number,
  root: Uint8Array,
  context: Context,
): NodeStep =>
  andThen(onSnapshotHeld(config, state, elder, root, context), (now) =>
    retryDeferred(config, now, context),
  );

const isHandoverOf = (
  state: SectionNodeState,
  key: Uint8Array,
): state is SectionNodeState & { readonly activeHandover: ActiveHandover } =>
  state.activeHandover !== null && equalBytes(state.activeHandover.closingState.authority.key, key);

/** N34: elders of one key exchange merged lists of earlier keys, long after those handovers. */
function archivePage(
  state: SectionNodeState,
  key: Uint8Array,
  from: NodeId,
  message: HandoverMessage,
): NodeStep {
  if (message.kind === 'progress') return nodeStep(state);
  const output =
    message.kind === 'requestPage'
      ? ({ kind: 'serve', key, to: from, root: message.root, start: message.start } as const)
      : ({ kind: 'page', key, from, page: message } as const);
  return nodeStep(state, { kind: 'output', output });
}
