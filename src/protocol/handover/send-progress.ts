/** Sends what this node knows of the handover, at first and again until it is over. */
import type { Effect } from '#core/machine.ts';
import { successorHash } from '#protocol/section/index.ts';
import type { HandoverEffects } from './handover-step.ts';
import type { HandoverMessage, HandoverProgress } from './messages.ts';
import { peersOf, selfAsOldElder } from './participants.ts';
import type { HandoverConfig, HandoverProtocol, HandoverState } from './state.ts';

/** The retry interval doubles four times at most: sixteen times the first. */
const maxRetryDoublings = 4;

export const emptyProgress: HandoverProgress = {
  kind: 'progress',
  incomplete: false,
  roots: [],
  share: null,
  successor: null,
  receipts: [],
};

export function progressMessage(
  config: HandoverConfig,
  state: HandoverState,
  incomplete: boolean,
): HandoverProgress {
  const { successor, chosenRecord, ownShare, receipts } = state;
  const roots = [...state.roots.values()].sort((a, b) => a.elder - b.elder);
  const own = selfAsOldElder(config);
  const share =
    successor === null && chosenRecord !== null && own !== undefined && ownShare !== null
      ? { record: successorHash(chosenRecord), signature: ownShare }
      : null;
  return {
    kind: 'progress',
    incomplete,
    roots: successor === null ? roots : [],
    share,
    successor,
    receipts: [...receipts.values()],
  };
}

export const sendToPeers = (config: HandoverConfig, message: HandoverMessage): HandoverEffects => {
  const to = peersOf(config);
  return to.length === 0 ? [] : [{ kind: 'send', to, message }];
};

export const repeatProgress = (
  config: HandoverConfig,
  { round }: HandoverState,
): Effect<HandoverProtocol> => ({
  kind: 'setTimer',
  timer: 'repeat',
  afterMs: config.repeatEveryMs * 2 ** Math.min(round, maxRetryDoublings),
});
