/** The registry of outputs, one instance per one-time key: first writer wins. Rules in README.md. */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { Writer, equalBytes, toHex } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { encodeEntry, onlyCited, sectionKeyHash, type MoneySection } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import type { MintAnswer, MintRequest } from './messages.ts';
import type { Mint, MintConfig, MintState, OutputRecord, Registration } from './state.ts';

/** Payer and recipient may both register; more at once is a flood. */
export const maxPendingPerOutput = 4;
const busyAfterMs = 1_000;

export const mint: Machine<MintConfig, MintState, Mint> = {
  start: (config, facts) => {
    const [first] = facts;
    const record: OutputRecord =
      first === undefined
        ? { kind: 'unknown' }
        : { kind: 'registered', registration: first.registration };
    return {
      state: { record, pending: new Map(), jobsStarted: 0 },
      effects: record.kind === 'registered' ? [announce(config, record.registration)] : [],
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

/** What an acknowledgement signs: network ‖ section key ‖ epoch ‖ P ‖ txid. */
export const ackBytes = (
  section: Pick<MoneySection, 'networkId' | 'key' | 'epoch'>,
  key: Uint8Array,
  txid: Uint8Array,
): Uint8Array =>
  new Writer()
    .label('safe/v1/mint/registered')
    .fixed(section.networkId, 32)
    .fixed(sectionKeyHash(section.key), 32)
    .u64(section.epoch)
    .fixed(key, 32)
    .fixed(txid, 32)
    .finish();

export const verifyAck = (
  section: Pick<MoneySection, 'networkId' | 'key' | 'epoch'>,
  identity: IdentitySuite,
  elder: Uint8Array,
  output: { readonly key: Uint8Array; readonly txid: Uint8Array },
  signature: Uint8Array,
): boolean => identity.verify(elder, ackBytes(section, output.key, output.txid), signature);

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
  const settled = answerAtOnce(config, record, request);
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
  const { transaction, certificates, index, key } = request;
  const known = onlyCited(config.known, certificates);
  const entry = { transaction, certificates, index };
  return {
    state: {
      ...state,
      pending: new Map(state.pending).set(id, { from, request }),
      jobsStarted: state.jobsStarted + 1,
    },
    effects: [{ kind: 'compute', id, job: { kind: 'verify', known, key, entry } }],
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

  if (result.kind === 'unproven') {
    return { state, effects: [reply(from, { ...result, request: request.request })] };
  }
  if (result.kind === 'refused') {
    const { what } = result;
    const fault = { kind: 'invalidRegistration', culprit: from, what, request } as const;
    return { state, effects: [{ kind: 'blame', fault }, reply(from, refuse(request, what))] };
  }
  const settled = answerAtOnce(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };

  const { key, transaction, certificates, index } = request;
  const registration = { key, txid: result.txid, transaction, certificates, index };
  return {
    state: { ...state, record: { kind: 'registered', registration } },
    effects: [
      { kind: 'persist', fact: { kind: 'registered', registration } },
      announce(config, registration),
      reply(from, acknowledge(config, request, registration)),
    ],
  };
}

/** What needs no job: the wrong key, a seal, and an output that is on the list. */
function answerAtOnce(
  config: MintConfig,
  record: OutputRecord,
  message: MintRequest,
): MintAnswer | undefined {
  const { request } = message;
  const { key, epoch, prefix } = config.section;
  if (!equalBytes(message.section, sectionKeyHash(key))) {
    return { kind: 'otherKey', request, key, epoch };
  }
  if (!matches(prefix, outputName(message.key))) {
    return refuse(message, 'another section keeps this output');
  }
  if (config.sealed) return { kind: 'sealed', request, key, epoch }; // R6
  const registration =
    record.kind === 'registered' ? record.registration : config.inherited.get(toHex(message.key));
  return registration && answerRegistered(config, registration, message);
}

/** M3: the same transaction again is the same registration; its txid is a hash away. */
function answerRegistered(
  config: MintConfig,
  registration: Registration,
  request: MintRequest,
): MintAnswer {
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
  const bytes = ackBytes(config.section, key, txid);
  const signature = config.identity.sign(config.identitySeed, bytes);
  return { kind: 'registered', request: request.request, signature };
}

/** The list line, and every slot of this section that the transaction decided. */
function announce({ section }: MintConfig, registration: Registration): Effect<Mint> {
  const decoded = decodeTransaction(registration.transaction);
  assert(decoded.ok, 'a registered transaction was verified');
  const decisions = decoded.value.inputs.flatMap(({ keyImage }, i) => {
    const slot = slotName(keyImage);
    if (!matches(section.prefix, slot)) return [];
    const certificate = registration.certificates[i];
    assert(certificate !== undefined, 'a registered transaction has a certificate per input');
    const { txid, transaction } = registration;
    return [{ slot, txid, transaction, certificate }];
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
