/** Decides when a new elder activates its key, and when the snapshots of the old one may be deleted. */
import type { NodeId } from '#core/machine.ts';
import { andThen, unchanged } from '#core/step.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import { handoverStep, type HandoverEffects, type HandoverStep } from './handover-step.ts';
import { inheritanceReceiptBytes } from './inheritance-receipt.ts';
import type { InheritanceReceipt } from './messages.ts';
import { chartersOf, peersOf, selfAsIncomingElder, selfAsOldElder } from './participants.ts';
import { emptyProgress, sendToPeers } from './send-progress.ts';
import type { HandoverConfig, HandoverState } from './state.ts';

/** The shell freezes money and answers; its disk may fail, so it is asked until it does. */
export const freezeDue = (
  config: HandoverConfig,
  { ownSnapshot }: HandoverState,
): HandoverEffects =>
  selfAsOldElder(config) !== undefined && ownSnapshot === null
    ? [{ kind: 'output', output: { kind: 'freezeMoney' } }]
    : [];

/** With a verified link: fetch the inheritance; once it is held, sign a receipt and activate. */
export function inheritDue(config: HandoverConfig, state: HandoverState): HandoverStep {
  const incoming = selfAsIncomingElder(config);
  const { successor } = state;
  if (incoming === undefined || successor === null || state.activated) return unchanged(state);
  const { record } = successor;
  if (!state.inherited) {
    const output = {
      kind: 'fetch',
      root: record.sealedRoot,
      elder: null,
      from: peersOf(config),
    } as const;
    return handoverStep(state, { kind: 'output', output });
  }
  // N27: a continuing elder activates only after it froze money under the old key.
  const freeze = freezeDue(config, state);
  if (freeze.length > 0) return handoverStep(state, ...freeze);
  const { child, charter, index } = incoming;
  const bytes = inheritanceReceiptBytes(record, child);
  const signature = config.identity.sign(config.identitySeed, bytes);
  const receipt: InheritanceReceipt = { child, elder: index, signature };
  const next = withReceipt({ ...state, activated: true }, receipt);
  return andThen(
    handoverStep(
      next,
      { kind: 'persist', fact: { kind: 'inherited' } },
      ...sendToPeers(config, { ...emptyProgress, successor, receipts: [receipt] }),
      { kind: 'output', output: { kind: 'activateKey', child, charter, signed: successor } },
    ),
    (now) => releaseDue(config, now),
  );
}

export function onReceipt(
  config: HandoverConfig,
  state: HandoverState,
  from: NodeId,
  receipt: InheritanceReceipt,
): HandoverStep {
  const { successor } = state;
  if (successor === null || state.receipts.has(keyOf(receipt))) return unchanged(state);
  const elder = chartersOf(config)[receipt.child]?.elders.find(
    ({ index }) => index === receipt.elder,
  );
  const bytes = inheritanceReceiptBytes(successor.record, receipt.child);
  if (elder === undefined || !config.identity.verify(elder.name, bytes, receipt.signature)) {
    return { state, effects: [{ kind: 'blame', fault: { kind: 'badReceipt', culprit: from } }] };
  }
  return andThen(
    handoverStep(withReceipt(state, receipt), {
      kind: 'persist',
      fact: { kind: 'receipt', receipt },
    }),
    (now) => releaseDue(config, now),
  );
}

/** N27: five elders of every child hold everything, so this node may delete its snapshots. */
function releaseDue(config: HandoverConfig, state: HandoverState): HandoverStep {
  const enough = chartersOf(config).every((_, child) => {
    const own = [...state.receipts.values()].filter((receipt) => receipt.child === child);
    return own.length >= SHARES_REQUIRED;
  });
  const finished = selfAsIncomingElder(config) === undefined || state.activated;
  if (!enough || !finished || state.released || state.successor === null) return unchanged(state);
  return {
    state: { ...state, released: true },
    effects: [
      { kind: 'persist', fact: { kind: 'released' } },
      { kind: 'output', output: { kind: 'releaseSnapshots' } },
      { kind: 'clearTimer', timer: 'repeat' },
    ],
  };
}

const keyOf = ({ child, elder }: InheritanceReceipt): string => `${child}|${elder}`;

export const withReceipt = (state: HandoverState, receipt: InheritanceReceipt): HandoverState => ({
  ...state,
  receipts: new Map(state.receipts).set(keyOf(receipt), receipt),
});
