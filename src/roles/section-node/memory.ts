/**
 * N10: an elder whose store is older than its words finds out, and is silent under that key (decision
 * 17). Its own signature convinces it and nothing else, so nobody else can silence it.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, NodeId } from '#core/machine.ts';
import {
  heldOf,
  showsForgotten,
  wordsFor,
  type AgreementMessage,
  type Word,
} from '#protocol/agreement/index.ts';
import { agreementConfig, speakAgain } from './desk.ts';
import { after, flow, type Flow } from './flow.ts';
import { announce } from './knowledge.ts';
import { broadcast, decides, elderIds, elderIndex } from './peers.ts';
import { isSilent } from './silence.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';
import { offerLater } from './offering.ts';

/** Others that must have answered: with this elder itself five of seven. */
const answersNeeded = 4;

/** At the start of a node that was an elder before. The timer repeats the question and decides nothing. */
export function askMemory(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const { own, recall } = state;
  if (own === null || recall === null) return flow(state);
  const again = { kind: 'setTimer', timer: 'recall', afterMs: config.paceMs } as const;
  if (!decides(state.desk)) return flow(state, again);
  const to = elderIds(own.state.authority).filter(
    (id) => id !== config.self && !recall.answered.has(id),
  );
  const generation = own.state.authority.generation + 1n;
  return flow(state, ...broadcast(state, to, { kind: 'recall', generation }), again);
}

/** Also while this node asks itself: seven that start together must not wait for each other. */
export function answerMemory(
  state: SectionNodeState,
  from: NodeId,
  elder: number,
  generation: bigint,
): Flow {
  const { desk } = state;
  if (!decides(desk) || desk.generation !== generation || elder === 0) return flow(state);
  const words = heldOf(desk.agreement, elder - 1);
  const { agreement } = desk;
  const decision =
    agreement.kind === 'open' || agreement.decision === null
      ? []
      : broadcast(state, [from], {
          kind: 'agreement',
          generation,
          message: { kind: 'decision', generation, decision: agreement.decision },
        });
  return flow(
    state,
    ...decision,
    ...broadcast(state, [from], { kind: 'recalled', generation, words }),
  );
}

/** One elder's answer. */
export function remembered(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  generation: bigint,
  words: readonly Word[],
  context: Context,
): Flow {
  const noticed = notice(config, state, generation, words);
  if (noticed !== undefined) return noticed;
  const { recall, desk } = state;
  if (recall === null || desk?.generation !== generation) return flow(state);
  const answered = new Set(recall.answered).add(from);
  const next = { ...state, recall: { ...recall, answered } };
  if (answered.size < answersNeeded) return flow(next);
  return after(speakAgain(config, next, context), (now) => offerLater(config, now));
}

/** A word of the agreement: does it hold one of this node's own that it does not know? */
export const noticeIn = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  message: AgreementMessage,
): Flow | undefined => {
  const { own } = state;
  if (own === null || message.generation !== generation) return undefined;
  const words = wordsFor(agreementConfig(config, own, true), config.name, message);
  return notice(config, state, generation, words);
};

function notice(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  words: readonly Word[],
): Flow | undefined {
  const { own, desk } = state;
  if (own === null || words.length === 0) return undefined;
  const { authority } = own.state;
  // Of what is sealed the words are no longer on the disk, and need not be.
  if (generation <= authority.generation || elderIndex(authority, config.self) === 0) {
    return undefined;
  }
  if (isSilent(config, state, authority.key)) return undefined;
  const scope = { ...agreementConfig(config, own, true), generation };
  const known = desk?.generation === generation ? desk.said : new Set<string>();
  return showsForgotten(scope, config.name, known, words)
    ? forget(config, state, authority.key)
    : undefined;
}

/** On disk first, then silent: at the desk, towards the heirs, and for the money. */
function forget(config: SectionNodeConfig, state: SectionNodeState, key: Uint8Array): Flow {
  const { own } = state;
  const forgot = new Set(state.forgot).add(toHex(key));
  const timers = ['desk', 'offer', 'recall'] as const;
  const silent = flow(
    { ...state, forgot, desk: null, recall: null },
    { kind: 'persist', fact: { kind: 'forgot', key } },
    ...timers.map((timer) => ({ kind: 'clearTimer', timer }) as const),
    ...(['pace', 'lead', 'repeat'] as const).map(
      (timer) => ({ kind: 'clearTimer', timer: `agreement/${timer}` }) as const,
    ),
    { kind: 'output', output: { kind: 'forgot', key } },
  );
  return own === null || !equalBytes(own.state.authority.key, key)
    ? silent
    : after(silent, (now) => announce(config, now, own));
}
