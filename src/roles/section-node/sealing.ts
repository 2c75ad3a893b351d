/** What five shares make at a desk: the chance of a decision first, then the seal that ends it. */
import { assert } from '#core/assert.ts';
import type { Context } from '#core/machine.ts';
import type { SealedState } from '#protocol/section/index.ts';
import { flow, type Flow } from './flow.ts';
import { adopt } from './knowledge.ts';
import type { Desk, SectionNodeConfig, SectionNodeState } from './state.ts';

/** Five shares made the signature of this stage. */
export function combined(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  stage: string,
  signature: Uint8Array,
  context: Context,
): Flow {
  const { desk, own } = state;
  if (desk?.generation !== generation || desk.stage.kind !== stage) return flow(state);
  switch (desk.stage.kind) {
    case 'churning': {
      assert(own !== null, 'a desk belongs to a section');
      const { acts } = desk.stage;
      return flow(
        { ...state, desk: { ...desk, stage: { kind: 'applying' } } },
        {
          kind: 'compute',
          id: `desk/${generation}/apply`,
          job: { kind: 'apply', state: own.state, acts, churn: signature },
        },
      );
    }
    case 'sealing': {
      const { next } = desk.stage;
      return adopt(
        config,
        state,
        { state: next, signature, chain: chainOf(state, desk) },
        'made',
        context,
      );
    }
    case 'agreeing':
    case 'applying':
      return flow(state);
  }
}

/** The link that leads to this key; who knows older ones only is given more (`chainFor`). */
const chainOf = (state: SectionNodeState, desk: Desk): SealedState['chain'] => {
  if (desk.agreement !== null) return state.own?.chain ?? [];
  const link = state.ending?.activated ?? null;
  return link === null ? [] : [link];
};
