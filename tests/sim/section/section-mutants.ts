/**
 * Bugs planted into the composition of a node, one per rule that only the composition can break: a
 * machine around the honest one, or jobs with another result. Protocols have their own lists.
 */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, Effect, Event, Step } from '#core/machine.ts';
import type { AgreementState } from '#protocol/agreement/index.ts';
import {
  actBodyBytes,
  actId,
  applyActs,
  decodeActBody,
  endorse,
  sectionRules,
  validateAct,
  actsToEndorse,
  type ActBody,
  type SectionRules,
} from '#protocol/membership/index.ts';
import { churnIdOf, churnMessageBytes } from '#protocol/node-age/index.ts';
import {
  authoritySigningBytes,
  withLedgerRoot,
  firstStateOf,
  type SectionState,
  createThresholdCollector,
} from '#protocol/section/index.ts';
import { startFirstGeneration } from '#roles/section-node/generation/generation-driver.ts';
import { observationsFor } from '#roles/section-node/observations/local-observations.ts';
import {
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import type { SectionMachine } from './section-check.ts';
import { sectionLieNamed, type SectionLie } from './section-adversaries.ts';
import { namedIdentity, faultyNetwork, toySuites, type SectionStory } from './section-world.ts';
import type { Faults } from '../world.ts';

export interface SectionMutant {
  readonly name: string;
  readonly story: 'handover' | 'split' | 'relocation';
  readonly found: RegExp;
  readonly machine?: SectionMachine;
  readonly compute?: SectionStory['compute'];
  readonly lie?: SectionLie;
  readonly faults?: Faults;
  readonly restless?: boolean;
  /** The first seed to run; earlier ones do not show the bug. */
  readonly from?: number;
}

type NodeStep = Step<SectionNodeState, SectionNode>;
type Edit = (
  step: NodeStep,
  config: SectionNodeConfig,
  before: SectionNodeState | null,
  event: Event<SectionNode> | null,
) => NodeStep;

export const edited = (edit: Edit): SectionMachine => ({
  start: (config, facts, context) =>
    edit(sectionNode.start(config, facts, context), config, null, null),
  step: (config, state, event, context) =>
    edit(sectionNode.step(config, state, event, context), config, state, event),
});

const withEffects = (
  edit: (
    effects: readonly Effect<SectionNode>[],
    state: SectionNodeState,
  ) => readonly Effect<SectionNode>[],
): SectionMachine => edited(({ state, effects }) => ({ state, effects: edit(effects, state) }));

/** Passes the honest machine another event, state or configuration. */
const misled = (
  step: (
    config: SectionNodeConfig,
    state: SectionNodeState,
    event: Event<SectionNode>,
    context: Context,
  ) => NodeStep,
): SectionMachine => ({ start: sectionNode.start, step });

const isPersist = (effect: Effect<SectionNode>): boolean => effect.kind === 'persist';

const heldBy = ({ proposals }: Extract<AgreementState, { kind: 'open' }>): readonly Uint8Array[] =>
  [...proposals.values()].flatMap((held) => (held.kind === 'valid' ? [held.bytes] : []));

/** Treats its own precommit as the decision, and continues to the churn id. */
const sealsEarly: SectionMachine = edited((step) => {
  const { pendingGeneration, own } = step.state;
  if (
    pendingGeneration?.agreement?.kind !== 'open' ||
    own === null ||
    pendingGeneration.stage.kind !== 'agreeing'
  )
    return step;
  if (pendingGeneration.agreement.lastSent.precommit === null) return step;
  const acts = heldBy(pendingGeneration.agreement);
  const { networkId, key, epoch } = own.state.authority;
  const { generation, share, earlyShares } = pendingGeneration;
  const bytes = churnMessageBytes({ networkId, key, epoch, generation });
  const collector = createThresholdCollector('CHURN', bytes, earlyShares.churn);
  const { secretShare } = share;
  return {
    state: {
      ...step.state,
      pendingGeneration: {
        ...pendingGeneration,
        stage: { kind: 'drawingRandomness', acts, collector },
      },
    },
    effects: [
      ...step.effects,
      {
        kind: 'compute',
        id: { kind: 'share', generation, of: 'churn' },
        job: { kind: 'sign', secretShare, purpose: 'CHURN', bytes },
      },
      { kind: 'setTimer', timer: { kind: 'generation' }, afterMs: 400 },
    ],
  };
});

/** The jobs of every elder follow other rules of membership. */
const underRules = (changed: Partial<SectionRules>): SectionStory['compute'] => {
  const rules: SectionRules = { ...sectionRules, ...changed };
  const { threshold, identity, dealings } = toySuites;
  const { isSharingKey } = dealings;
  return (job, result) => {
    if (job.kind === 'apply') {
      const { state, events } = applyActs(job.state, job.acts, churnIdOf(job.churn), rules);
      return { kind: 'applied', state, events };
    }
    if (job.kind !== 'validate') return result;
    const { state, proposal, view } = job;
    const verdict = validateAct(
      state,
      proposal,
      { threshold, identity, isSharingKey },
      view,
      rules,
    );
    if (verdict.ok) return { kind: 'valid' };
    return verdict.error.kind === 'later' ? { kind: 'later', proposal } : { kind: 'invalid' };
  };
};

/** Events after which an elder endorses acts. */
const isOccasion = (event: Event<SectionNode> | null): boolean =>
  (event?.kind === 'timerFired' && event.timer.kind === 'pingRound') ||
  (event?.kind === 'input' && event.input.kind === 'setVacancies');

const isOffering = (event: Event<SectionNode>): boolean =>
  (event.kind === 'timerFired' && event.timer.kind === 'propose') ||
  (event.kind === 'received' && event.message.payload.kind === 'endorse');

/** Endorses and proposes as if the section were not closing. */
const endorsingOn: SectionMachine = {
  start: sectionNode.start,
  step: (config, state, event, context) => {
    const { own } = state;
    if (own?.state.ledger.phase.kind !== 'closing' || !(isOccasion(event) || isOffering(event))) {
      return sectionNode.step(config, state, event, context);
    }
    const ledger = { ...own.state.ledger, phase: { kind: 'open' } } as const;
    const blind = { ...own, state: { ...own.state, ledger } };
    const step = sectionNode.step(config, { ...state, own: blind }, event, context);
    return { ...step, state: { ...step.state, own } };
  },
};

/** Seals another state than the right first state of a new key. */
const beginningWith = (
  change: (first: SectionState, final: SectionState) => SectionState,
): SectionMachine =>
  edited((step, _config, before) => {
    const { pendingGeneration, own } = step.state;
    if (
      pendingGeneration === null ||
      pendingGeneration.agreement !== null ||
      pendingGeneration.stage.kind !== 'sealing'
    )
      return step;
    if (own === null || before?.pendingGeneration?.agreement === null) return step;
    const next = change(pendingGeneration.stage.next, own.state);
    const bytes = authoritySigningBytes(next.authority);
    const stage = {
      ...pendingGeneration.stage,
      next,
      collector: { ...pendingGeneration.stage.collector, bytes },
    };
    return {
      state: { ...step.state, pendingGeneration: { ...pendingGeneration, stage } },
      effects: step.effects.map((effect): Effect<SectionNode> =>
        effect.kind === 'compute' &&
        effect.job.kind === 'sign' &&
        effect.job.purpose === 'AUTHORITY'
          ? { ...effect, job: { ...effect.job, bytes } }
          : effect,
      ),
    };
  });

/**
 * A holder of a share of the next key starts when the set is sealed, without the successor record.
 */
const early: SectionMachine = edited((step, config) => {
  const { pendingGeneration, own, activeHandover, shares } = step.state;
  const phase = own?.state.ledger.phase;
  if (
    own === null ||
    pendingGeneration !== null ||
    phase?.kind !== 'sealed' ||
    activeHandover?.activationLink !== null
  ) {
    return step;
  }
  for (const { key } of phase.charters) {
    const share = shares.get(toHex(key));
    const first = share === undefined ? undefined : firstStateOf(own.state, key);
    if (share === undefined || first === undefined) continue;
    const begun = startFirstGeneration(config, step.state, first, share);
    return { state: begun.state, effects: [...step.effects, ...begun.effects] };
  }
  return step;
});

/** Endorses under the old key even after its set was sealed. */
const working: SectionMachine = edited((step, config, _before, event) => {
  const { own, shares } = step.state;
  if (!isOccasion(event) || own?.state.ledger.phase.kind !== 'sealed') return step;
  const [wanted] = actsToEndorse(
    { ...own.state, ledger: { ...own.state.ledger, phase: { kind: 'open' } } },
    observationsFor(step.state),
  );
  const share = shares.get(toHex(own.state.authority.key));
  if (wanted === undefined || share === undefined) return step;
  return endorseTo(step, config, share.index, wanted);
});

/** All elders apply the same wrong change. */
const appliedAs =
  (change: (next: SectionState, before: SectionState) => SectionState): SectionStory['compute'] =>
  (job, result) =>
    job.kind === 'apply' && result.kind === 'applied'
      ? { ...result, state: withLedgerRoot(change(result.state, job.state)) }
      : result;

/** The step, with this elder's endorsement of `body` sent to all other elders. */
export function endorseTo(
  step: NodeStep,
  config: SectionNodeConfig,
  index: number,
  body: ActBody,
): NodeStep {
  const { own } = step.state;
  if (own === null) return step;
  const { elders, key, generation } = own.state.authority;
  const { signature } = endorse(namedIdentity, own.state, index, config.identitySeed, body);
  const payload = {
    kind: 'endorse',
    generation: generation + 1n,
    body: actBodyBytes(body),
    signature,
  } as const;
  const to = elders.map(({ name }) => nameToId(name)).filter((id) => id !== config.self);
  const message = { key, generation, payload };
  return { state: step.state, effects: [...step.effects, { kind: 'send', to, message }] };
}

const withoutRestlessness: Faults = {
  ...faultyNetwork,
  crashProbability: 0,
  partition: { probability: 0, forMs: [0, 0] },
};

/** Never requests the dealings that the decided list names: as if `finish` were missing. */
const unfinishing: SectionMachine = edited((step) => {
  const sessions = new Map(
    [...step.state.sessions].map(([id, session]) => {
      const lists = new Map(
        [...session.state.lists].map(([hash, list]) => [hash, { ...list, wanted: false }]),
      );
      return [id, { ...session, state: { ...session.state, lists } }];
    }),
  );
  const effects = step.effects.map((effect): Effect<SectionNode> => {
    if (effect.kind !== 'send' || effect.message.payload.kind !== 'dkg') return effect;
    const { payload } = effect.message;
    if (payload.message.kind !== 'status') return effect;
    const wants = payload.message.wants.filter(({ hash }) => hash === null);
    const message = { ...payload.message, wants };
    return { ...effect, message: { ...effect.message, payload: { ...payload, message } } };
  });
  return { state: { ...step.state, sessions }, effects };
});

export const sectionMutants: readonly SectionMutant[] = [
  {
    name: 'DKG-D12: the list that the section decided is not finished',
    story: 'handover',
    found: /no share|no new elders/,
    // Of seeds 9 to 41 the bug showed in three: 15, 20 and 28.
    from: 20,
    lie: sectionLieNamed('dkg: a second list'),
    machine: unfinishing,
  },
  {
    name: 'N36: the churn share is released before the decision',
    story: 'handover',
    found: /N36/,
    machine: sealsEarly,
  },
  {
    name: 'N6: a share of the seal is released before the decision',
    story: 'handover',
    from: 2,
    found: /N6/,
    machine: sealsEarly,
  },
  {
    name: 'N6: the seal covers the proposals that an elder holds, not the decided ones',
    story: 'relocation',
    found: /honest node blamed: badShare|two states/,
    machine: edited((step, _config, before) => {
      const { pendingGeneration } = step.state;
      const agreed = before?.pendingGeneration?.agreement;
      if (pendingGeneration?.stage.kind !== 'drawingRandomness' || agreed?.kind !== 'open')
        return step;
      const stage = { ...pendingGeneration.stage, acts: heldBy(agreed) };
      return {
        ...step,
        state: { ...step.state, pendingGeneration: { ...pendingGeneration, stage } },
      };
    }),
  },
  {
    name: 'N7: an elder endorses what another one endorses',
    story: 'relocation',
    found: /N7: a member/,
    lie: sectionLieNamed('endorses a joiner'),
    machine: edited((step, config, before, event) => {
      if (event?.kind !== 'received' || event.message.payload.kind !== 'endorse') return step;
      const { pendingGeneration, own } = step.state;
      const body = decodeActBody(event.message.payload.body);
      if (pendingGeneration === null || own === null || !body.ok || body.value.kind !== 'join')
        return step;
      if (before?.pendingGeneration?.endorsements.has(toHex(actId(body.value))) === true)
        return step;
      return endorseTo(step, config, pendingGeneration.share.index, body.value);
    }),
  },
  {
    name: 'N10: messages are sent before they are on disk',
    story: 'handover',
    found: /N10|honest node blamed|two states/,
    faults: { ...faultyNetwork, crashProbability: 0.03 },
    machine: withEffects((effects) => [
      ...effects.filter((effect) => !isPersist(effect)),
      ...effects.filter(isPersist),
    ]),
  },
  {
    name: 'N10: an elder with a rolled-back disk signs',
    story: 'handover',
    from: 15,
    found: /N10/,
    faults: {
      ...faultyNetwork,
      crashProbability: 0.004,
      lostTail: { probability: 1, facts: [1, 6], maxNodes: 1 },
    },
    machine: {
      ...sectionNode,
      start: (config, facts, context) =>
        sectionNode.start(
          config,
          facts.filter(({ kind }) => kind !== 'stateLost'),
          context,
        ),
    },
  },
  {
    name: 'N19: a new elder starts when the set is sealed, before the old key named it',
    story: 'handover',
    found: /N19: a new elder/,
    machine: early,
  },
  {
    name: 'N19: old elders continue between seal and activation',
    story: 'handover',
    restless: true,
    found: /N19: works on/,
    machine: working,
  },
  {
    name: 'N22: membership changes continue while the section closes',
    story: 'handover',
    restless: true,
    found: /N22/,
    compute: underRules({ isDecidable: () => true }),
    machine: endorsingOn,
  },
  {
    name: 'N24: a candidate of an open session is lost and the session continues',
    story: 'handover',
    from: 3,
    found: /N24|candidates of an open session/,
    compute: underRules({ isEligible: () => true }),
  },
  {
    name: 'N24: the new key begins with the members of an older list',
    story: 'handover',
    found: /N24/,
    machine: beginningWith((first) => {
      const { authority } = first;
      return { ...first, authority: { ...authority, members: authority.members.slice(0, -1) } };
    }),
  },
  {
    name: 'N26: one half of a split is decided alone',
    story: 'split',
    found: /N26/,
    compute: appliedAs((next) => {
      const { phase } = next.ledger;
      if (phase.kind !== 'closing' || phase.charters.length < 2) return next;
      const charters = phase.charters.slice(0, 1);
      return { ...next, ledger: { ...next.ledger, phase: { ...phase, charters } } };
    }),
  },
  {
    name: 'N27: snapshots are released as soon as the link is made',
    story: 'handover',
    found: /N27/,
    machine: withEffects((effects, state) =>
      effects.flatMap((effect): readonly Effect<SectionNode>[] => {
        const isLink =
          effect.kind === 'persist' &&
          effect.fact.kind === 'handover' &&
          effect.fact.fact.kind === 'succeeded';
        if (!isLink || state.activeHandover === null) return [effect];
        const { key } = state.activeHandover.closingState.authority;
        return [effect, { kind: 'output', output: { kind: 'release', key } }];
      }),
    ),
  },
  {
    name: 'N28: elders that stay keep the public shares of the old key',
    story: 'handover',
    found: /honest node blamed: invalidUpdate|no new elders/,
    machine: beginningWith((first, final) => {
      const { elders } = final.authority;
      const shareOf = (name: XorName) =>
        elders.find((each) => equalBytes(each.name, name))?.publicShare;
      const kept = first.authority.elders.map((each) => ({
        ...each,
        publicShare: shareOf(each.name) ?? each.publicShare,
      }));
      return { ...first, authority: { ...first.authority, elders: kept } };
    }),
  },
  {
    name: 'N29: elders are voted out although no node can replace them',
    story: 'handover',
    found: /N29/,
    compute: appliedAs((next, before) => {
      if (next.ledger.phase.kind !== 'open') return next;
      const [first] = before.authority.elders;
      const elders = before.authority.elders.slice(0, first === undefined ? 0 : 3);
      const members = next.authority.members.filter(
        ({ name }) => !elders.some((elder) => equalBytes(elder.name, name)),
      );
      const ledger = { ...next.ledger, sessions: [] };
      return { ledger, authority: { ...next.authority, members } };
    }),
  },
  {
    name: 'N30: a new state is sent to no member',
    story: 'handover',
    found: /behind|no new elders/,
    faults: withoutRestlessness,
    machine: withEffects((effects) =>
      effects.filter(
        (effect) => effect.kind !== 'send' || effect.message.payload.kind !== 'update',
      ),
    ),
  },
  {
    name: 'N35: a peer that is behind is sent an update after each of its messages',
    story: 'handover',
    found: /N35/,
    machine: misled((config, state, event, context) =>
      sectionNode.step(
        config,
        event.kind === 'received' ? { ...state, sentUpdates: new Map() } : state,
        event,
        context,
      ),
    ),
  },
  {
    name: 'N38: a used relocation certificate is not recorded',
    story: 'relocation',
    found: /N38/,
    compute: underRules({ withUsedCertificate: ({ usedCertificates }) => usedCertificates }),
  },
  {
    name: 'N40: a member is accused after a round that no member answered',
    story: 'handover',
    found: /N40/,
    machine: edited((step, config, before, event) => {
      if (
        before === null ||
        before.own === null ||
        event?.kind !== 'timerFired' ||
        event.timer.kind !== 'pingRound'
      )
        return step;
      const { pendingGeneration, own } = step.state;
      if (pendingGeneration === null || own === null || pendingGeneration.agreement === null)
        return step;
      const { members } = own.state.authority;
      if (before.respondedPeers.size * 2 >= members.length - 1) return step;
      const silent = members.find(
        ({ name }) => !before.respondedPeers.has(nameToId(name)) && nameToId(name) !== config.self,
      );
      if (silent === undefined) return step;
      return endorseTo(step, config, pendingGeneration.share.index, {
        kind: 'leave',
        name: silent.name,
      });
    }),
  },
  {
    name: 'N40: a joining node is endorsed that no elder reached',
    story: 'relocation',
    found: /N40/,
    machine: misled((config, state, event, context) =>
      sectionNode.step(
        config,
        state,
        event.kind === 'input' && event.input.kind === 'reached'
          ? { ...event, input: { ...event.input, reachable: true } }
          : event,
        context,
      ),
    ),
  },
];
