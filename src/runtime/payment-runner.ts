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
  /** Where jobs run; without it on this thread, which suits a service worker (it has no other). */
  readonly compute?: (job: PaymentJob) => Promise<PaymentResult>;
}

export interface RunningPayment {
  /** Resolves when the payment is registered or replaced, or when {@link stop} was called. */
  readonly ended: Promise<void>;
  /** After `outdated`, or whenever a newer section was verified. */
  readonly update: (sections: PaymentSections) => void;
  readonly stop: () => void;
}

export async function runPayment(
  config: PaymentConfig,
  ports: PaymentPorts,
): Promise<RunningPayment> {
  let elders = eldersOf(config.sections);
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let push: (from: NodeId, message: PaymentMessage) => void = () => undefined;

  const send = async (to: NodeId, message: PaymentMessage): Promise<void> => {
    const elder = elders.get(to);
    const request = encodePaymentRequest(message);
    if (elder === undefined || request === undefined) return;
    const reply = await ports.ask(elder, request);
    if (!reply.ok || reply.value.kind !== 'money') return;
    const answer = decodePaymentAnswer(request.kind, reply.value.message);
    if (answer.ok) push(to, answer.value);
  };

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
    facts: ports.facts,
    compute: ports.compute ?? (async (job) => performPaymentJob(job, ports.suite)),
    transport: { send: (to, message) => void send(to, message).catch(() => undefined) },
    onOutput: (output) => {
      ports.onOutput(output);
      if (output.kind === 'registered' || output.kind === 'replaced') end();
    },
    onFault: ports.onFault,
  });
  push = (from, message) => driver.push({ kind: 'received', from, message });
  for (const [from, message] of early) push(from, message);
  return {
    ended,
    update: (sections) => {
      elders = new Map([...elders, ...eldersOf(sections)]);
      driver.push({ kind: 'input', input: { kind: 'sections', sections } });
    },
    stop: () => {
      driver.stop();
      end();
    },
  };
}

const eldersOf = ({ current }: PaymentSections): ReadonlyMap<NodeId, PaymentElder> =>
  new Map(current.flatMap(({ elders }) => elders.map((elder) => [toHex(elder.name), elder])));
