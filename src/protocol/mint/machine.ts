/** The registry of outputs, one instance per one-time key: first writer wins. Rules: docs/spec/mint.md. */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { Writer, equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, Machine, NodeId, Step } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  encodeRegistryEntry,
  keysForCertificates,
  sectionKeyHash,
  type MoneySection,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import type { SlotDecision } from '#protocol/spentbook/index.ts';
import type { MintAnswer, MintRequest } from './messages.ts';
import type { Mint, MintConfig, MintState, OutputRecord, Registration } from './state.ts';

/** Payer and recipient may both register; more at the same time is a flood. */
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
      state: { record, pending: new Set() },
      effects:
        record.kind === 'registered' ? [publishRegistration(config, record.registration)] : [],
    };
  },

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received':
        return event.message.kind === 'register'
          ? register(config, state, event.from, event.message)
          : unchanged(state);
      case 'computed':
        return computed(config, state, event.id, event.result);
      case 'input':
      case 'timerFired':
        return unchanged(state);
      default:
        return assertNever(event);
    }
  },
};

/** The address of an output: the section that covers it stores the registry entry. */
export const outputName = (oneTimeKey: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/output', oneTimeKey);

/** The signed bytes of an acknowledgement: network ‖ section key ‖ epoch ‖ P ‖ txid. */
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
  const settled = answerWithoutJob(config, record, request);
  if (settled) return { state, effects: [reply(from, settled)] };

  const id = { from, request };
  const waiting = pendingKey(id);
  if (state.pending.has(waiting)) return unchanged(state);
  if (state.pending.size >= maxPendingPerOutput) {
    const busy = { kind: 'busy', request: request.request, afterMs: busyAfterMs } as const;
    return { state, effects: [reply(from, busy)] };
  }
  const { transaction, certificates, index, key } = request;
  const known = keysForCertificates(config.known, certificates);
  const entry = { transaction, certificates, index };
  return {
    state: { ...state, pending: new Set(state.pending).add(waiting) },
    effects: [{ kind: 'compute', id, job: { kind: 'verify', known, key, entry } }],
  };
}

function computed(
  config: MintConfig,
  before: MintState,
  id: Mint['jobId'],
  result: Mint['result'],
): Outcome {
  const pending = new Set(before.pending);
  if (!pending.delete(pendingKey(id))) return unchanged(before);
  const { from, request } = id;
  const state: MintState = { ...before, pending };

  if (result.kind === 'unproven') {
    return { state, effects: [reply(from, { ...result, request: request.request })] };
  }
  if (result.kind === 'refused') {
    const { what } = result;
    const fault = { kind: 'invalidRegistration', culprit: from, what, request } as const;
    return {
      state,
      effects: [{ kind: 'blame', fault }, reply(from, invalidAnswer(request, what))],
    };
  }
  const settled = answerWithoutJob(config, state.record, request);
  if (settled) return { state, effects: [reply(from, settled)] };

  const { key, transaction, certificates, index } = request;
  const registration = { key, txid: result.txid, transaction, certificates, index };
  return {
    state: { ...state, record: { kind: 'registered', registration } },
    effects: [
      { kind: 'persist', fact: { kind: 'registered', registration } },
      publishRegistration(config, registration),
      reply(from, acknowledge(config, request, registration)),
    ],
  };
}

const pendingKey = ({ from, request }: Mint['jobId']): string =>
  `${from}|${toHex(request.request)}`;

/** MINT-M5: cases that need no job: the wrong key, a sealed key, and a registered output. */
function answerWithoutJob(
  config: MintConfig,
  record: OutputRecord,
  message: MintRequest,
): MintAnswer | undefined {
  const { request } = message;
  const { key, epoch, prefix } = config.section;
  if (!equalBytes(message.section, sectionKeyHash(key))) {
    return { kind: 'wrongKey', request, key, epoch };
  }
  if (!matches(prefix, outputName(message.key))) {
    return invalidAnswer(message, 'another section keeps this output');
  }
  if (config.sealed) return { kind: 'sealed', request, key, epoch }; // SPENTBOOK-R6
  const registration =
    record.kind === 'registered' ? record.registration : config.inherited.get(toHex(message.key));
  return registration && answerRegistered(config, registration, message);
}

/** MINT-M3: the same transaction again gets the same acknowledgement; hashing it gives the txid. */
function answerRegistered(
  config: MintConfig,
  registration: Registration,
  request: MintRequest,
): MintAnswer {
  const decoded = decodeTransaction(request.transaction);
  if (!decoded.ok) return invalidAnswer(request, decoded.error);
  // MINT-M2: first writer wins; the evidence shows the other payer why.
  return equalBytes(txidOf(decoded.value), registration.txid)
    ? acknowledge(config, request, registration)
    : { kind: 'duplicate', request: request.request, entry: encodeRegistryEntry(registration) };
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

/** MINT-M4: outputs the list entry, and every slot of this section that the transaction decided. */
function publishRegistration({ section }: MintConfig, registration: Registration): Effect<Mint> {
  const entry = encodeRegistryEntry(registration);
  const decisions = decisionsOf(section, registration);
  return {
    kind: 'output',
    output: { kind: 'registered', key: registration.key, entry, decisions },
  };
}

/** The slots of this section that a registered transaction decided. */
export function decisionsOf(
  { prefix }: MintConfig['section'],
  { transaction, certificates }: Pick<Registration, 'transaction' | 'certificates'>,
): readonly SlotDecision[] {
  const decoded = decodeTransaction(transaction);
  assert(decoded.ok, 'a registered transaction was verified');
  const txid = txidOf(decoded.value);
  return decoded.value.inputs.flatMap(({ keyImage }, i) => {
    const slot = slotName(keyImage);
    if (!matches(prefix, slot)) return [];
    const certificate = certificates[i];
    assert(certificate !== undefined, 'a registered transaction has a certificate per input');
    return [{ slot, txid, transaction, certificate }];
  });
}

const invalidAnswer = (request: MintRequest, what: string): MintAnswer => ({
  kind: 'invalid',
  request: request.request,
  what,
});

const reply = (to: NodeId, message: MintAnswer): Effect<Mint> => ({
  kind: 'send',
  to: [to],
  message,
});
