/**
 * N10: an elder whose store lost statements detects it and abstains under that key (decision 17). Only
 * its own signature is proof, so no other node can make it abstain.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import {
  statementsHeldFrom,
  provesLostState,
  ownStatementsIn,
  type AgreementMessage,
  type SignedStatement,
} from '#protocol/agreement/index.ts';
import { agreementConfig } from '../generation/agreement-wiring.ts';
import { resumeSigning } from '../generation/generation-driver.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { outputAdopted } from '../catch-up/adopt-state.ts';
import { broadcast, isDeciding, elderIds, elderIndex } from '../recipients.ts';
import { mustAbstain } from './abstained-keys.ts';
import type { SectionNodeConfig, SectionNodeState, SectionNodeTimer } from '../state.ts';
import { proposeSoon } from '../generation/proposing.ts';

/** Answers required from other elders: with this elder five of seven. */
const answersNeeded = 4;

/** Queries the other elders after a restart. The timer repeats the query and decides nothing. */
export function queryState(config: SectionNodeConfig, state: SectionNodeState): NodeStep {
  const { own, stateRecovery } = state;
  if (own === null || stateRecovery === null) return nodeStep(state);
  const again = {
    kind: 'setTimer',
    timer: { kind: 'stateRecovery' },
    afterMs: config.paceMs,
  } as const;
  if (!isDeciding(state.pendingGeneration)) return nodeStep(state, again);
  const to = elderIds(own.state.authority).filter(
    (id) => id !== config.self && !stateRecovery.answered.has(id),
  );
  const generation = own.state.authority.generation + 1n;
  return nodeStep(state, ...broadcast(state, to, { kind: 'stateQuery', generation }), again);
}

/** Answers also while this node queries: seven elders that start together must not deadlock. */
export function answerStateQuery(
  state: SectionNodeState,
  from: NodeId,
  elder: number,
  generation: bigint,
): NodeStep {
  const { pendingGeneration } = state;
  if (!isDeciding(pendingGeneration) || pendingGeneration.generation !== generation || elder === 0)
    return nodeStep(state);
  const statements = statementsHeldFrom(pendingGeneration.agreement, elder - 1);
  const { agreement } = pendingGeneration;
  const decision =
    agreement.kind === 'open' || agreement.decision === null
      ? []
      : broadcast(state, [from], {
          kind: 'agreement',
          generation,
          message: { kind: 'decision', generation, decision: agreement.decision },
        });
  return nodeStep(
    state,
    ...decision,
    ...broadcast(state, [from], { kind: 'stateAnswer', generation, statements }),
  );
}

export function onStateAnswer(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  generation: bigint,
  statements: readonly SignedStatement[],
  context: Context,
): NodeStep {
  const lostState = checkStatements(config, state, generation, statements);
  if (lostState !== undefined) return lostState;
  const { stateRecovery, pendingGeneration } = state;
  if (stateRecovery === null || pendingGeneration?.generation !== generation)
    return nodeStep(state);
  const answered = new Set(stateRecovery.answered).add(from);
  const next = { ...state, stateRecovery: { ...stateRecovery, answered } };
  if (answered.size < answersNeeded) return nodeStep(next);
  return andThen(resumeSigning(config, next, context), (now) => proposeSoon(config, now));
}

/** Checks an agreement message for statements that this node signed but does not know. */
export const detectLostState = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  message: AgreementMessage,
): NodeStep | undefined => {
  const { own } = state;
  if (own === null || message.generation !== generation) return undefined;
  const statements = ownStatementsIn(agreementConfig(config, own, true), config.name, message);
  return checkStatements(config, state, generation, statements);
};

function checkStatements(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  statements: readonly SignedStatement[],
): NodeStep | undefined {
  const { own, pendingGeneration } = state;
  if (own === null || statements.length === 0) return undefined;
  const { authority } = own.state;
  // Statements of sealed generations are deleted: nothing to compare.
  if (generation <= authority.generation || elderIndex(authority, config.self) === 0) {
    return undefined;
  }
  if (mustAbstain(state, authority.key)) return undefined;
  const scope = { ...agreementConfig(config, own, true), generation };
  const known =
    pendingGeneration?.generation === generation
      ? pendingGeneration.ownStatements
      : new Set<string>();
  return provesLostState(scope, config.name, known, statements)
    ? recordLostState(config, state, authority.key)
    : undefined;
}

const votingTimers: readonly SectionNodeTimer[] = [
  { kind: 'generation' },
  { kind: 'propose' },
  { kind: 'stateRecovery' },
  { kind: 'agreement', timer: 'roundTimeout' },
  { kind: 'agreement', timer: 'preferredVoter' },
  { kind: 'agreement', timer: 'repeat' },
];

/** Persists first, then abstains: from the agreement, the handover and money. */
function recordLostState(
  config: SectionNodeConfig,
  state: SectionNodeState,
  key: Uint8Array,
): NodeStep {
  const { own } = state;
  const keysWithLostState = new Set(state.keysWithLostState).add(toHex(key));
  const abstaining = nodeStep(
    { ...state, keysWithLostState, pendingGeneration: null, stateRecovery: null },
    { kind: 'persist', fact: { kind: 'stateLost', key } },
    ...votingTimers.map((timer) => ({ kind: 'clearTimer', timer }) as const),
    { kind: 'output', output: { kind: 'stateLost', key } },
  );
  return own === null || !equalBytes(own.state.authority.key, key)
    ? abstaining
    : andThen(abstaining, (now) => outputAdopted(config, now, own));
}
