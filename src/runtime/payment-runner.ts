/**
 * Runs one payment machine in the real world, for the service worker and for the faucet alike:
 * its messages become requests of the client protocol, the elders' replies become its events.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import {
  decodePaymentAnswer,
  encodePaymentRequest,
  payment,
  performPaymentJob,
  addressesOf,
  sectionAt,
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
import { startDriver } from './driver.ts';

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
   * Asks who answers for this address now, this elder first if one is named; resolves with all that
   * is verified by then. Without it only {@link RunningPayment.update} brings news.
   */
  readonly news?: (address: Uint8Array, elder: NodeId | null) => Promise<PaymentSections>;
  /** Where jobs run; without it on this thread, which suits a service worker (it has no other). */
  readonly compute?: (job: PaymentJob) => Promise<PaymentResult>;
}

export interface RunningPayment {
  /**
   * Resolves when the payment is registered or replaced, or when {@link stop} was called. Rejects
   * when a fact could not be kept: nothing more is done then, and a new run goes on from what is.
   */
  readonly ended: Promise<void>;
  /** After `outdated`, or whenever a newer section was verified. */
  readonly update: (sections: PaymentSections) => void;
  readonly stop: () => void;
}

/** A handover takes seconds: so often, and so many times, is asked whether it is over. */
const seekEveryMs = 1_500;
const maxSeeks = 40;

export async function runPayment(
  config: PaymentConfig,
  ports: PaymentPorts,
): Promise<RunningPayment> {
  let { sections } = config;
  let elders = eldersOf(sections);
  let stopped = false;
  let end: () => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  ended.catch(() => undefined); // Whoever waits for it hears of it.
  let push: (from: NodeId, message: PaymentMessage) => void = () => undefined;

  const send = async (to: NodeId, message: PaymentMessage): Promise<void> => {
    const elder = elders.get(to);
    const request = encodePaymentRequest(message);
    if (elder === undefined || request === undefined) return;
    const reply = await ports.ask(elder, request);
    if (!reply.ok || reply.value.kind !== 'money') {
      // No elder any more, or none that answers: there may be others, and who refuses may know.
      const address = addressOf(message);
      if (address !== null) void seek(address, hasRefused(reply) ? to : null, 1);
      return;
    }
    const answer = decodePaymentAnswer(request.kind, reply.value.message);
    if (answer.ok) push(to, answer.value);
  };

  let update: (known: PaymentSections) => void = () => undefined;
  /** By section key: one question at a time. */
  const seeking = new Set<string>();
  const seek = async (address: Uint8Array, elder: NodeId | null, tries: number): Promise<void> => {
    const before = keyFor(sections, address);
    if (ports.news === undefined || seeking.has(before)) return;
    seeking.add(before);
    for (let tried = 0; tried < tries && !stopped; tried++) {
      if (tried > 0) await pause(seekEveryMs);
      const known = await ports.news(address, tried === 0 ? elder : null).catch(() => null);
      if (known !== null && !stopped) update(known);
      if (keyFor(sections, address) !== before) break;
    }
    seeking.delete(before);
  };
  let halt: () => void = () => undefined;
  // What `start` sends may be answered before the driver exists: hold those answers back.
  const early: (readonly [NodeId, PaymentMessage])[] = [];
  push = (from, message) => void early.push([from, message]);
  const driver = await startDriver<PaymentConfig, PaymentState, Payment>(payment, config, {
    clock: {
      now: ports.now,
      setTimer: (callback, afterMs) => {
        const timer = setTimeout(callback, afterMs);
        return () => clearTimeout(timer);
      },
    },
    randomBytes: ports.randomBytes,
    facts: {
      load: ports.facts.load,
      append: (fact) =>
        ports.facts.append(fact).catch((error: unknown) => {
          stopped = true;
          halt();
          fail(error);
          throw error;
        }),
    },
    compute: ports.compute ?? (async (job) => performPaymentJob(job, ports.suite)),
    transport: { send: (to, message) => void send(to, message).catch(() => undefined) },
    onOutput: (output) => {
      ports.onOutput(output);
      if (output.kind === 'outdated') void seek(output.address, output.elder, maxSeeks);
      if (output.kind !== 'registered' && output.kind !== 'replaced') return;
      stopped = true;
      end();
    },
    onFault: ports.onFault,
  });
  halt = driver.stop;
  if (stopped) halt();
  push = (from, message) => driver.push({ kind: 'received', from, message });
  for (const [from, message] of early) push(from, message);
  update = (known) => {
    sections = known;
    elders = new Map([...elders, ...eldersOf(known)]);
    driver.push({ kind: 'input', input: { kind: 'sections', sections: known } });
    seekMissing();
  };
  /** A split whose halves nobody has shown us yet: nobody to ask is nobody to be corrected by. */
  const transaction = decodeTransaction(config.bundle.transaction);
  const addresses = transaction.ok ? addressesOf(transaction.value) : [];
  const seekMissing = (): void => {
    for (const address of addresses) {
      if (keyFor(sections, address) === '') void seek(address, null, maxSeeks);
    }
  };
  seekMissing();
  return {
    ended,
    update,
    stop: () => {
      stopped = true;
      driver.stop();
      end();
    },
  };
}

const hasRefused = (reply: Result<ClientReply, unknown>): boolean =>
  reply.ok
    ? reply.value.kind === 'refused'
    : (reply.error as { readonly kind?: unknown } | null)?.kind === 'refused';

const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

/** Empty while nobody is known to answer for the address. */
const keyFor = (sections: PaymentSections, address: Uint8Array): string => {
  const key = sectionAt(sections, address)?.key;
  return key === undefined ? '' : toHex(key);
};

const addressOf = (message: PaymentMessage): Uint8Array | null => {
  if (message.kind === 'slot') return message.slot;
  return message.kind === 'output' ? outputName(message.key) : null;
};

const eldersOf = ({ current }: PaymentSections): ReadonlyMap<NodeId, PaymentElder> =>
  new Map(current.flatMap(({ elders }) => elders.map((elder) => [toHex(elder.name), elder])));
