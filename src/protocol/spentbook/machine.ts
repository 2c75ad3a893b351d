/** One slot of the spentbook: R1 PREPARE and R2 COMMIT at one elder. Rules in README.md. */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { onlyCited, sectionKeyHash } from '#money/certificate.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import type {
  Decision,
  InheritedSlot,
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
        switch (message.kind) {
          case 'prepare':
          case 'commit':
          case 'prove':
            return onRequest(config, state, from, message);
          default:
            return stay(state); // Answers are for clients.
        }
      }
      case 'computed':
        return computed(config, state, event.id, event.result);
      case 'input': {
        // R7: what a certificate decided stays; the mint has verified it.
        if (state.record.kind === 'decided' || config.sealed) return stay(state);
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

type Outcome = Step<SpentbookState, Spentbook>;

function onRequest(
  config: SpentbookConfig,
  state: SpentbookState,
  from: NodeId,
  request: SpentbookRequest,
): Outcome {
  const known = slotOf(state.record);
  assert(
    known === undefined || equalBytes(known, request.slot),
    'a message reaches the machine of its own slot',
  );
  const settled = answerAtOnce(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };
  const unknown =
    request.kind === 'prepare' &&
    request.sources.length === 0 &&
    !inheritedAt(config, request.slot);
  if (unknown) {
    // Whoever finishes another's payment has no sources: no lie, and nothing to go by.
    const rule = 'R1: the inputs have no sources';
    return {
      state,
      effects: [reply(from, { kind: 'notAllowed', request: request.request, rule })],
    };
  }
  const job = jobFor(config, request);
  return job === undefined ? stay(state) : ask(state, from, request, job);
}

function jobFor(config: SpentbookConfig, request: SpentbookRequest): Spentbook['job'] | undefined {
  if (request.kind === 'prove') return undefined; // Answered at once, always.
  const { section, secretShare } = config;
  const { slot, transaction } = request;
  if (request.kind === 'commit') {
    const { prepared } = request;
    const known = onlyCited(config.known, prepared);
    return { kind: 'commit', section, secretShare, slot, transaction, prepared, known };
  }
  const { sources } = request;
  const cited = sources.flatMap((source) => (source.kind === 'genesis' ? [] : source.certificates));
  return {
    kind: 'prepare',
    section,
    secretShare,
    ballot: firstBallot,
    slot,
    transaction,
    sources,
    known: onlyCited(config.known, cited),
    bound: inheritedAt(config, slot)?.transaction ?? null,
  };
}

/** What needs no job: the wrong key, a seal, a decision, and whatever was answered before. */
function answerAtOnce(
  config: SpentbookConfig,
  record: SlotRecord,
  message: SpentbookRequest,
): SpentbookAnswer | undefined {
  const { request, slot } = message;
  const { key, epoch, prefix } = config.section;
  if (message.kind === 'prove') return prove(config, message);
  if (!equalBytes(message.section, sectionKeyHash(key))) {
    return { kind: 'otherKey', request, key, epoch };
  }
  if (!matches(prefix, slot)) {
    return { kind: 'notAllowed', request, rule: 'R1: another section keeps this slot' };
  }
  const decided = decisionOf(config, record, slot);
  if (decided !== undefined) return { kind: 'spent', request, ...decided }; // R7
  if (config.sealed) return { kind: 'sealed', request, key, epoch }; // R6
  return answerFromMemory(config, record, message);
}

/** N34: the path of one epoch, as far as this section and its ancestors had sealed the slot. */
function prove(
  config: SpentbookConfig,
  { request, slot, epoch }: SpentbookRequest & { readonly kind: 'prove' },
): SpentbookAnswer {
  const inherited = inheritedAt(config, slot);
  const word = inherited?.words.find((each) => each.epoch === epoch);
  return inherited === undefined || word === undefined
    ? { kind: 'proof', request, txid: new Uint8Array(32), path: null }
    : { kind: 'proof', request, txid: inherited.txid, path: word.path };
}

const inheritedAt = (config: SpentbookConfig, slot: Uint8Array): InheritedSlot | undefined =>
  config.inherited.get(toHex(slot));

function decisionOf(
  config: SpentbookConfig,
  record: SlotRecord,
  slot: Uint8Array,
): Pick<Decision, 'transaction' | 'certificate'> | undefined {
  const decision = record.kind === 'decided' ? record.decision : inheritedAt(config, slot);
  if (decision === undefined || !('certificate' in decision)) return undefined;
  const { transaction, certificate } = decision;
  return { transaction, certificate };
}

/**
 * What this elder, or an epoch before it, already wrote; undefined when it has to think.
 * Idempotent: the same txid gets the same share for ever.
 */
function answerFromMemory(
  config: SpentbookConfig,
  record: SlotRecord,
  message: SpentbookRequest & { readonly kind: 'prepare' | 'commit' },
): SpentbookAnswer | undefined {
  const { request, slot } = message;
  const inherited = inheritedAt(config, slot);
  if (record.kind === 'decided') return undefined;
  if (record.kind === 'open' && inherited === undefined) return undefined;
  const decoded = decodeTransaction(message.transaction);
  if (!decoded.ok) return { kind: 'malformed', request, what: decoded.error };
  const txid = txidOf(decoded.value);
  const last = inherited?.words.at(-1);
  if (inherited !== undefined && last !== undefined && !equalBytes(inherited.txid, txid)) {
    const { transaction } = inherited;
    return { kind: 'bound', request, epoch: last.epoch, path: last.path, transaction }; // R6
  }
  if (record.kind === 'open') return undefined;
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

  if (result.kind === 'unproven') {
    return { state, effects: [reply(from, { ...result, request })] };
  }
  if (result.kind === 'refused') {
    const { what } = result;
    const fault = { kind: 'invalidRequest', culprit: from, what, request: message } as const;
    const answer = reply(from, { kind: 'malformed', request, what });
    return { state, effects: [{ kind: 'blame', fault }, answer] };
  }
  // The slot may have been written, or the section sealed, while the job ran.
  const settled = answerAtOnce(config, state.record, message);
  if (settled) return { state, effects: [reply(from, settled)] };

  assert(message.kind !== 'prove', 'a proof needs no job');
  const { slot } = message;
  // Bytes that five elders sealed are evidence; others of the same txid might not be.
  const transaction = inheritedAt(config, slot)?.transaction ?? message.transaction;
  const { ballot, txid, share } = result;
  const written: Written = { slot, ballot, txid, transaction, share };
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
