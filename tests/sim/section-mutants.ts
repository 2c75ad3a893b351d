/**
 * Bugs planted into the composition of a node, one per rule that only the composition can break: a
 * machine around the honest one, or jobs with another result. Protocols have their own lists.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, Effect, Event, Step } from '#core/machine.ts';
import {
  actBodyBytes,
  actId,
  decodeActBody,
  endorse,
  type ActBody,
} from '#protocol/membership/index.ts';
import { authoritySigningBytes, bindLedger, type SectionState } from '#protocol/section/index.ts';
import {
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import type { SectionMachine } from './section-check.ts';
import { lieNamed, type SectionLie } from './section-lies.ts';
import { namedIdentity, rough, type Story } from './section-world.ts';
import type { Faults } from './world.ts';

export interface SectionMutant {
  readonly name: string;
  readonly story: 'handover' | 'split' | 'relocation';
  readonly found: RegExp;
  readonly machine?: SectionMachine;
  readonly compute?: Story['compute'];
  readonly lie?: SectionLie;
  readonly faults?: Faults;
}

type NodeStep = Step<SectionNodeState, SectionNode>;
type Edit = (
  step: NodeStep,
  config: SectionNodeConfig,
  before: SectionNodeState | null,
  event: Event<SectionNode> | null,
) => NodeStep;

const edited = (edit: Edit): SectionMachine => ({
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

/** Gives the honest machine another event, state or configuration than came. */
const misled = (
  step: (
    config: SectionNodeConfig,
    state: SectionNodeState,
    event: Event<SectionNode>,
    context: Context,
  ) => NodeStep,
): SectionMachine => ({ start: sectionNode.start, step });

const isPersist = (effect: Effect<SectionNode>): boolean => effect.kind === 'persist';

/** Signs as soon as it has voted. */
const hasty = (of: 'churn' | 'seal'): SectionMachine =>
  edited((step, config, before) => {
    const { desk, own } = step.state;
    if (desk === null || own === null || desk.stage.kind !== 'agreeing') return step;
    if (before?.desk?.generation === desk.generation) return step;
    const { generation } = desk;
    const signature = new Uint8Array(48).fill(1);
    const payload = { kind: 'share', generation, of, signature } as const;
    const { key } = own.state.authority;
    const to = own.state.authority.elders
      .map(({ name }) => nameToId(name))
      .filter((id) => id !== config.self);
    const message = { key, generation: generation - 1n, payload };
    return { state: step.state, effects: [...step.effects, { kind: 'send', to, message }] };
  });

/** What every elder applies is the same, and wrong. */
const appliedAs =
  (change: (next: SectionState, before: SectionState) => SectionState): Story['compute'] =>
  (job, result) =>
    job.kind === 'apply' && result.kind === 'applied'
      ? { ...result, state: bindLedger(change(result.state, job.state)) }
      : result;

/** The step, and this elder's endorsement of `body` for everybody. */
function endorseTo(
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

const calm: Faults = {
  ...rough,
  crashProbability: 0,
  partition: { probability: 0, forMs: [0, 0] },
};

export const sectionMutants: readonly SectionMutant[] = [
  {
    name: 'N36: the churn share is released before the decision',
    story: 'handover',
    found: /N36|honest node blamed/,
    machine: hasty('churn'),
  },
  {
    name: 'N6: a share of the seal is released before the decision',
    story: 'handover',
    found: /N6|honest node blamed/,
    machine: hasty('seal'),
  },
  {
    name: 'N7: an elder endorses what another one endorses',
    story: 'relocation',
    found: /N7: a member/,
    lie: lieNamed('endorses a joiner'),
    machine: edited((step, config, before, event) => {
      if (event?.kind !== 'received' || event.message.payload.kind !== 'endorse') return step;
      const { desk, own } = step.state;
      const body = decodeActBody(event.message.payload.body);
      if (desk === null || own === null || !body.ok || body.value.kind !== 'join') return step;
      if (before?.desk?.endorsements.has(toHex(actId(body.value))) === true) return step;
      return endorseTo(step, config, desk.share.index, body.value);
    }),
  },
  {
    name: 'N10: words leave before they are on disk',
    story: 'handover',
    found: /N10|honest node blamed|two states/,
    faults: { ...rough, crashProbability: 0.03 },
    machine: withEffects((effects) => [
      ...effects.filter((effect) => !isPersist(effect)),
      ...effects.filter(isPersist),
    ]),
  },
  {
    name: 'N10: a rolled-back disk speaks',
    story: 'handover',
    found: /N10/,
    faults: {
      ...rough,
      crashProbability: 0.004,
      lostTail: { probability: 1, facts: [1, 6], maxNodes: 1 },
    },
    machine: {
      start: (config, facts, context) =>
        sectionNode.start({ ...config, silentUnder: null }, facts, context),
      step: (config, state, event, context) =>
        sectionNode.step({ ...config, silentUnder: null }, state, event, context),
    },
  },
  {
    name: 'N22: membership goes on while the section closes',
    story: 'handover',
    found: /N22/,
    compute: appliedAs((next, before) =>
      before.ledger.phase.kind === 'closing'
        ? { ...next, ledger: { ...next.ledger, places: next.ledger.places + 1 } }
        : next,
    ),
  },
  {
    name: 'N24: a candidate of a live session is lost and the session lives on',
    story: 'handover',
    found: /N24|candidates of an open session/,
    compute: appliedAs((next, before) => {
      const [session] = before.ledger.sessions;
      const [candidate] = session?.children[0]?.candidates ?? [];
      if (next.ledger.phase.kind !== 'open' || next.ledger.sessions.length === 0) return next;
      const members = next.authority.members.filter(
        ({ name }) => candidate === undefined || !equalBytes(name, candidate),
      );
      return { ...next, authority: { ...next.authority, members } };
    }),
  },
  {
    name: 'N24: the new key begins with the members of an older list',
    story: 'handover',
    found: /N24/,
    machine: edited((step, _config, before) => {
      const { desk } = step.state;
      if (desk === null || desk.agreement !== null || desk.stage.kind !== 'sealing') return step;
      if (before?.desk?.agreement === null) return step;
      const { authority } = desk.stage.next;
      const members = authority.members.slice(0, -1);
      const next = { ...desk.stage.next, authority: { ...authority, members } };
      const bytes = authoritySigningBytes(next.authority);
      const stage = { ...desk.stage, next, collector: { ...desk.stage.collector, bytes } };
      return {
        state: { ...step.state, desk: { ...desk, stage } },
        effects: step.effects.map((effect): Effect<SectionNode> =>
          effect.kind === 'compute' &&
          effect.job.kind === 'sign' &&
          effect.job.purpose === 'AUTHORITY'
            ? { ...effect, job: { ...effect.job, bytes } }
            : effect,
        ),
      };
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
        if (!isLink || state.ending === null) return [effect];
        const { key } = state.ending.closing.authority;
        return [effect, { kind: 'output', output: { kind: 'release', key } }];
      }),
    ),
  },
  {
    name: 'N29: elders are voted out although nobody can replace them',
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
    name: 'N30: nobody is told of a new state',
    story: 'handover',
    found: /behind|no new elders/,
    faults: calm,
    machine: withEffects((effects) =>
      effects.filter(
        (effect) => effect.kind !== 'send' || effect.message.payload.kind !== 'update',
      ),
    ),
  },
  {
    name: 'N35: a peer that is behind is told again with every word',
    story: 'handover',
    found: /N35/,
    machine: misled((config, state, event, context) =>
      sectionNode.step(
        config,
        event.kind === 'received' ? { ...state, told: new Map() } : state,
        event,
        context,
      ),
    ),
  },
  {
    name: 'N38: a ticket is not written down when it is used',
    story: 'relocation',
    found: /N38/,
    compute: appliedAs((next) => ({ ...next, ledger: { ...next.ledger, consumed: [] } })),
  },
  {
    name: 'N40: whom a round that nobody answered did not hear is accused',
    story: 'handover',
    found: /N40/,
    machine: edited((step, config, before, event) => {
      if (
        before === null ||
        before.own === null ||
        event?.kind !== 'timerFired' ||
        event.timer !== 'round'
      )
        return step;
      const { desk, own } = step.state;
      if (desk === null || own === null || desk.agreement === null) return step;
      const { members } = own.state.authority;
      if (before.answered.size * 2 >= members.length - 1) return step;
      const silent = members.find(
        ({ name }) => !before.answered.has(nameToId(name)) && nameToId(name) !== config.self,
      );
      if (silent === undefined) return step;
      return endorseTo(step, config, desk.share.index, { kind: 'leave', name: silent.name });
    }),
  },
  {
    name: 'N40: a joiner is endorsed whom nobody reached',
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
