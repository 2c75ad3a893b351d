/**
 * The key generations this node takes part in: each child of each session that the sealed state
 * names it a candidate of. An instance lives until its key won and its share is stored, or until
 * the section chose otherwise (N13, N18).
 */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { lift, type Lift } from '#core/compose.ts';
import type { Context, Effect, Event } from '#core/machine.ts';
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
import { after, flow, forEach, type Flow } from './flow.ts';
import { broadcast, elderIds, stamp } from './peers.ts';
import { sessionKey } from './session-key.ts';
import type {
  KeyGeneration,
  SectionNode,
  SectionNodeConfig,
  SectionNodeState,
  SessionPlan,
} from './state.ts';
import { shareStored } from './succession.ts';

/** Starts what the sealed state calls this node to, and ends what it has decided against. */
export function followSessions(
  config: SectionNodeConfig,
  state: SectionNodeState,
  context: Context,
): Flow {
  const { own } = state;
  if (own === null) return flow(state);
  const isNew = ({ id }: { readonly id: string }): boolean => !state.sessions.has(id);
  const called = forEach(state, plansFor(config, own).filter(isNew), (now, { id, plan }) =>
    after(flow(now, { kind: 'persist', fact: { kind: 'session', id, plan } }), (then) =>
      beginSession(config, then, id, plan, [], context),
    ),
  );
  // Not on disk: it follows from the sealed state, also after a restart.
  const begun = after(called, (now) =>
    forEach(now, missedBy(config, now, own).filter(isNew), (then, { id, plan }) =>
      beginSession(config, then, id, plan, [], context),
    ),
  );
  return after(begun, (now) =>
    forEach(withoutOld(now, own), [...now.sessions.keys()], (then, id) =>
      after(finishDecided(config, then, id, context), (last) =>
        endIfOver(config, last, id, context),
      ),
    ),
  );
}

/**
 * D12: the list that was decided is the list to finish, whatever this candidate holds of others. A
 * liar shows different lists to different candidates, and only the decision is the same for all.
 */
function finishDecided(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  context: Context,
): Flow {
  const session = state.sessions.get(id);
  const list = session && state.own && decidedList(state.own, session.plan);
  if (session === undefined || session.state.kind === 'ended' || !list) return flow(state);
  const hash = toHex(listHash(bindingOf(session.plan), list));
  if (session.state.lists.get(hash)?.wanted === true) return flow(state);
  return stepSession(
    config,
    state,
    id,
    { kind: 'input', input: { kind: 'finish', list } },
    context,
  );
}

/** What the section decided to make of this child, as its closing states and the next key's say it. */
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

/** What an ended session still answers is of use under the key it made, and under no other. */
function withoutOld(state: SectionNodeState, { state: { ledger } }: SealedState): SectionNodeState {
  const sessions = [...state.sessions].filter(
    ([, { plan, state: inner }]) =>
      inner.kind !== 'ended' || isOrigin(ledger.origin, plan.session.id, plan.child),
  );
  return { ...state, sessions: new Map(sessions) };
}

/** D11: an ended session answers again after a restart, from the public part of its facts. */
export function resumeEnded(
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

/** Also after a restart, with the facts of this instance. */
export function beginSession(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  plan: SessionPlan,
  facts: readonly DkgFact[],
  context: Context,
): Flow {
  const begun = dkg.start(dkgConfig(config, plan), facts, context);
  const sessions = new Map(state.sessions).set(id, { plan, state: begun.state });
  return absorb(config, { ...state, sessions }, id, begun.effects, context);
}

export function stepSession(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  event: Event<Dkg>,
  context: Context,
): Flow {
  const session = state.sessions.get(id);
  if (session === undefined) return flow(state);
  const stepped = dkg.step(dkgConfig(config, session.plan), session.state, event, context);
  const sessions = new Map(state.sessions).set(id, { ...session, state: stepped.state });
  return absorb(config, { ...state, sessions }, id, stepped.effects, context);
}

function absorb(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  effects: readonly Effect<Dkg>[],
  context: Context,
): Flow {
  const { effects: lifted, outputs } = lift(effects, liftOf(state, id));
  // A late candidate asks again after each start and reads nothing of it back: its share alone is kept.
  const isLate = state.sessions.get(id)?.plan.late === true;
  const kept = isLate ? lifted.filter(({ kind }) => kind !== 'persist') : lifted;
  return forEachAfter(flow(state, ...kept), outputs, (now, output) =>
    heed(config, now, id, output, context),
  );
}

const forEachAfter = <T>(
  before: Flow,
  items: readonly T[],
  each: (state: SectionNodeState, item: T) => Flow,
): Flow => after(before, (now) => forEach(now, items, each));

function heed(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  output: DkgOutput,
  context: Context,
): Flow {
  const session = state.sessions.get(id);
  if (session === undefined) return flow(state);
  const { plan } = session;
  switch (output.kind) {
    case 'ready': {
      const { session: id, child } = plan;
      const payload = { kind: 'ready', session: id.id, child, proof: output.ready } as const;
      const { own } = state;
      if (own === null) return flow(state);
      // N13: the current elders pick; whoever of them is a candidate too tells itself the same way.
      return flow(state, ...broadcast(state, elderIds(own.state.authority), payload));
    }
    case 'share': {
      const { key, secretShare, index } = output.share;
      const share = { key, secretShare, index };
      // Said again after a restart, and when the list is decided.
      if (state.shares.has(toHex(key))) return shareStored(config, state, key, context);
      const shares = new Map(state.shares).set(toHex(key), share);
      const stored = flow(
        { ...state, shares },
        { kind: 'persist', fact: { kind: 'share', ...share } },
      );
      return after(stored, (now) => shareStored(config, now, key, context));
    }
    case 'ended': {
      // D11: whoever missed the end of the key in force finishes from what this node still holds.
      const { origin } = state.own?.state.ledger ?? { origin: null };
      const isOurs = isOrigin(origin, plan.session.id, plan.child);
      const sessions = isOurs ? state.sessions : without(state.sessions, id);
      const over = { kind: 'persist', fact: { kind: 'sessionOver', id } } as const;
      return flow({ ...state, sessions }, ...(plan.late === true ? [] : [over]));
    }
  }
}

/**
 * N13: a candidate is silent once its key is ready, so the elders hear of that again with every round:
 * the word may have been lost, or been forgotten with a restart, at all of them.
 */
export const readyAgain = (config: SectionNodeConfig, state: SectionNodeState): Flow =>
  forEach(state, [...state.sessions.values()], (now, { plan, state: inner }) => {
    const { own } = now;
    const isOpen = own?.state.ledger.sessions.some(({ id }) => equalBytes(id, plan.session.id));
    if (own === null || isOpen !== true || inner.kind === 'ended') return flow(now);
    const to = elderIds(own.state.authority).filter((id) => id !== config.self);
    return flow(
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

/** N18: the section has a key of its own making, or has closed the session. */
function endIfOver(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  context: Context,
): Flow {
  const { own } = state;
  const session = state.sessions.get(id);
  if (own === null || session === undefined) return flow(state);
  const { plan } = session;
  const { authority, ledger } = own.state;
  if (authority.epoch <= plan.epoch) {
    const open = ledger.sessions.some((each) => equalBytes(each.id, plan.session.id));
    const chosen =
      ledger.phase.kind !== 'open' && equalBytes(ledger.phase.sessionId, plan.session.id);
    return open || chosen || !equalBytes(authority.key, plan.parentKey)
      ? flow(state)
      : end(config, state, id, null, context);
  }
  const isMine = isOrigin(ledger.origin, plan.session.id, plan.child);
  // The key in force came out of this session and my share is still out: keep looking for it.
  if (isMine && !state.shares.has(toHex(authority.key))) return flow(state);
  return end(config, state, id, isMine ? authority.key : null, context);
}

const end = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  won: Uint8Array | null,
  context: Context,
): Flow => {
  const input = won === null ? ({ kind: 'lost' } as const) : ({ kind: 'won', key: won } as const);
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
      return [{ id: sessionKey(session.id, child), plan }];
    }),
  );
}

/**
 * The key generation of the key in force, at one of its elders that was away while it went on: the
 * others hold the dealings, which are sealed to the agreed key that the state remembers (N12).
 */
function missedBy(
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
  return [{ id: sessionKey(session.id, origin.child), plan }];
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
      stamp(state, { kind: 'dkg', session: plan.session.id, child: plan.child, message }),
    fact: (fact) => ({ kind: 'dkg', id, fact }),
    fault: (fault) => ({ kind: 'dkg', culprit: fault.culprit, fault }),
    timer: (timer) => `dkg/${id}/${timer}`,
    job: (job) => ({ kind: 'dkg', job }),
    jobPrefix: `dkg/${id}/`,
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
export const isCandidate = (session: KeyGeneration, id: string): boolean =>
  candidatesOf(session.plan).some((name) => nameToId(name) === id);
