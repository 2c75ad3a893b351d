/**
 * Runs one key generation for each child of each session that names this node a candidate. An instance
 * ends when its key was selected and its share is stored, or when the section selected another (N13, N18).
 */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { lift, type Lift } from '#core/lift-effects.ts';
import type { Context, Effect, Event } from '#core/machine.ts';
import { andThen, stepForEach } from '#core/step.ts';
import {
  childSessionId,
  dkg,
  listHash,
  type Dkg,
  type DkgConfig,
  type DkgFact,
  type DkgOutput,
} from '#protocol/dkg/index.ts';
import { readyBytes } from '#protocol/membership/index.ts';
import type { DealingHashes, KeyOrigin, SealedState } from '#protocol/section/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { broadcast, elderIds, messageInSection } from '../recipients.ts';
import { dkgInstanceId } from './instance-id.ts';
import type {
  KeyGeneration,
  SectionNode,
  SectionNodeConfig,
  SectionNodeState,
  SessionPlan,
} from '../state.ts';
import { onShareStored } from '../handover/handover-flow.ts';

/** Starts the key generations that the sealed state names this node for, and ends those it rejected. */
export function followDkgSessions(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): NodeStep {
  const { own } = state;
  if (own === null) return nodeStep(state);
  const isNew = ({ id }: { readonly id: string }): boolean => !state.sessions.has(id);
  const joined = stepForEach(state, plansFor(config, own).filter(isNew), (now, { id, plan }) =>
    andThen(nodeStep(now, { kind: 'persist', fact: { kind: 'session', id, plan } }), (then) =>
      startSession(config, then, id, plan, [], context),
    ),
  );
  // Not persisted: after a restart it follows from the sealed state again.
  const begun = andThen(joined, (now) =>
    stepForEach(now, missedSessions(config, now, own).filter(isNew), (then, { id, plan }) =>
      startSession(config, then, id, plan, [], context),
    ),
  );
  return andThen(begun, (now) =>
    stepForEach(withoutOld(now, own), [...now.sessions.keys()], (then, id) =>
      andThen(finishDecided(config, then, id, context), (last) =>
        endIfOver(config, last, id, context),
      ),
    ),
  );
}

/**
 * DKG-D12: finishes the decided list, whatever other lists this candidate holds. A liar can send different
 * lists to different candidates; only the decision is the same for all.
 */
function finishDecided(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  context: Context,
): NodeStep {
  const session = state.sessions.get(id);
  const list = session && state.own && decidedList(state.own, session.plan);
  if (session === undefined || session.state.kind === 'ended' || !list) return nodeStep(state);
  const hash = toHex(listHash(bindingOf(session.plan), list));
  if (session.state.lists.get(hash)?.wanted === true) return nodeStep(state);
  return stepSession(
    config,
    state,
    id,
    { kind: 'input', input: { kind: 'finish', list } },
    context,
  );
}

/** The decided list of this child, from the closing state or from the next key's `origin`. */
function decidedList(
  { state: { ledger } }: SealedState,
  { session, child }: SessionPlan,
): DealingHashes | undefined {
  const { phase, origin } = ledger;
  if (phase.kind !== 'open' && equalBytes(phase.sessionId, session.id)) return phase.lists[child];
  return isOrigin(origin, session.id, child) ? origin.list : undefined;
}

const isOrigin = (
  origin: KeyOrigin | null,
  session: Uint8Array,
  child: number,
): origin is KeyOrigin =>
  origin !== null && origin.child === child && equalBytes(origin.session, session);

/** An ended session answers only under the key it generated; drops the others. */
function withoutOld(state: SectionNodeState, { state: { ledger } }: SealedState): SectionNodeState {
  const sessions = [...state.sessions].filter(
    ([, { plan, state: inner }]) =>
      inner.kind !== 'ended' || isOrigin(ledger.origin, plan.session.id, plan.child),
  );
  return { ...state, sessions: new Map(sessions) };
}

/** DKG-D11: after a restart an ended session answers from the public part of its facts. */
export function resumeEndedSession(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  plan: SessionPlan,
  facts: readonly DkgFact[],
  context: Context,
): SectionNodeState {
  const { own } = state;
  if (own === null || !isOrigin(own.state.ledger.origin, plan.session.id, plan.child)) return state;
  const { state: inner } = dkg.start(dkgConfig(config, plan), facts, context);
  return { ...state, sessions: new Map(state.sessions).set(id, { plan, state: inner }) };
}

/** @param facts those of this instance, after a restart */
export function startSession(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  plan: SessionPlan,
  facts: readonly DkgFact[],
  context: Context,
): NodeStep {
  const begun = dkg.start(dkgConfig(config, plan), facts, context);
  const sessions = new Map(state.sessions).set(id, { plan, state: begun.state });
  return applyDkgEffects(config, { ...state, sessions }, id, begun.effects, context);
}

export function stepSession(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  event: Event<Dkg>,
  context: Context,
): NodeStep {
  const session = state.sessions.get(id);
  if (session === undefined) return nodeStep(state);
  const stepped = dkg.step(dkgConfig(config, session.plan), session.state, event, context);
  const sessions = new Map(state.sessions).set(id, { ...session, state: stepped.state });
  return applyDkgEffects(config, { ...state, sessions }, id, stepped.effects, context);
}

function applyDkgEffects(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  effects: readonly Effect<Dkg>[],
  context: Context,
): NodeStep {
  const { effects: lifted, outputs } = lift(effects, liftOf(state, id));
  // A late candidate starts over after each restart: only its share is persisted.
  const isLate = state.sessions.get(id)?.plan.late === true;
  const kept = isLate ? lifted.filter(({ kind }) => kind !== 'persist') : lifted;
  return andThen(nodeStep(state, ...kept), (now) =>
    stepForEach(now, outputs, (then, output) => onDkgOutput(config, then, id, output, context)),
  );
}

function onDkgOutput(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  output: DkgOutput,
  context: Context,
): NodeStep {
  const session = state.sessions.get(id);
  if (session === undefined) return nodeStep(state);
  const { plan } = session;
  switch (output.kind) {
    case 'ready': {
      const { session: id, child } = plan;
      const payload = { kind: 'ready', session: id.id, child, proof: output.ready } as const;
      const { own } = state;
      if (own === null) return nodeStep(state);
      // N13: the current elders choose. Includes this node, if it is an elder and a candidate.
      return nodeStep(state, ...broadcast(state, elderIds(own.state.authority), payload));
    }
    case 'share': {
      const { key, secretShare, index } = output.share;
      const share = { key, secretShare, index };
      // The output repeats after a restart, and when the list is decided.
      if (state.shares.has(toHex(key))) return onShareStored(config, state, key, context);
      const shares = new Map(state.shares).set(toHex(key), share);
      const stored = nodeStep(
        { ...state, shares },
        { kind: 'persist', fact: { kind: 'share', ...share } },
      );
      return andThen(stored, (now) => onShareStored(config, now, key, context));
    }
    case 'ended': {
      // DKG-D11: keeps the session of the current key, so that late candidates can finish from its dealings.
      const { origin } = state.own?.state.ledger ?? { origin: null };
      const isOurs = isOrigin(origin, plan.session.id, plan.child);
      const sessions = isOurs ? state.sessions : without(state.sessions, id);
      const over = { kind: 'persist', fact: { kind: 'sessionOver', id } } as const;
      return nodeStep({ ...state, sessions }, ...(plan.late === true ? [] : [over]));
    }
  }
}

/**
 * N13: re-sends readiness proofs every round. A candidate sends nothing more once its key is ready, and
 * all elders may have lost the proof, in transit or by a restart.
 */
export const resendReadiness = (config: SectionNodeConfig, state: SectionNodeState): NodeStep =>
  stepForEach(state, [...state.sessions.values()], (now, { plan, state: inner }) => {
    const { own } = now;
    const isOpen = own?.state.ledger.sessions.some(({ id }) => equalBytes(id, plan.session.id));
    if (own === null || isOpen !== true || inner.kind === 'ended') return nodeStep(now);
    const to = elderIds(own.state.authority).filter((id) => id !== config.self);
    return nodeStep(
      now,
      ...[...inner.lists.values()].flatMap(({ stage }) =>
        stage.kind === 'derived' && stage.proof !== null
          ? broadcast(now, to, {
              kind: 'ready',
              session: plan.session.id,
              child: plan.child,
              proof: stage.proof,
            })
          : [],
      ),
    );
  });

/** N18: ends the instance if the section selected a key or closed the session. */
function endIfOver(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  context: Context,
): NodeStep {
  const { own } = state;
  const session = state.sessions.get(id);
  if (own === null || session === undefined) return nodeStep(state);
  const { plan } = session;
  const { authority, ledger } = own.state;
  if (authority.epoch <= plan.epoch) {
    const open = ledger.sessions.some((each) => equalBytes(each.id, plan.session.id));
    const chosen =
      ledger.phase.kind !== 'open' && equalBytes(ledger.phase.sessionId, plan.session.id);
    return open || chosen || !equalBytes(authority.key, plan.parentKey)
      ? nodeStep(state)
      : endSession(config, state, id, null, context);
  }
  const isMine = isOrigin(ledger.origin, plan.session.id, plan.child);
  // This session generated the current key and our share is missing: keep the instance.
  if (isMine && !state.shares.has(toHex(authority.key))) return nodeStep(state);
  return endSession(config, state, id, isMine ? authority.key : null, context);
}

const endSession = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  won: Uint8Array | null,
  context: Context,
): NodeStep => {
  const input =
    won === null ? ({ kind: 'notSelected' } as const) : ({ kind: 'selected', key: won } as const);
  return stepSession(config, state, id, { kind: 'input', input }, context);
};

function plansFor(
  config: SectionNodeConfig,
  { state: { authority, ledger } }: SealedState,
): readonly { readonly id: string; readonly plan: SessionPlan }[] {
  return ledger.sessions.flatMap((session) =>
    session.children.flatMap(({ candidates }, child) => {
      if (!candidates.some((name) => equalBytes(name, config.name))) return [];
      const fallbackKeys = candidates.map((name) => {
        const member = authority.members.find((each) => equalBytes(each.name, name));
        assert(member !== undefined, 'candidates of an open session are members');
        return member.sharingKey;
      });
      const { networkId, key, epoch } = authority;
      const plan = { session, child, networkId, parentKey: key, epoch, fallbackKeys };
      return [{ id: dkgInstanceId(session.id, child), plan }];
    }),
  );
}

/**
 * The key generation of the current key, at an elder that was offline during it: the others hold the
 * dealings, encrypted to the sharing key in the sealed state (N12).
 */
function missedSessions(
  config: SectionNodeConfig,
  state: SectionNodeState,
  { state: { authority, ledger } }: SealedState,
): readonly { readonly id: string; readonly plan: SessionPlan }[] {
  const { networkId, prefix, key, epoch, elders } = authority;
  const { origin } = ledger;
  const isElderNow = elders.some(({ name }) => equalBytes(name, config.name));
  if (origin === null || !isElderNow || state.shares.has(toHex(key))) return [];
  const candidates = elders.map(({ name }) => name);
  const children = Array.from({ length: origin.child + 1 }, () => ({ prefix, candidates }));
  const session = { id: origin.session, opened: 0n, children };
  const plan = {
    ...{ session, child: origin.child, networkId, fallbackKeys: origin.sharingKeys },
    ...{ parentKey: parentKeyOf(state, key), epoch: epoch - 1n, late: true },
  };
  return [{ id: dkgInstanceId(session.id, origin.child), plan }];
}

const parentKeyOf = ({ tree }: SectionNodeState, key: Uint8Array): Uint8Array =>
  tree.keys.get(toHex(key))?.link?.record.parentKey ?? key;

const candidatesOf = ({ session, child }: SessionPlan): readonly XorName[] =>
  session.children[child]?.candidates ?? [];

const bindingOf = ({ networkId, session, child }: SessionPlan) => ({
  networkId,
  sessionId: childSessionId(session.id, child),
});

function dkgConfig(config: SectionNodeConfig, plan: SessionPlan): DkgConfig {
  const { networkId, sessionId } = bindingOf(plan);
  return {
    self: config.self,
    identitySeed: config.identitySeed,
    networkId,
    sessionId,
    candidates: candidatesOf(plan),
    fallbackKeys: plan.fallbackKeys,
    fallbackSecret: config.sharingSecret,
    readyBytes: (list, keys) =>
      readyBytes({ authority: plan }, plan.session, plan.child, list, keys),
    late: plan.late === true,
    gossipEveryMs: config.paceMs,
    suites: config.suites,
  };
}

const liftOf = (state: SectionNodeState, id: string): Lift<Dkg, SectionNode> => {
  const plan = state.sessions.get(id)?.plan;
  assert(plan !== undefined, 'effects come from an instance');
  return {
    message: (message) =>
      messageInSection(state, {
        kind: 'dkg',
        session: plan.session.id,
        child: plan.child,
        message,
      }),
    fact: (fact) => ({ kind: 'dkg', id, fact }),
    fault: (fault) => ({ kind: 'dkg', culprit: fault.culprit, fault }),
    timer: () => ({ kind: 'dkg', instance: id }),
    job: (job) => ({ kind: 'dkg', job }),
    jobId: (jobId) => ({ kind: 'dkg', instance: id, id: jobId }),
  };
};

const without = (
  sessions: ReadonlyMap<string, KeyGeneration>,
  id: string,
): ReadonlyMap<string, KeyGeneration> => {
  const rest = new Map(sessions);
  rest.delete(id);
  return rest;
};

/** Is this peer a candidate of the instance? */
export const isSessionCandidate = (session: KeyGeneration, id: string): boolean =>
  candidatesOf(session.plan).some((name) => nameToId(name) === id);
