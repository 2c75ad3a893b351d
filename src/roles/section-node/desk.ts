/**
 * An elder's work on the next generation: agree, draw the chance, apply, seal (decision 12).
 *
 * Nothing here decides: the agreement does, and what follows from its decision is computed alike by
 * every elder. Shares are released only after the decision (N6, N36).
 */
import { epochOf } from '#protocol/section/index.ts';
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { lift, type Lift } from '#core/compose.ts';
import type { Context, Event } from '#core/machine.ts';
import {
  agreement,
  type Agreement,
  type AgreementConfig,
  type AgreementFact,
  wordsIn,
} from '#protocol/agreement/index.ts';
import { actNeeds, decodeAct, subjectOf, type ActView } from '#protocol/membership/index.ts';
import { churnMessageBytes } from '#protocol/node-age/index.ts';
import {
  authoritySigningBytes,
  type SealedState,
  type SectionState,
} from '#protocol/section/index.ts';
import {
  combineDue,
  openCollector,
  withoutShares,
  withShare,
  type Collector,
} from './collector.ts';
import { mergedRootOf } from './endings.ts';
import { after, flow, type Flow } from './flow.ts';
import type { ShareOf } from './messages.ts';
import { broadcast, decides, deskElders, elderIndex, signersOf, stamp } from './peers.ts';
import { isSilent } from './silence.ts';
import type {
  Desk,
  HeldShare,
  SectionNode,
  SectionNodeConfig,
  SectionNodeState,
  Stage,
} from './state.ts';

/** An elder that holds its share begins the next generation. */
export function takeSeat(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  facts: readonly AgreementFact[],
  context: Context,
): Flow {
  const { authority } = sealed.state;
  const share = state.shares.get(toHex(authority.key));
  if (elderIndex(authority, config.self) === 0 || share === undefined) return flow(state);
  // N10: what this node said under this key is lost, so it says nothing under it any more.
  if (isSilent(config, state, authority.key)) return flow(state);
  return openDesk(config, state, sealed, share, facts, context);
}

/** Begins the generation after the newest sealed state, with what was said of it before a crash. */
function openDesk(
  config: SectionNodeConfig,
  state: SectionNodeState,
  own: SealedState,
  share: HeldShare,
  facts: readonly AgreementFact[],
  context: Context,
): Flow {
  const { authority, ledger } = own.state;
  // N22: after the sealed set nothing is decided under this key any more.
  if (ledger.phase.kind === 'sealed') return flow({ ...state, desk: null });
  const generation = authority.generation + 1n;
  const recall = state.recall === null ? null : { answered: new Set<string>(), facts };
  const begun = agreement.start(agreementConfig(config, own, recall !== null), facts, context);
  const desk: Desk = {
    generation,
    share,
    agreement: begun.state,
    stage: { kind: 'agreeing' },
    churnShare: null,
    early: { churn: new Map(), seal: new Map() },
    endorsements: new Map(),
    offered: new Set(),
    said: new Set(wordsIn(facts)),
  };
  return absorb(config, { ...state, desk, recall }, begun.effects);
}

/** The first state of a new key: nothing to agree on, only a seal to make. */
export function openFirstDesk(
  config: SectionNodeConfig,
  state: SectionNodeState,
  first: SectionState,
  share: HeldShare,
): Flow {
  const desk: Desk = {
    generation: first.authority.generation,
    share,
    agreement: null,
    stage: sealingStage(first, new Map()),
    churnShare: null,
    early: { churn: new Map(), seal: new Map() },
    endorsements: new Map(),
    offered: new Set(),
    said: new Set(),
  };
  return askSignature(config, { ...state, desk }, 'seal');
}

/** One event for the agreement of this desk. */
export function stepAgreement(
  config: SectionNodeConfig,
  state: SectionNodeState,
  event: Event<Agreement>,
  context: Context,
): Flow {
  const { desk, own } = state;
  if (!decides(desk) || own === null) return flow(state);
  const inner = agreementConfig(config, own, state.recall !== null);
  const stepped = agreement.step(inner, desk.agreement, event, context);
  const next = { ...state, desk: { ...desk, agreement: stepped.state } };
  return absorb(config, next, stepped.effects);
}

/** What the agreement wants done, in the node's words; its decision opens the next stage. */
function absorb(
  config: SectionNodeConfig,
  state: SectionNodeState,
  effects: Parameters<typeof lift<Agreement, SectionNode>>[0],
): Flow {
  const { effects: lifted } = lift(effects, liftOf(state));
  return after(flow(noteSaid(state, effects), ...lifted), (now) => {
    // Also after a restart, when the decision is on disk and no output says it again.
    const decided = now.desk?.agreement?.kind === 'decided' ? now.desk.agreement.decision : null;
    return decided === null ? flow(now) : beginChurn(config, now, decided.proposals);
  });
}

/** N10: what leaves this node is remembered by name, so that it is known again when it comes back. */
function noteSaid(
  state: SectionNodeState,
  effects: Parameters<typeof lift<Agreement, SectionNode>>[0],
): SectionNodeState {
  const { desk } = state;
  const facts = effects.flatMap((effect) => (effect.kind === 'persist' ? [effect.fact] : []));
  const words = wordsIn(facts);
  if (desk === null || words.length === 0) return state;
  return { ...state, desk: { ...desk, said: new Set([...desk.said, ...words]) } };
}

/** N10: four others have said what they hold of this elder, and it knew all of it: it speaks again. */
export function speakAgain(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): Flow {
  const { own, desk, recall } = state;
  const next = { ...state, recall: null };
  if (own === null || recall === null || !decides(desk)) return flow(next);
  if (desk.agreement.kind !== 'open') return flow(next);
  const begun = agreement.start(agreementConfig(config, own, false), recall.facts, context);
  // What was offered meanwhile was heard by nobody.
  const again = { ...desk, agreement: begun.state, offered: new Set<string>() };
  return absorb(config, { ...next, desk: again }, begun.effects);
}

/** N36: the churn message says nothing about what was decided. */
function beginChurn(
  config: SectionNodeConfig,
  state: SectionNodeState,
  acts: readonly Uint8Array[],
): Flow {
  const { desk, own } = state;
  if (desk === null || own === null || desk.stage.kind !== 'agreeing') return flow(state);
  const { networkId, key, epoch } = own.state.authority;
  const bytes = churnMessageBytes({ networkId, key, epoch, generation: desk.generation });
  const stage: Stage = {
    kind: 'churning',
    acts,
    collector: openCollector('CHURN', bytes, desk.early.churn),
  };
  return askSignature(config, { ...state, desk: { ...desk, stage } }, 'churn');
}

/** Our own share of what this stage signs: a job, then a broadcast. */
function askSignature(config: SectionNodeConfig, state: SectionNodeState, of: ShareOf): Flow {
  const collector = collectorOf(state.desk);
  assert(collector !== undefined && state.desk !== null, 'a share is asked for while one is due');
  const { share, generation } = state.desk;
  const { purpose, bytes } = collector;
  return flow(
    state,
    {
      kind: 'compute',
      id: `desk/${generation}/sign/${of}`,
      job: { kind: 'sign', secretShare: share.secretShare, purpose, bytes },
    },
    { kind: 'setTimer', timer: 'desk', afterMs: config.paceMs },
  );
}

/** A share of ours is made. */
export function signed(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  of: ShareOf,
  signature: Uint8Array,
  context: Context,
): Flow {
  const { desk } = state;
  if (desk?.generation !== generation || collectorFor(desk, of) === undefined) return flow(state);
  const churnShare = of === 'churn' ? signature : desk.churnShare;
  const kept = { ...state, desk: { ...desk, churnShare } };
  const taken = takeShare(config, kept, generation, of, desk.share.index, signature, context);
  return after(taken, (now) => tellShare(config, now, of, signature));
}

const tellShare = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  of: ShareOf,
  signature: Uint8Array,
): Flow => {
  const { desk } = state;
  if (desk === null) return flow(state);
  const payload = { kind: 'share', generation: desk.generation, of, signature } as const;
  return flow(state, ...broadcast(state, deskElders(config, state), payload));
};

/** N6: one share per elder; those that come before we are as far wait. */
export function takeShare(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  of: ShareOf,
  index: number,
  signature: Uint8Array,
  context: Context,
): Flow {
  const { desk } = state;
  if (desk?.generation !== generation || index < 1) return flow(state);
  const collector = collectorFor(desk, of);
  if (collector === undefined) {
    if (isPast(desk.stage, of) || desk.early[of].has(index)) return flow(state);
    const early = { ...desk.early, [of]: new Map(desk.early[of]).set(index, signature) };
    return flow({ ...state, desk: { ...desk, early } });
  }
  return collect(config, state, desk, withShare(collector, index, signature), context);
}

function collect(
  _config: SectionNodeConfig,
  state: SectionNodeState,
  desk: Desk,
  collector: Collector,
  _context: Context,
): Flow {
  const section = signersOf(state, desk);
  const due = combineDue(collector, section);
  const next = withCollector(desk, due?.collector ?? collector);
  if (due === undefined) return flow({ ...state, desk: next });
  const id = `desk/${desk.generation}/combine/${desk.stage.kind}`;
  return flow({ ...state, desk: next }, { kind: 'compute', id, job: due.job });
}

/** N6: whoever's share does not verify lied; the others' are tried again. */
export function uncombined(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  stage: string,
  wrong: readonly number[],
  context: Context,
): Flow {
  const { desk } = state;
  if (desk?.generation !== generation || desk.stage.kind !== stage) return flow(state);
  const collector = collectorOf(desk);
  if (collector === undefined) return flow(state);
  const { elders } = signersOf(state, desk);
  const blames = wrong.flatMap((index) => {
    const elder = elders.find((each) => each.index === index);
    if (elder === undefined) return [];
    const culprit = nameToId(elder.name);
    return [{ kind: 'blame', fault: { kind: 'invalidShare', culprit } } as const];
  });
  const again = collect(config, state, desk, withoutShares(collector, wrong), context);
  return { state: again.state, effects: [...blames, ...again.effects] };
}

/** N8: every elder computed the same; now it is sealed. */
export function applied(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  next: SectionState,
): Flow {
  const { desk } = state;
  if (desk?.generation !== generation || desk.stage.kind !== 'applying') return flow(state);
  const stage = sealingStage(next, desk.early.seal);
  return askSignature(config, { ...state, desk: { ...desk, stage } }, 'seal');
}

/** The timer repeats what may be lost, and decides nothing. */
export function repeatShares(config: SectionNodeConfig, state: SectionNodeState): Flow {
  const { desk } = state;
  if (desk === null) return flow(state);
  const again = { kind: 'setTimer', timer: 'desk', afterMs: config.paceMs } as const;
  const seal =
    desk.stage.kind === 'sealing' ? desk.stage.collector.shares.get(desk.share.index) : undefined;
  // Who is a stage behind us still needs what we said there.
  const churn =
    desk.churnShare === null ? flow(state) : tellShare(config, state, 'churn', desk.churnShare);
  const told =
    seal === undefined ? churn : after(churn, (now) => tellShare(config, now, 'seal', seal));
  return { state: told.state, effects: [...told.effects, again] };
}

/** What the job must know beside the state: facts this node holds now (N9). */
export function viewFor(state: SectionNodeState, proposal: Uint8Array): ActView {
  const act = decodeAct(proposal);
  const view: ActView = { sourceEpoch: null, mergedRoot: null };
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

const liftOf = (state: SectionNodeState): Lift<Agreement, SectionNode> => {
  const { desk, own } = state;
  assert(desk !== null && own !== null, 'an agreement runs at a desk');
  const { generation } = desk;
  return {
    message: (message) => stamp(state, { kind: 'agreement', generation, message }),
    fact: (fact) => ({ kind: 'agreement', generation, key: own.state.authority.key, fact }),
    fault: (fault) => ({ kind: 'agreement', culprit: fault.culprit, fault }),
    timer: (timer) => `agreement/${timer}`,
    job: ({ proposal }) => ({
      kind: 'validate',
      state: own.state,
      proposal,
      view: viewFor(state, proposal),
    }),
    jobPrefix: `agreement/${generation}/`,
  };
};

export const agreementConfig = (
  config: SectionNodeConfig,
  { state: { authority } }: SealedState,
  silent: boolean,
): AgreementConfig => ({
  networkId: authority.networkId,
  key: authority.key,
  epoch: authority.epoch,
  generation: authority.generation + 1n,
  elders: authority.elders.map(({ name }) => name),
  identity: config.suites.identity,
  self: config.name,
  identitySeed: config.identitySeed,
  paceMs: config.paceMs,
  silent,
  subjectOf,
});

const sealingStage = (next: SectionState, early: ReadonlyMap<number, Uint8Array>): Stage => ({
  kind: 'sealing',
  next,
  collector: openCollector('AUTHORITY', authoritySigningBytes(next.authority), early),
});

function collectorOf(desk: Desk | null): Collector | undefined {
  const stage = desk?.stage;
  return stage?.kind === 'churning' || stage?.kind === 'sealing' ? stage.collector : undefined;
}

const collectorFor = (desk: Desk, of: ShareOf): Collector | undefined =>
  desk.stage.kind === (of === 'churn' ? 'churning' : 'sealing') ? collectorOf(desk) : undefined;

const isPast = (stage: Stage, of: ShareOf): boolean =>
  of === 'churn' && (stage.kind === 'applying' || stage.kind === 'sealing');

function withCollector(desk: Desk, collector: Collector): Desk {
  const { stage } = desk;
  return stage.kind === 'churning' || stage.kind === 'sealing'
    ? { ...desk, stage: { ...stage, collector } }
    : desk;
}
