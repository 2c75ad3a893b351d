/** Connects the agreement to the node: its configuration, its effects and what its validations need. */
import { assert } from '#core/assert.ts';
import type { Lift } from '#core/lift-effects.ts';
import type { Agreement, AgreementConfig } from '#protocol/agreement/index.ts';
import { actNeeds, decodeAct, subjectOf, type ActContext } from '#protocol/membership/index.ts';
import { epochOf, type SealedState } from '#protocol/section/index.ts';
import { mergedRootOf } from '../handover/handover-acts.ts';
import { messageInSection } from '../recipients.ts';
import type { SectionNode, SectionNodeConfig, SectionNodeState } from '../state.ts';

/** What validation needs in addition to the state: data this node holds now (N9). */
export function actViewFor(state: SectionNodeState, proposal: Uint8Array): ActContext {
  const act = decodeAct(proposal);
  const view: ActContext = { sourceEpoch: null, mergedRoot: null };
  if (!act.ok) return view;
  const needs = actNeeds(act.value.body);
  switch (needs.kind) {
    case 'nothing':
      return view;
    case 'sourceKey':
      return { ...view, sourceEpoch: epochOf(state.tree, needs.key) };
    case 'snapshots':
      return { ...view, mergedRoot: mergedRootOf(state, needs.snapshots) };
  }
}

export const agreementEffectsOf = (state: SectionNodeState): Lift<Agreement, SectionNode> => {
  const { pendingGeneration, own } = state;
  assert(
    pendingGeneration !== null && own !== null,
    'an agreement belongs to a pending generation',
  );
  const { generation } = pendingGeneration;
  return {
    message: (message) => messageInSection(state, { kind: 'agreement', generation, message }),
    fact: (fact) => ({ kind: 'agreement', generation, key: own.state.authority.key, fact }),
    fault: (fault) => ({ kind: 'agreement', culprit: fault.culprit, fault }),
    timer: (timer) => ({ kind: 'agreement', timer }),
    job: ({ proposal }) => ({
      kind: 'validate',
      state: own.state,
      proposal,
      view: actViewFor(state, proposal),
    }),
    jobId: (id) => ({ kind: 'agreement', generation, id }),
  };
};

export const agreementConfig = (
  config: SectionNodeConfig,
  { state: { authority } }: SealedState,
  abstain: boolean,
): AgreementConfig => ({
  networkId: authority.networkId,
  key: authority.key,
  epoch: authority.epoch,
  generation: authority.generation + 1n,
  elders: authority.elders.map(({ name }) => name),
  identity: config.suites.identity,
  self: config.name,
  identitySeed: config.identitySeed,
  roundTimeoutMs: config.paceMs,
  abstain,
  subjectOf,
});
