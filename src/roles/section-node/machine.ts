/**
 * One node of the network (README): its section's log if it is an elder, its place in the section,
 * and what it knows of others. Everything a node decides is in the protocols; this file says who
 * hears what.
 */
import { emptyTree, treeWith } from '#protocol/section/index.ts';
import type { HandoverMessage } from '#protocol/handover/index.ts';
import { assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { startFaultDetection } from '#protocol/fault-detection/index.ts';
import { stay, type Context, type Event, type Machine, type NodeId } from '#core/machine.ts';
import { decodeSealedState, type SealedState } from '#protocol/section/index.ts';
import {
  asked,
  giveTicket,
  join,
  reached,
  refusedBy,
  settleArrival,
  takeTicketShare,
  ticketCombined,
  ticketUncombined,
} from './arrival.ts';
import {
  applied,
  repeatShares,
  signed,
  stepAgreement,
  takeSeat,
  takeShare,
  uncombined,
} from './desk.ts';
import { settleDeferred } from './deferred.ts';
import { after, flow, forEach, inOrder, type Flow } from './flow.ts';
import {
  beginSession,
  followSessions,
  isCandidate,
  readyAgain,
  resumeEnded,
  stepSession,
} from './keygen.ts';
import { adopt, announce, heard, previousOf, verified } from './knowledge.ts';
import { recallLinks } from './links.ts';
import { answerMemory, askMemory, noticeIn, remembered } from './memory.ts';
import type { NodeMessage, ShareOf } from './messages.ts';
import { endorsed, offer, wish } from './offering.ts';
import { broadcast, elderIndex, stamp, stampNewest } from './peers.ts';
import { beginRound, heardFrom } from './rounds.ts';
import { readied, readyChecked } from './readiness.ts';
import { combined } from './sealing.ts';
import { sessionKey } from './session-key.ts';
import type {
  Ending,
  SectionNode,
  SectionNodeConfig,
  SectionNodeFact,
  SectionNodeFault,
  SectionNodeInput,
  SectionNodeState,
} from './state.ts';
import {
  followEnding,
  merged,
  snapshotHeld,
  stepEnding,
  takesPart,
  unmerged,
} from './succession.ts';
import { noteIssue, noteMembers } from './suspicion.ts';
import { ask, compare, tellJoiner } from './telling.ts';
import { withAsked } from './verifying.ts';
import { learnt, recalledWays, shownWay, wayVerified } from './way.ts';

export const sectionNode: Machine<SectionNodeConfig, SectionNodeState, SectionNode> = {
  start: (config, facts, context) => {
    const recalled = recall(config, facts);
    const { own } = recalled;
    const round = { kind: 'setTimer', timer: 'round', afterMs: config.roundMs } as const;
    const known = recalledWays(facts);
    if (own === null) return flow(recalled, round, ...known);
    return inOrder(
      noteMembers(config, beginRecall(config, recalled, own)),
      (now) => flow(now, round, ...known),
      (now) => resumeSessions(config, now, facts, context),
      (now) => followSessions(config, now, context),
      (now) => takeSeat(config, now, own, agreementFacts(facts, own), context),
      (now) => followEnding(config, now, own, handoverFacts(facts, own), context),
      (now) => askMemory(config, now),
      (now) => settleArrival(config, now),
      (now) => announce(config, now, own),
    );
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return onInput(config, state, event.input, context);
      case 'received':
        return receive(config, state, event.from, event.message, context);
      case 'timerFired':
        return onTimer(config, state, event.timer, context);
      case 'computed':
        return onComputed(config, state, event.id, event.result, context);
      default:
        return assertNever(event);
    }
  },
};

/** N10: an elder that starts on a store asks whether the store is as new as its words. */
const beginRecall = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  { state: { authority } }: SealedState,
): SectionNodeState =>
  elderIndex(authority, config.self) === 0
    ? state
    : { ...state, recall: { answered: new Set(), facts: [] } };

const blank = (config: SectionNodeConfig): SectionNodeState => ({
  tree: emptyTree(config.anchor),
  own: null,
  previous: null,
  asked: [],
  shares: new Map(),
  desk: null,
  recall: null,
  forgot: new Set(),
  opinions: { arrivals: new Map(), gone: [], faulty: [], places: null, placesOnce: false },
  sessions: new Map(),
  ready: new Map(),
  ending: null,
  joining: null,
  wasMember: false,
  moving: null,
  round: 0,
  answered: new Set(),
  faults: startFaultDetection(),
  told: new Map(),
  verifying: new Map(),
});

/** What our own disk says was verified before it was written. */
function recall(config: SectionNodeConfig, facts: readonly SectionNodeFact[]): SectionNodeState {
  let state = blank(config);
  for (const fact of facts) {
    switch (fact.kind) {
      case 'sealed': {
        const sealed = decodeSealedState(fact.sealed);
        if (!sealed.ok) break;
        const tree = treeWith(state.tree, sealed.value);
        if (!tree.ok) break;
        const { members } = sealed.value.state.authority;
        const wasMember = members.some(({ name }) => equalBytes(name, config.name));
        const previous = previousOf(state, sealed.value.state.authority);
        state = { ...state, tree: tree.value, own: sealed.value, previous, wasMember };
        break;
      }
      case 'links':
        state = { ...state, tree: recallLinks(state.tree, fact.links) };
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
      case 'forgot':
        state = { ...state, forgot: new Set(state.forgot).add(toHex(fact.key)) };
        break;
      case 'joining':
        state = { ...state, joining: { ticket: fact.ticket, refused: null } };
        break;
      case 'removed': // Said again at the start, and nobody is asked to be let in.
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

function resumeSessions(
  config: SectionNodeConfig,
  state: SectionNodeState,
  facts: readonly SectionNodeFact[],
  context: Context,
): Flow {
  const over = new Set(facts.flatMap((fact) => (fact.kind === 'sessionOver' ? [fact.id] : [])));
  const begun = facts.flatMap((fact) => (fact.kind === 'session' ? [fact] : []));
  return forEach(state, begun, (now, { id, plan }) => {
    const own = facts.flatMap((fact) => (fact.kind === 'dkg' && fact.id === id ? [fact.fact] : []));
    return over.has(id)
      ? flow(resumeEnded(config, now, id, plan, own, context))
      : beginSession(config, now, id, plan, own, context);
  });
}

const agreementFacts = (facts: readonly SectionNodeFact[], { state: { authority } }: SealedState) =>
  facts.flatMap((fact) =>
    fact.kind === 'agreement' &&
    fact.generation === authority.generation + 1n &&
    equalBytes(fact.key, authority.key)
      ? [fact.fact]
      : [],
  );

const handoverFacts = (facts: readonly SectionNodeFact[], { state: { authority } }: SealedState) =>
  facts.flatMap((fact) =>
    fact.kind === 'handover' && equalBytes(fact.key, authority.key) ? [fact.fact] : [],
  );

function onInput(
  config: SectionNodeConfig,
  state: SectionNodeState,
  input: SectionNodeInput,
  context: Context,
): Flow {
  switch (input.kind) {
    case 'know':
      return heard(config, state, config.self, input.sealed);
    case 'ask':
      return forEach(
        { ...state, asked: withAsked(state.asked, input.peers) },
        input.peers.filter((peer) => peer !== config.self),
        ask,
      );
    case 'learn':
      return after(learnt(config, state, input.update).flow, (now) =>
        settleDeferred(config, now, context),
      );
    case 'found': {
      const { key, secretShare, index } = input;
      const sealed = decodeSealedState(input.sealed);
      if (!sealed.ok || state.own !== null) return stay(state);
      const share = { key, secretShare, index };
      const next = { ...state, shares: new Map(state.shares).set(toHex(key), share) };
      return after(flow(next, { kind: 'persist', fact: { kind: 'share', ...share } }), (now) =>
        adopt(config, now, sealed.value, 'found', context),
      );
    }
    case 'join':
      return after(
        flow(state, { kind: 'persist', fact: { kind: 'joining', ticket: input.ticket } }),
        (now) => join(config, now, input.ticket),
      );
    case 'reached':
      return after(reached(state, input.name, input.reachable), (now) => wish(config, now));
    case 'placesWanted': {
      const placesOnce = input.once === true;
      const opinions = { ...state.opinions, places: input.places, placesOnce };
      return wish(config, { ...state, opinions });
    }
    case 'misbehaved':
      return stay(noteIssue(config, state, input.name, input.issue));
    case 'moneySealed': {
      if (!isEnding(state, input.key)) return stay(state);
      const { root } = input;
      const own = elderIndex(state.ending.closing.authority, config.self);
      const told = stepEnding(
        config,
        state,
        { kind: 'input', input: { kind: 'moneySealed', root } },
        context,
      );
      return own === 0 ? told : after(told, (now) => held(config, now, own, root, context));
    }
    case 'inherited': {
      const { sealedRoot } = input;
      return isEnding(state, input.key)
        ? stepEnding(
            config,
            state,
            { kind: 'input', input: { kind: 'inherited', sealedRoot } },
            context,
          )
        : stay(state);
    }
    case 'snapshotHeld':
      return isEnding(state, input.key)
        ? held(config, state, input.elder, input.root, context)
        : stay(state);
    case 'merged':
      return isEnding(state, input.key)
        ? after(merged(config, state, input.snapshots, input.root, context), (now) =>
            settleDeferred(config, now, context),
          )
        : stay(state);
    case 'unmerged':
      return isEnding(state, input.key) ? unmerged(state, input.snapshots) : stay(state);
    case 'say': {
      const { key, to, message } = input;
      return flow(state, ...broadcast(state, to, { kind: 'handover', key, message }));
    }
    default:
      return assertNever(input);
  }
}

/** A list is here, and with it perhaps all that a waiting proposal needs. */
const held = (
  config: SectionNodeConfig,
  state: SectionNodeState,
  elder: number,
  root: Uint8Array,
  context: Context,
): Flow =>
  after(snapshotHeld(config, state, elder, root, context), (now) =>
    settleDeferred(config, now, context),
  );

const isEnding = (
  state: SectionNodeState,
  key: Uint8Array,
): state is SectionNodeState & { readonly ending: Ending } =>
  state.ending !== null && equalBytes(state.ending.closing.authority.key, key);

/** First what the header says about the sender's knowledge (N30), then the word itself. */
function receive(
  config: SectionNodeConfig,
  before: SectionNodeState,
  from: NodeId,
  { key, generation, payload }: NodeMessage,
  context: Context,
): Flow {
  const heeded = heed(config, heardFrom(before, from), from, key, payload, context);
  if (payload.kind === 'update' || payload.kind === 'way') return heeded;
  if (payload.kind === 'join') return after(heeded, (now) => tellJoiner(now, from, key));
  return after(heeded, (now) => compare(now, from, key, generation));
}

function heed(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  key: Uint8Array,
  payload: NodeMessage['payload'],
  context: Context,
): Flow {
  const { own } = state;
  // An elder of another key is behind or ahead of us, or of another section: no liar.
  const isOurs = own !== null && equalBytes(own.state.authority.key, key);
  const elder = own === null ? 0 : elderIndex(own.state.authority, from);
  switch (payload.kind) {
    case 'agreement': {
      const { generation } = payload;
      // Only elders can hold words of ours, and each of them is a signature to check.
      const mayHold = isOurs && elder > 0;
      const noticed = mayHold ? noticeIn(config, state, generation, payload.message) : undefined;
      if (noticed !== undefined) return noticed;
      const isMine = state.desk?.generation === payload.generation && elder > 0;
      if (!isMine) return elder > 0 || !isOurs ? flow(state) : blame(state, 'notElder', from);
      const { message } = payload;
      return stepAgreement(config, state, { kind: 'received', from, message }, context);
    }
    case 'share':
      return takeShare(
        config,
        state,
        payload.generation,
        payload.of,
        shareIndex(state, from),
        payload.signature,
        context,
      );
    case 'endorse': {
      if (elder === 0) return isOurs ? blame(state, 'notElder', from) : flow(state);
      const { body, signature } = payload;
      const done = endorsed(config, state, payload.generation, elder, body, signature);
      if (done === 'malformed') return blame(state, 'malformedEndorsement', from);
      return done === 'falseEndorsement' ? blame(state, 'falseEndorsement', from) : done;
    }
    case 'dkg': {
      const id = sessionKey(payload.session, payload.child);
      const session = state.sessions.get(id);
      if (session === undefined || !isCandidate(session, from)) return flow(state);
      const { message } = payload;
      return stepSession(config, state, id, { kind: 'received', from, message }, context);
    }
    case 'ready':
      return state.desk === null
        ? flow(state)
        : readied(state, from, payload.session, payload.child, payload.proof);
    case 'handover': {
      const { message } = payload;
      if (!isEnding(state, payload.key) || !takesPart(state, from)) {
        return elder > 0 ? archivePage(state, payload.key, from, message) : flow(state);
      }
      return stepEnding(config, state, { kind: 'received', from, message }, context);
    }
    case 'update':
      return heard(config, state, from, payload.sealed);
    case 'recall':
      return answerMemory(state, from, isOurs ? elder : 0, payload.generation);
    case 'recalled':
      return isOurs && elder > 0
        ? remembered(config, state, from, payload.generation, payload.words, context)
        : flow(state);
    case 'ping': {
      const pong = { kind: 'pong', round: payload.round } as const;
      // A member that its state has not reached says so with this, and is told.
      const message = own === null ? stampNewest(state, from, pong) : stamp(state, pong);
      return flow(state, { kind: 'send', to: [from], message });
    }
    case 'pong':
      return flow(state); // That it came is what it says.
    case 'join':
      return asked(state, from, payload.body, key);
    case 'way':
      return shownWay(config, state, from, payload.links);
    case 'joinRefused':
      return refusedBy(state, from, payload.reason);
    case 'askTicket':
      return giveTicket(state, from, payload.ticket);
    case 'ticketShare':
      return takeTicketShare(state, from, payload.signature);
    default:
      return assertNever(payload);
  }
}

/** N34: elders of one key give each other what ended before it, long after that handover. */
function archivePage(
  state: SectionNodeState,
  key: Uint8Array,
  from: NodeId,
  message: HandoverMessage,
): Flow {
  if (message.kind === 'news') return flow(state);
  const output =
    message.kind === 'askPage'
      ? ({ kind: 'serve', key, to: from, root: message.root, start: message.start } as const)
      : ({ kind: 'page', key, from, page: message } as const);
  return flow(state, { kind: 'output', output });
}

/** The sender's place among those who sign at this desk. */
function shareIndex(state: SectionNodeState, from: NodeId): number {
  const { desk, own } = state;
  const authority =
    desk?.stage.kind === 'sealing' ? desk.stage.next.authority : own?.state.authority;
  return authority === undefined ? 0 : elderIndex(authority, from);
}

const blame = (state: SectionNodeState, kind: PlainFault, culprit: NodeId): Flow =>
  flow(state, { kind: 'blame', fault: { kind, culprit } });
type PlainFault = Exclude<SectionNodeFault['kind'], 'agreement' | 'dkg' | 'handover'>;

function onTimer(
  config: SectionNodeConfig,
  state: SectionNodeState,
  timer: string,
  context: Context,
): Flow {
  const [owner = '', ...rest] = timer.split('/');
  switch (owner) {
    case 'round':
      return after(beginRound(config, state), (now) => readyAgain(config, now));
    case 'offer':
      return offer(config, state, context);
    case 'recall':
      return askMemory(config, state);
    case 'desk':
      return repeatShares(config, state);
    case 'agreement': {
      const inner = rest[0] as 'pace' | 'lead' | 'repeat';
      return stepAgreement(config, state, { kind: 'timerFired', timer: inner }, context);
    }
    case 'handover':
      return after(
        stepEnding(config, state, { kind: 'timerFired', timer: 'repeat' }, context),
        // What failed, or was lost, is asked for again.
        (now) => settleDeferred(config, now, context),
      );
    case 'dkg':
      return stepSession(
        config,
        state,
        rest[0] ?? '',
        { kind: 'timerFired', timer: 'gossip' },
        context,
      );
    default:
      return flow(state);
  }
}

function onComputed(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  result: SectionNode['result'],
  context: Context,
): Flow {
  const [owner = '', first = '', second = '', third = ''] = id.split('/');
  const inner = (parts: number): string => id.split('/').slice(parts).join('/');
  switch (result.kind) {
    case 'signature':
      if (owner === 'ticket') {
        const { own } = state;
        if (own === null) return flow(state);
        const payload = { kind: 'ticketShare', signature: result.signature } as const;
        return flow(state, ...broadcast(state, [second], payload));
      }
      return signed(config, state, BigInt(first), third as ShareOf, result.signature, context);
    case 'combined':
      return owner === 'ticket'
        ? ticketCombined(state, result.signature)
        : combined(config, state, BigInt(first), third, result.signature, context);
    case 'uncombined':
      return owner === 'ticket'
        ? ticketUncombined(state, result.wrong)
        : uncombined(config, state, BigInt(first), third, result.wrong, context);
    case 'applied':
      return after(applied(config, state, BigInt(first), result.state), (now) =>
        flow(now, {
          kind: 'output',
          output: { kind: 'happened', generation: BigInt(first), events: result.events },
        }),
      );
    case 'valid':
    case 'invalid':
    case 'later': {
      if (state.desk?.generation !== BigInt(first)) return flow(state);
      const event: Event<never> = { kind: 'computed', id: inner(2), result: result as never };
      const judged = stepAgreement(config, state, event, context);
      if (result.kind !== 'later') return judged;
      return after(judged, (now) => settleDeferred(config, now, context));
    }
    case 'verified':
      return verified(config, state, id, result.sealed, context);
    case 'verifiedLinks':
      return after(wayVerified(config, state, id, result.update), (now) =>
        settleDeferred(config, now, context),
      );
    case 'unverified':
      return verified(config, state, id, null, context);
    case 'dkg':
      return stepSession(
        config,
        state,
        first,
        { kind: 'computed', id: inner(2), result: result.result },
        context,
      );
    case 'readyChecked':
      return readyChecked(config, state, first, second, result.good);
    case 'handover':
      return stepEnding(
        config,
        state,
        { kind: 'computed', id: inner(1), result: result.result },
        context,
      );
    default:
      return assertNever(result);
  }
}
