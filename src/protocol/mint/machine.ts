/** The registry of outputs, one instance per one-time key: first writer wins. Rules in README.md. */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { Writer, equalBytes } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { encodeEntry, type MoneySection } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import type { MintAnswer, MintRequest } from './messages.ts';
import type { Mint, MintConfig, MintState, OutputRecord, Registration } from './state.ts';

/** Payer and recipient may both register; more at once is a flood. */
export const maxPendingPerOutput = 4;
const busyAfterMs = 1_000;

export const mint: Machine<MintConfig, MintState, Mint> = {
  start: (_config, facts) => {
    const [first] = facts;
    const record: OutputRecord =
      first === undefined
        ? { kind: 'unknown' }
        : { kind: 'registered', registration: first.registration };
    return {
      state: { record, pending: new Map(), jobsStarted: 0 },
      effects: record.kind === 'registered' ? [announce(record.registration)] : [],
    };
  },

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received':
        return event.message.kind === 'register'
          ? register(config, state, event.from, event.message)
          : stay(state);
      case 'computed':
        return computed(config, state, event.id, event.result);
      case 'input':
      case 'timerFired':
        return stay(state);
      default:
        return assertNever(event);
    }
  },
};

/** The address of an output: its section keeps the registry entry. */
export const outputName = (oneTimeKey: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/output', oneTimeKey);

/** What an acknowledgement signs: network ‖ P ‖ txid. */
export const ackBytes = (networkId: Uint8Array, key: Uint8Array, txid: Uint8Array): Uint8Array =>
  new Writer()
    .label('safe/v1/mint/registered')
    .fixed(networkId, 32)
    .fixed(key, 32)
    .fixed(txid, 32)
    .finish();

export const verifyAck = (
  section: MoneySection,
  identity: IdentitySuite,
  elder: Uint8Array,
  output: { readonly key: Uint8Array; readonly txid: Uint8Array },
  signature: Uint8Array,
): boolean =>
  identity.verify(elder, ackBytes(section.networkId, output.key, output.txid), signature);

type Outcome = Step<MintState, Mint>;

function register(
  config: MintConfig,
  state: MintState,
  from: NodeId,
  request: MintRequest,
): Outcome {
  const { record } = state;
  assert(
    record.kind === 'unknown' || equalBytes(record.registration.key, request.key),
    'a message reaches the machine of its own output',
  );
  if (!matches(config.section.prefix, outputName(request.key))) {
    return { state, effects: [reply(from, refuse(request, 'another section keeps this output'))] };
  }
  // M3: the same transaction again is the same registration; its txid is a hash away.
  const settled = answerFromRecord(config, record, request);
  if (settled) return { state, effects: [reply(from, settled)] };

  for (const waiting of state.pending.values()) {
    const same = waiting.from === from && equalBytes(waiting.request.request, request.request);
    if (same) return stay(state);
  }
  if (state.pending.size >= maxPendingPerOutput) {
    const busy = { kind: 'mintBusy', request: request.request, afterMs: busyAfterMs } as const;
    return { state, effects: [reply(from, busy)] };
  }
  const id = String(state.jobsStarted);
  const { section } = config;
  const { transaction, certificates, index, key } = request;
  const entry = { transaction, certificates, index };
  return {
    state: {
      ...state,
      pending: new Map(state.pending).set(id, { from, request }),
      jobsStarted: state.jobsStarted + 1,
    },
    effects: [{ kind: 'compute', id, job: { kind: 'verify', section, key, entry } }],
  };
}

function computed(
  config: MintConfig,
  before: MintState,
  id: string,
  result: Mint['result'],
): Outcome {
  const waiting = before.pending.get(id);
  if (waiting === undefined) return stay(before);
  const { from, request } = waiting;
  const pending = new Map(before.pending);
  pending.delete(id);
  const state: MintState = { ...before, pending };

  if (result.kind === 'refused') {
    const { what } = result;
    const fault = { kind: 'invalidRegistration', culprit: from, what, request } as const;
    return { state, effects: [{ kind: 'blame', fault }, reply(from, refuse(request, what))] };
  }
  const settled = answerFromRecord(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };

  const { key, transaction, certificates, index } = request;
  const registration = { key, txid: result.txid, transaction, certificates, index };
  return {
    state: { ...state, record: { kind: 'registered', registration } },
    effects: [
      { kind: 'persist', fact: { kind: 'registered', registration } },
      announce(registration),
      reply(from, acknowledge(config, request, registration)),
    ],
  };
}

function answerFromRecord(
  config: MintConfig,
  record: OutputRecord,
  request: MintRequest,
): MintAnswer | undefined {
  if (record.kind === 'unknown') return undefined;
  const { registration } = record;
  const decoded = decodeTransaction(request.transaction);
  if (!decoded.ok) return refuse(request, decoded.error);
  // M2: first writer wins; the evidence lets the other payer see why.
  return equalBytes(txidOf(decoded.value), registration.txid)
    ? acknowledge(config, request, registration)
    : { kind: 'duplicate', request: request.request, entry: encodeEntry(registration) };
}

function acknowledge(
  config: MintConfig,
  request: MintRequest,
  { key, txid }: Registration,
): MintAnswer {
  const bytes = ackBytes(config.section.networkId, key, txid);
  const signature = config.identity.sign(config.identitySeed, bytes);
  return { kind: 'registered', request: request.request, signature };
}

/** The list line, and every slot this transaction decided. */
function announce(registration: Registration): Effect<Mint> {
  const decoded = decodeTransaction(registration.transaction);
  assert(decoded.ok, 'a registered transaction was verified');
  const decisions = decoded.value.inputs.map(({ keyImage }, i) => {
    const certificate = registration.certificates[i];
    assert(certificate !== undefined, 'a registered transaction has a certificate per input');
    const { txid, transaction } = registration;
    return { slot: slotName(keyImage), txid, transaction, certificate };
  });
  const entry = encodeEntry(registration);
  return {
    kind: 'output',
    output: { kind: 'registered', key: registration.key, entry, decisions },
  };
}

const refuse = (request: MintRequest, what: string): MintAnswer => ({
  kind: 'unregistrable',
  request: request.request,
  what,
});

const reply = (to: NodeId, message: MintAnswer): Effect<Mint> => ({
  kind: 'send',
  to: [to],
  message,
});
