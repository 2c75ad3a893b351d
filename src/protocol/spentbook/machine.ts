/** One slot of the spentbook: R1 PREPARE and R2 COMMIT at one elder. Rules in README.md. */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import type {
  SlotRecord,
  Spentbook,
  SpentbookConfig,
  SpentbookFact,
  SpentbookState,
  Written,
} from './state.ts';
import { signVote } from './vote.ts';

/** A client repeats one request per slot; more at once than this is a flood, not a payment. */
export const maxPendingPerSlot = 8;
/** About the time of the jobs in front. */
const busyAfterMs = 1_000;
/** The only ballot until recovery (R3) exists. */
const firstBallot = 0;

export const spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook> = {
  start: (_config, facts) => ({
    state: {
      record: facts.reduce<SlotRecord>(remember, { kind: 'open' }),
      pending: new Map(),
      jobsStarted: 0,
    },
    // Clients repeat until they are answered, so nothing has to be asked for again.
    effects: [],
  }),

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received': {
        const { from, message } = event;
        if (message.kind === 'prepare') return prepare(config, state, from, message);
        if (message.kind === 'commit') return commit(config, state, from, message);
        return stay(state); // Answers are for clients.
      }
      case 'computed':
        return computed(config, state, event.id, event.result);
      case 'input': {
        // R7: what a certificate decided stays; the mint has verified it.
        if (state.record.kind === 'decided') return stay(state);
        const { decision } = event.input;
        return learn(state, { kind: 'decided', decision }, [
          { kind: 'output', output: { kind: 'decided', decision } },
        ]);
      }
      case 'timerFired':
        return stay(state); // R0: elders wait for no clock.
      default:
        return assertNever(event);
    }
  },
};

type Prepare = SpentbookRequest & { readonly kind: 'prepare' };
type Commit = SpentbookRequest & { readonly kind: 'commit' };
type Outcome = Step<SpentbookState, Spentbook>;

function prepare(
  config: SpentbookConfig,
  state: SpentbookState,
  from: NodeId,
  request: Prepare,
): Outcome {
  const refused = atTheDoor(config, state, from, request);
  if (refused) return refused;
  const settled = answerFromRecord(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };
  return ask(state, from, request, {
    kind: 'prepare',
    section: config.section,
    secretShare: config.secretShare,
    ballot: firstBallot,
    slot: request.slot,
    transaction: request.transaction,
    sources: request.sources,
  });
}

function commit(
  config: SpentbookConfig,
  state: SpentbookState,
  from: NodeId,
  request: Commit,
): Outcome {
  const refused = atTheDoor(config, state, from, request);
  if (refused) return refused;
  const settled = answerFromRecord(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };
  return ask(state, from, request, {
    kind: 'commit',
    section: config.section,
    secretShare: config.secretShare,
    slot: request.slot,
    transaction: request.transaction,
    prepared: request.prepared,
  });
}

/** Cheap checks that need no memory of the slot. */
function atTheDoor(
  config: SpentbookConfig,
  state: SpentbookState,
  from: NodeId,
  request: SpentbookRequest,
): Outcome | undefined {
  const known = slotOf(state.record);
  assert(
    known === undefined || equalBytes(known, request.slot),
    'a message reaches the machine of its own slot',
  );
  if (!matches(config.section.prefix, request.slot)) {
    const rule = 'R1: another section keeps this slot';
    return {
      state,
      effects: [reply(from, { kind: 'notAllowed', request: request.request, rule })],
    };
  }
  return undefined;
}

/**
 * What this elder already answered for the slot, or undefined when it has to think. Idempotent:
 * the same bytes get the same share for ever.
 */
function answerFromRecord(
  config: SpentbookConfig,
  record: SlotRecord,
  message: SpentbookRequest,
): SpentbookAnswer | undefined {
  const { request } = message;
  if (record.kind === 'open') return undefined;
  if (record.kind === 'decided') {
    const { transaction, certificate } = record.decision;
    return { kind: 'spent', request, transaction, certificate }; // R7
  }
  const decoded = decodeTransaction(message.transaction);
  if (!decoded.ok) return { kind: 'malformed', request, what: decoded.error };
  const txid = txidOf(decoded.value);
  const bundle = record.kind === 'bundled' ? record.bundle : null;

  if (message.kind === 'commit') {
    if (bundle === null) return undefined; // R2: a valid bundle outweighs our own vote.
    return equalBytes(bundle.txid, txid)
      ? { kind: 'committed', request, share: bundle.share }
      : conflict(config, request, bundle);
  }
  // R1: one vote per ballot; whoever holds a bundle votes for nothing else.
  const { vote } = record;
  if (vote !== null && equalBytes(vote.txid, txid)) {
    return { kind: 'prepared', request, share: vote.share };
  }
  if (vote !== null) return conflict(config, request, vote);
  assert(bundle !== null, 'a slot without vote and bundle is open');
  return equalBytes(bundle.txid, txid) ? undefined : conflict(config, request, bundle);
}

function conflict(config: SpentbookConfig, request: Uint8Array, other: Written): SpentbookAnswer {
  const vote = signVote(config, other);
  return { kind: 'conflict', request, vote, transaction: other.transaction };
}

function ask(
  state: SpentbookState,
  from: NodeId,
  request: SpentbookRequest,
  job: Spentbook['job'],
): Outcome {
  for (const waiting of state.pending.values()) {
    const same = waiting.from === from && equalBytes(waiting.request.request, request.request);
    if (same) return stay(state); // The answer is on its way.
  }
  if (state.pending.size >= maxPendingPerSlot) {
    const busy = { kind: 'busy', request: request.request, afterMs: busyAfterMs } as const;
    return { state, effects: [reply(from, busy)] };
  }
  const id = String(state.jobsStarted);
  const pending = new Map(state.pending).set(id, { from, request });
  return {
    state: { ...state, pending, jobsStarted: state.jobsStarted + 1 },
    effects: [{ kind: 'compute', id, job }],
  };
}

function computed(
  config: SpentbookConfig,
  before: SpentbookState,
  id: string,
  result: Spentbook['result'],
): Outcome {
  const waiting = before.pending.get(id);
  if (waiting === undefined) return stay(before);
  const { from, request: message } = waiting;
  const { request } = message;
  const pending = new Map(before.pending);
  pending.delete(id);
  const state: SpentbookState = { ...before, pending };

  if (result.kind === 'refused') {
    const { what } = result;
    const fault = { kind: 'invalidRequest', culprit: from, what, request: message } as const;
    const answer = reply(from, { kind: 'malformed', request, what });
    return { state, effects: [{ kind: 'blame', fault }, answer] };
  }
  // The slot may have been written while the job ran: the record decides, not the job.
  const settled = answerFromRecord(config, state.record, message);
  if (settled) return { state, effects: [reply(from, settled)] };

  const { ballot, txid, share } = result;
  const written: Written = {
    slot: message.slot,
    ballot,
    txid,
    transaction: message.transaction,
    share,
  };
  // Rule 9: the fact is on disk before the share is on the wire.
  return message.kind === 'prepare'
    ? learn(state, { kind: 'voted', vote: written }, [
        reply(from, { kind: 'prepared', request, share }),
      ])
    : learn(state, { kind: 'bundled', bundle: { ...written, prepared: message.prepared } }, [
        reply(from, { kind: 'committed', request, share }),
      ]);
}

function learn(
  state: SpentbookState,
  fact: SpentbookFact,
  then: readonly Effect<Spentbook>[],
): Outcome {
  return {
    state: { ...state, record: remember(state.record, fact) },
    effects: [{ kind: 'persist', fact }, ...then],
  };
}

/** Adds one fact; facts come in the order they were persisted. */
function remember(record: SlotRecord, fact: SpentbookFact): SlotRecord {
  if (record.kind === 'decided') return record; // R7
  switch (fact.kind) {
    case 'voted':
      return record.kind === 'bundled'
        ? { ...record, vote: fact.vote }
        : { kind: 'voted', vote: fact.vote };
    case 'bundled': {
      const vote = record.kind === 'open' ? null : record.vote;
      return { kind: 'bundled', vote, bundle: fact.bundle };
    }
    case 'decided':
      return { kind: 'decided', decision: fact.decision };
    default:
      return assertNever(fact);
  }
}

function slotOf(record: SlotRecord): Uint8Array | undefined {
  switch (record.kind) {
    case 'open':
      return undefined;
    case 'voted':
      return record.vote.slot;
    case 'bundled':
      return record.bundle.slot;
    case 'decided':
      return record.decision.slot;
    default:
      return assertNever(record);
  }
}

const reply = (to: NodeId, message: SpentbookAnswer): Effect<Spentbook> => ({
  kind: 'send',
  to: [to],
  message,
});
