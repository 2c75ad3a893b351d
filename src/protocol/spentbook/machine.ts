/** One slot of the spentbook: SPENTBOOK-R1 PREPARE and SPENTBOOK-R2 COMMIT at one elder. */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import { keysForCertificates } from '#money/spend-certificate.ts';
import { answerWithoutJob, inheritedAt } from './refuse-double-spend.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import type {
  SlotRecord,
  Spentbook,
  SpentbookConfig,
  SpentbookFact,
  SpentbookState,
  SignedSpend,
} from './state.ts';

/** A client needs one request per slot; more than this at the same time is a flood. */
export const maxPendingPerSlot = 8;
/** About the duration of the jobs ahead. */
const busyAfterMs = 1_000;
/** The only ballot until recovery (SPENTBOOK-R3) exists. */
const firstBallot = 0;

export const spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook> = {
  start: (_config, facts) => ({
    state: {
      record: facts.reduce<SlotRecord>(applyFact, { kind: 'open' }),
      pending: new Set(),
    },
    // Clients resend until they are answered, so nothing is requested again.
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
            return unchanged(state); // Answers are for clients.
        }
      }
      case 'computed':
        return computed(config, state, event.id, event.result);
      case 'input': {
        // SPENTBOOK-R7: a decided slot never changes; the mint has verified the certificate.
        if (state.record.kind === 'decided' || config.sealed) return unchanged(state);
        const { decision } = event.input;
        return recordFact(state, { kind: 'decided', decision }, [
          { kind: 'output', output: { kind: 'decided', decision } },
        ]);
      }
      case 'timerFired':
        return unchanged(state); // SPENTBOOK-R0: elders use no timeouts.
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
  const settled = answerWithoutJob(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };
  const unknown =
    request.kind === 'prepare' &&
    request.sources.length === 0 &&
    !inheritedAt(config, request.slot);
  if (unknown) {
    // A client that completes another's payment has no sources: no fault, but nothing to verify.
    const rule = 'SPENTBOOK-R1: the inputs have no sources';
    return {
      state,
      effects: [reply(from, { kind: 'notAllowed', request: request.request, rule })],
    };
  }
  const job = jobFor(config, request);
  return job === undefined ? unchanged(state) : startJob(state, from, request, job);
}

function jobFor(config: SpentbookConfig, request: SpentbookRequest): Spentbook['job'] | undefined {
  if (request.kind === 'prove') return undefined; // Always answered immediately.
  const { section, secretShare } = config;
  const { slot, transaction } = request;
  if (request.kind === 'commit') {
    const { prepared } = request;
    const known = keysForCertificates(config.known, prepared);
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
    known: keysForCertificates(config.known, cited),
    bound: inheritedAt(config, slot)?.transaction ?? null,
  };
}

function startJob(
  state: SpentbookState,
  from: NodeId,
  request: SpentbookRequest,
  job: Spentbook['job'],
): Outcome {
  const id = { from, request };
  const key = pendingKey(id);
  if (state.pending.has(key)) return unchanged(state); // The answer will be sent when the job ends.
  if (state.pending.size >= maxPendingPerSlot) {
    const busy = { kind: 'busy', request: request.request, afterMs: busyAfterMs } as const;
    return { state, effects: [reply(from, busy)] };
  }
  const pending = new Set(state.pending).add(key);
  return { state: { ...state, pending }, effects: [{ kind: 'compute', id, job }] };
}

const pendingKey = ({ from, request }: Spentbook['jobId']): string =>
  `${from}|${toHex(request.request)}`;

function computed(
  config: SpentbookConfig,
  before: SpentbookState,
  id: Spentbook['jobId'],
  result: Spentbook['result'],
): Outcome {
  const pending = new Set(before.pending);
  if (!pending.delete(pendingKey(id))) return unchanged(before);
  const { from, request: message } = id;
  const { request } = message;
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
  const settled = answerWithoutJob(config, state.record, message);
  if (settled) return { state, effects: [reply(from, settled)] };

  assert(message.kind !== 'prove', 'a proof needs no job');
  const { slot } = message;
  // Bytes that five elders sealed are evidence; others with the same txid may not be.
  const transaction = inheritedAt(config, slot)?.transaction ?? message.transaction;
  const { ballot, txid, share } = result;
  const spend: SignedSpend = { slot, ballot, txid, transaction, share };
  // Rule 9: persist the fact before sending the share.
  return message.kind === 'prepare'
    ? recordFact(state, { kind: 'voted', vote: spend }, [
        reply(from, { kind: 'prepared', request, ballot, share }),
      ])
    : recordFact(state, { kind: 'bundled', bundle: { ...spend, prepared: message.prepared } }, [
        reply(from, { kind: 'committed', request, ballot, share }),
      ]);
}

function recordFact(
  state: SpentbookState,
  fact: SpentbookFact,
  then: readonly Effect<Spentbook>[],
): Outcome {
  return {
    state: { ...state, record: applyFact(state.record, fact) },
    effects: [{ kind: 'persist', fact }, ...then],
  };
}

/** Applies one fact; facts arrive in the order they were persisted. */
function applyFact(record: SlotRecord, fact: SpentbookFact): SlotRecord {
  if (record.kind === 'decided') return record; // SPENTBOOK-R7
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
