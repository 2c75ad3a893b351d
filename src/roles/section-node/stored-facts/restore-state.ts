/** Rebuilds the node's state from its stored facts at a start. */
import { assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context } from '#core/machine.ts';
import { stepForEach } from '#core/step.ts';
import { startFaultDetection } from '#protocol/fault-detection/index.ts';
import {
  createTree,
  decodeSealedState,
  treeWith,
  type SealedState,
} from '#protocol/section/index.ts';
import { previousAuthorityOf } from '../catch-up/adopt-state.ts';
import { resumeEndedSession, startSession } from '../dkg/dkg-sessions.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { elderIndex } from '../recipients.ts';
import type { SectionNodeConfig, SectionNodeFact, SectionNodeState } from '../state.ts';
import { restoreLinks } from './stored-links.ts';

/** N10: an elder that restarts asks others whether its store lost statements. */
export const startStateRecovery = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  { state: { authority } }: SealedState,
): SectionNodeState =>
  elderIndex(authority, config.self) === 0
    ? state
    : { ...state, stateRecovery: { answered: new Set(), facts: [] } };

const initialState = (config: SectionNodeConfig): SectionNodeState => ({
  tree: createTree(config.anchor),
  own: null,
  previous: null,
  queriedPeers: [],
  shares: new Map(),
  pendingGeneration: null,
  stateRecovery: null,
  keysWithLostState: new Set(),
  observations: {
    joinRequests: new Map(),
    gone: [],
    faulty: [],
    vacancies: null,
    vacanciesOnce: false,
  },
  sessions: new Map(),
  readinessProofs: new Map(),
  activeHandover: null,
  joining: null,
  wasMember: false,
  relocation: null,
  pingRound: 0,
  respondedPeers: new Set(),
  faults: startFaultDetection(),
  sentUpdates: new Map(),
  verifying: new Map(),
});

/** Stored facts were verified before they were written. */
export function restoreState(
  config: SectionNodeConfig,
  facts: readonly SectionNodeFact[],
): SectionNodeState {
  let state = initialState(config);
  for (const fact of facts) {
    switch (fact.kind) {
      case 'sealed': {
        const sealed = decodeSealedState(fact.sealed);
        if (!sealed.ok) break;
        const tree = treeWith(state.tree, sealed.value);
        if (!tree.ok) break;
        const { members } = sealed.value.state.authority;
        const wasMember = members.some(({ name }) => equalBytes(name, config.name));
        const previous = previousAuthorityOf(state, sealed.value.state.authority);
        state = { ...state, tree: tree.value, own: sealed.value, previous, wasMember };
        break;
      }
      case 'links':
        state = { ...state, tree: restoreLinks(state.tree, fact.links) };
        break;
      case 'share': {
        const { key, secretShare, index } = fact;
        const shares = new Map(state.shares).set(toHex(key), { key, secretShare, index });
        state = { ...state, shares };
        break;
      }
      case 'shareErased': {
        const shares = new Map(state.shares);
        shares.delete(toHex(fact.key));
        state = { ...state, shares };
        break;
      }
      case 'stateLost':
        state = {
          ...state,
          keysWithLostState: new Set(state.keysWithLostState).add(toHex(fact.key)),
        };
        break;
      case 'joining':
        state = { ...state, joining: { certificate: fact.certificate, refused: null } };
        break;
      case 'removed': // The start outputs `removed` again and sends no join request.
        state = { ...state, wasMember: true, joining: null };
        break;
      case 'agreement':
      case 'session':
      case 'dkg':
      case 'sessionOver':
      case 'handover':
        break;
      default:
        assertNever(fact);
    }
  }
  return state;
}

export function resumeSessions(
  config: SectionNodeConfig,
  state: SectionNodeState,
  facts: readonly SectionNodeFact[],
  context: Context,
): NodeStep {
  const over = new Set(facts.flatMap((fact) => (fact.kind === 'sessionOver' ? [fact.id] : [])));
  const begun = facts.flatMap((fact) => (fact.kind === 'session' ? [fact] : []));
  return stepForEach(state, begun, (now, { id, plan }) => {
    const own = facts.flatMap((fact) => (fact.kind === 'dkg' && fact.id === id ? [fact.fact] : []));
    return over.has(id)
      ? nodeStep(resumeEndedSession(config, now, id, plan, own, context))
      : startSession(config, now, id, plan, own, context);
  });
}

export const agreementFacts = (
  facts: readonly SectionNodeFact[],
  { state: { authority } }: SealedState,
) =>
  facts.flatMap((fact) =>
    fact.kind === 'agreement' &&
    fact.generation === authority.generation + 1n &&
    equalBytes(fact.key, authority.key)
      ? [fact.fact]
      : [],
  );

export const handoverFacts = (
  facts: readonly SectionNodeFact[],
  { state: { authority } }: SealedState,
) =>
  facts.flatMap((fact) =>
    fact.kind === 'handover' && equalBytes(fact.key, authority.key) ? [fact.fact] : [],
  );
