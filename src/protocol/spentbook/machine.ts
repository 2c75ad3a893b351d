/** One slot of the spentbook at one elder: PREPARE, COMMIT and RECOVER (SPENTBOOK-R1, SPENTBOOK-R2, SPENTBOOK-R3). */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import { keysForCertificates } from '#money/spend-certificate.ts';
import { decodeTransaction, inputAt, txidOf } from '#money/transaction.ts';
import {
  answerWithoutJob,
  inheritedAt,
  problemOfRequest,
  reportAnswer,
} from './refuse-double-spend.ts';
import type { SpentbookAnswer, SpentbookRequest } from './messages.ts';
import type { SlotRow, Spentbook, SpentbookConfig, SpentbookState, SignedSpend } from './state.ts';

/** More requests than this at the same time are a flood. */
export const maxPendingPerSlot = 8;
/** Of these, some places are only for requests that the coin's owner signed, or five elders after it. */
export const placesForOwner = 2;
/** About the duration of the jobs ahead. */
const busyAfterMs = 1_000;

const untouched: SlotRow = { promised: 0, vote: null, bundle: null, decision: null };

export const spentbook: Machine<SpentbookConfig, SpentbookState, Spentbook> = {
  start: (_config, facts) => ({
    state: { row: facts.at(-1)?.row ?? untouched, pending: new Set() },
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
          case 'recover':
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
        if (state.row.decision !== null || config.sealed) return unchanged(state);
        const { decision } = event.input;
        // The bundle stays: a decision of an earlier epoch is not in this key's snapshot.
        return persistRow(state, { ...state.row, vote: null, decision }, [
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
  const known = slotOf(state.row);
  assert(
    known === undefined || equalBytes(known, request.slot),
    'a message reaches the machine of its own slot',
  );
  const settled = answerWithoutJob(config, state.row, request);
  if (settled?.kind === 'malformed') return refuse(state, from, request, settled.what);
  if (settled) return { state, effects: [reply(from, settled)] };
  const problem = problemOfRequest(config, request);
  if (problem !== undefined) return refuse(state, from, request, problem);
  if (request.kind === 'recover') {
    const keyImage = candidateOf(state.row, request);
    if (keyImage !== undefined) return promise(config, state, from, request, keyImage);
  }
  const hasSources =
    request.kind === 'commit' ||
    request.kind === 'prove' ||
    request.sources.length > 0 ||
    (request.kind === 'prepare' && request.recovery !== null && request.recovery.top !== null) ||
    inheritedAt(config, request.slot) !== undefined;
  if (!hasSources) {
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

function refuse(
  state: SpentbookState,
  from: NodeId,
  message: SpentbookRequest,
  what: string,
): Outcome {
  const fault = { kind: 'invalidRequest', culprit: from, what, request: message } as const;
  const answer = reply(from, { kind: 'malformed', request: message.request, what });
  return { state, effects: [{ kind: 'blame', fault }, answer] };
}

/** The key image, if the candidate is a transaction that this elder has verified already. */
function candidateOf(
  { vote, bundle }: SlotRow,
  { transaction, slot }: SpentbookRequest & { readonly kind: 'recover' },
): Uint8Array | undefined {
  const decoded = decodeTransaction(transaction);
  assert(decoded.ok, 'the transaction was decoded before');
  const txid = txidOf(decoded.value);
  const isKnown = [vote, bundle].some((each) => each !== null && equalBytes(each.txid, txid));
  return isKnown ? inputAt(decoded.value, slot)?.keyImage : undefined;
}

/** SPENTBOOK-R3: the promise is on disk before the report, which is made from it. */
function promise(
  config: SpentbookConfig,
  state: SpentbookState,
  from: NodeId,
  { request, ballot }: SpentbookRequest & { readonly kind: 'recover' },
  keyImage: Uint8Array,
): Outcome {
  const row = { ...state.row, promised: ballot };
  return persistRow(state, row, [reply(from, reportAnswer(config, row, request, keyImage))]);
}

function jobFor(config: SpentbookConfig, request: SpentbookRequest): Spentbook['job'] | undefined {
  if (request.kind === 'prove') return undefined; // Always answered immediately.
  const { section, secretShare } = config;
  const { slot, transaction } = request;
  if (request.kind === 'commit') {
    const { prepared } = request;
    const known = keysForCertificates(config.known, prepared);
    const isBound = inheritedAt(config, slot) !== undefined;
    return { kind: 'commit', section, secretShare, slot, transaction, prepared, known, isBound };
  }
  const { sources } = request;
  const cited = sources.flatMap((source) => (source.kind === 'genesis' ? [] : source.certificates));
  const known = keysForCertificates(config.known, cited);
  const spend = { section, slot, transaction, sources, known };
  if (request.kind === 'recover') return { kind: 'recover', ...spend };
  return {
    kind: 'prepare',
    ...spend,
    secretShare,
    ballot: request.ballot,
    bound: inheritedAt(config, slot)?.transaction ?? null,
    top: request.recovery?.top ?? null,
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
  const isFromOwner =
    request.kind === 'recover' || (request.kind === 'prepare' && request.recovery !== null);
  const places = isFromOwner ? maxPendingPerSlot : maxPendingPerSlot - placesForOwner;
  if (state.pending.size >= places) {
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
  if (result.kind === 'refused') return refuse(state, from, message, result.what);
  // The slot may have been written or promised, or the section sealed, while the job ran.
  const settled = answerWithoutJob(config, state.row, message);
  if (settled) return { state, effects: [reply(from, settled)] };

  if (result.kind === 'verified') {
    assert(message.kind === 'recover', 'only a candidate is verified without a share');
    const decoded = decodeTransaction(message.transaction);
    const input = decoded.ok ? inputAt(decoded.value, message.slot) : undefined;
    assert(input !== undefined, 'a verified candidate spends the slot');
    return promise(config, state, from, message, input.keyImage);
  }
  assert(message.kind === 'prepare' || message.kind === 'commit', 'a share is for one of these');
  return signed(config, state, from, message, result);
}

/** Rule 9: the row is on disk before the share is sent. */
function signed(
  config: SpentbookConfig,
  state: SpentbookState,
  from: NodeId,
  message: SpentbookRequest & { readonly kind: 'prepare' | 'commit' },
  { ballot, txid, share }: Spentbook['result'] & { readonly kind: 'shared' },
): Outcome {
  const { request, slot } = message;
  const { row } = state;
  // Bytes that five elders sealed are evidence; others with the same txid may not be.
  const transaction = inheritedAt(config, slot)?.transaction ?? message.transaction;
  const spend: SignedSpend = { slot, ballot, txid, transaction, share };
  const promised = Math.max(row.promised, ballot);
  if (message.kind === 'prepare') {
    return persistRow(state, { ...row, promised, vote: spend }, [
      reply(from, { kind: 'prepared', request, ballot, share }),
    ]);
  }
  if (row.bundle?.ballot === ballot) {
    // The other bundle has the same txid, or three elders lied; a signed vote would be false evidence.
    const rule = 'SPENTBOOK-R4: this ballot has another prepare certificate';
    return { state, effects: [reply(from, { kind: 'notAllowed', request, rule })] };
  }
  // A lower bundle never gets here: `promised` is at least the ballot of the stored one.
  const bundle = { ...spend, prepared: message.prepared };
  return persistRow(state, { ...row, promised, bundle }, [
    reply(from, { kind: 'committed', request, ballot, share }),
  ]);
}

function persistRow(
  state: SpentbookState,
  row: SlotRow,
  then: readonly Effect<Spentbook>[],
): Outcome {
  return {
    state: { ...state, row },
    effects: [{ kind: 'persist', fact: { kind: 'row', row } }, ...then],
  };
}

const slotOf = ({ vote, bundle, decision }: SlotRow): Uint8Array | undefined =>
  (decision ?? bundle ?? vote)?.slot;

const reply = (to: NodeId, message: SpentbookAnswer): Effect<Spentbook> => ({
  kind: 'send',
  to: [to],
  message,
});
