/**
 * Runs one payment machine in the real world, for the service worker and for the faucet: its messages
 * become requests of the client protocol, the elders' replies become its events.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { Event, NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import {
  decodePaymentAnswer,
  encodePaymentRequest,
  payment,
  performPaymentJob,
  addressesOf,
  paymentSectionAt,
  type Payment,
  type PaymentConfig,
  type PaymentElder,
  type PaymentFact,
  type PaymentFault,
  type PaymentMessage,
  type PaymentJob,
  type PaymentOutput,
  type PaymentResult,
  type PaymentSections,
  type PaymentState,
} from '#safe/payment/index.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { outputName } from '#protocol/mint/index.ts';
import { startDriver, type Driver } from './driver.ts';

export interface PaymentPorts {
  readonly ask: (
    elder: PaymentElder,
    request: ClientRequest,
  ) => Promise<Result<ClientReply, unknown>>;
  readonly facts: {
    readonly load: () => Promise<readonly PaymentFact[]>;
    readonly append: (fact: PaymentFact) => Promise<void>;
  };
  readonly suite: ThresholdSuite;
  readonly now: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly onOutput: (output: PaymentOutput) => void;
  readonly onFault: (fault: PaymentFault) => void;
  /**
   * Looks up the sections now responsible for this address, from this elder first if one is given; resolves
   * with all that is verified by then. Without it, sections change only by {@link RunningPayment.update}.
   */
  readonly lookUpSections?: (address: Uint8Array, elder: NodeId | null) => Promise<PaymentSections>;
  /** Runs jobs; by default on this thread, as in a service worker (it has no other). */
  readonly compute?: (job: PaymentJob) => Promise<PaymentResult>;
}

export interface RunningPayment {
  /**
   * Resolves when the payment is registered or replaced, or after {@link stop}. Rejects when a fact could
   * not be stored or a job failed: the run ends, and a new run continues from the stored facts.
   */
  readonly ended: Promise<void>;
  /** Call it after `outdated`, or whenever a newer section was verified. */
  readonly update: (sections: PaymentSections) => void;
  readonly stop: () => void;
}

/** A handover takes seconds: look up at this interval, at most this often. */
const lookUpEveryMs = 1_500;
const maxLookUps = 40;

export async function runPayment(
  config: PaymentConfig,
  ports: PaymentPorts,
): Promise<RunningPayment> {
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => undefined); // Its rejection is handled by the callers that await it.
  let driver: Driver<Payment> | undefined = undefined;
  // Replies to messages of `start`, and sections they lead to, may arrive before the driver exists.
  const early: Event<Payment>[] = [];
  const push = (event: Event<Payment>): void =>
    driver === undefined ? void early.push(event) : driver.push(event);

  const transaction = decodeTransaction(config.bundle.transaction);
  const addresses = transaction.ok ? addressesOf(transaction.value) : [];
  const update = (sections: PaymentSections): void => {
    lookups.learn(sections);
    push({ kind: 'input', input: { kind: 'sections', sections } });
    lookups.lookUpMissing(addresses);
  };
  const lookups = createSectionLookups(config.sections, ports.lookUpSections, update);

  const send = async (to: NodeId, message: PaymentMessage): Promise<void> => {
    const elder = lookups.elderOf(to);
    const request = encodePaymentRequest(message);
    if (elder === undefined || request === undefined) return;
    const reply = await ports.ask(elder, request);
    if (!reply.ok || reply.value.kind !== 'money') {
      // The elder left or does not answer: look up the others, first from an elder that refused.
      const address = addressOf(message);
      if (address !== null) void lookups.lookUp(address, hasRefused(reply) ? to : null, 1);
      return;
    }
    const answer = decodePaymentAnswer(request.kind, reply.value.message);
    if (answer.ok) push({ kind: 'received', from: to, message: answer.value });
  };

  driver = await startDriver<PaymentConfig, PaymentState, Payment>(payment, config, {
    clock: { now: ports.now, setTimer },
    randomBytes: ports.randomBytes,
    facts: ports.facts,
    compute: ports.compute ?? (async (job) => performPaymentJob(job, ports.suite)),
    transport: { send: (to, message) => void send(to, message).catch(() => undefined) },
    onOutput: (output) => {
      ports.onOutput(output);
      if (output.kind === 'outdated') void lookups.lookUp(output.address, output.elder);
      if (output.kind !== 'registered' && output.kind !== 'replaced') return;
      lookups.stop();
      ended.resolve();
    },
    onFault: ports.onFault,
    onFailure: (error) => {
      lookups.stop();
      ended.reject(error);
    },
  });
  early.forEach(driver.push);
  lookups.lookUpMissing(addresses);
  const stop = (): void => {
    lookups.stop();
    driver?.stop();
    ended.resolve();
  };
  return { ended: ended.promise, update, stop };
}

const setTimer = (callback: () => void, afterMs: number): (() => void) => {
  const timer = setTimeout(callback, afterMs);
  return () => clearTimeout(timer);
};

/** The sections of one payment, and lookups of newer ones: one at a time for each section key. */
function createSectionLookups(
  first: PaymentSections,
  lookUpSections: PaymentPorts['lookUpSections'],
  onFound: (sections: PaymentSections) => void,
) {
  let sections = first;
  let elders = eldersOf(first);
  let stopped = false;
  const inProgress = new Set<string>();

  const lookUp = async (
    address: Uint8Array,
    elder: NodeId | null,
    tries = maxLookUps,
  ): Promise<void> => {
    const before = keyFor(sections, address);
    if (lookUpSections === undefined || inProgress.has(before)) return;
    inProgress.add(before);
    for (let tried = 0; tried < tries && !stopped; tried++) {
      if (tried > 0) await pause(lookUpEveryMs);
      const known = await lookUpSections(address, tried === 0 ? elder : null).catch(() => null);
      if (known !== null && !stopped) onFound(known);
      if (keyFor(sections, address) !== before) break;
    }
    inProgress.delete(before);
  };

  return {
    elderOf: (id: NodeId): PaymentElder | undefined => elders.get(id),
    learn: (known: PaymentSections): void => {
      sections = known;
      elders = new Map([...elders, ...eldersOf(known)]);
    },
    lookUp,
    /** After a split we may know no elder for an address, so none can redirect us: look it up. */
    lookUpMissing: (addresses: readonly Uint8Array[]): void => {
      for (const address of addresses) {
        if (keyFor(sections, address) === '') void lookUp(address, null);
      }
    },
    stop: (): void => {
      stopped = true;
    },
  };
}

const hasRefused = (reply: Result<ClientReply, unknown>): boolean =>
  reply.ok
    ? reply.value.kind === 'refused'
    : (reply.error as { readonly kind?: unknown } | null)?.kind === 'refused';

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

/** Empty while no section is known for the address. */
const keyFor = (sections: PaymentSections, address: Uint8Array): string => {
  const key = paymentSectionAt(sections, address)?.key;
  return key === undefined ? '' : toHex(key);
};

const addressOf = (message: PaymentMessage): Uint8Array | null => {
  if (message.kind === 'slot') return message.slot;
  return message.kind === 'output' ? outputName(message.key) : null;
};

const eldersOf = ({ current }: PaymentSections): ReadonlyMap<NodeId, PaymentElder> =>
  new Map(current.flatMap(({ elders }) => elders.map((elder) => [toHex(elder.name), elder])));
