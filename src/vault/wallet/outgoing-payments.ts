/**
 * Carries payments through the worker: hands over the stored bundle, polls its progress, and turns the
 * worker's facts into facts of the wallet. Repeats until the payment is over.
 */
import type { PaymentReport } from '#bridge/worker-calls.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { SpendCertificate } from '#money/spend-certificate.ts';
import type { WalletKeys } from '#money/wallet-keys.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { decodeBundle, decodePaymentFacts, type PaymentFact } from '#safe/payment/index.ts';
import type { PaymentStage } from '#safe/payment/stages.ts';
import {
  adoptPayment,
  addSpend,
  addStage,
  deadPayments,
  encodeReceipt,
  scanCommitted,
  type NotAdopted,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { PaymentStore } from '#storage/browser/payments.ts';
import type { WalletContext } from '../ports.ts';
import { RpcFailure } from '../network/worker-rpc.ts';
import { failureSentence, notAdoptedSentences, waitingSentences } from './payment-sentences.ts';

const retryMs = 3_000;
/** The worker answers earlier on progress. */
const pollMs = 250;

/** The worker's last report of a payment, and why it does not move on, else an empty sentence. */
export interface PaymentProgress {
  readonly stage: PaymentStage;
  readonly sentence: string;
}

export interface OutgoingPayments {
  /** Starts every stored, unfinished payment that is not running here yet. */
  readonly resume: () => void;
  /** As far as this device knows; `undefined` for a payment that is not running here. */
  readonly progress: (txid: string) => PaymentProgress | undefined;
}

export interface OutgoingOptions {
  readonly context: WalletContext;
  readonly keys: WalletKeys;
  readonly payments: PaymentStore;
  /** The wallet as stored: nothing else is ever given to the worker (SPENTBOOK-R0). */
  readonly stored: () => WalletState;
  readonly change: (apply: (state: WalletState) => WalletState) => Promise<void>;
}

type SetProgress = (id: string, stage: PaymentStage, sentence: string) => void;

interface Follower extends OutgoingOptions {
  readonly setProgress: SetProgress;
  readonly resume: OutgoingPayments['resume'];
}

export function createOutgoingPayments(options: OutgoingOptions): OutgoingPayments {
  const { context, stored } = options;
  const running = new Set<string>();
  const progress = new Map<string, PaymentProgress>();
  const setProgress: SetProgress = (id, stage, sentence) => {
    const before = progress.get(id);
    if (before?.stage === stage && before.sentence === sentence) return;
    progress.set(id, { stage, sentence });
    context.changed();
  };

  const resume = (): void => {
    if (context.closed.aborted) return;
    for (const [id, { bundle }] of stored().payments) {
      if (bundle === null || running.has(id) || isFinished(stored(), id)) continue;
      running.add(id);
      const follower = { ...options, setProgress, resume };
      void followPayment(follower, id, bundle).finally(() => running.delete(id));
    }
  };
  return { resume, progress: (txid) => progress.get(txid) };
}

async function followPayment(options: Follower, id: string, bundle: Uint8Array): Promise<void> {
  const { context, payments, stored, change, setProgress } = options;
  let known: PaymentReport | null = null;
  let isStarted = false;
  setProgress(id, 'preparing', '');
  while (!context.closed.aborted && !isFinished(stored(), id)) {
    try {
      if (!isStarted) await payments.putIntent(id, bundle);
      isStarted = true;
      const report: PaymentReport = await context.rpc('pay', {
        paymentId: id,
        known: known && { stage: known.stage, waiting: known.waiting },
      });
      const { stage, waiting, sentence } = report;
      // After a while the reason is the conflict again, until the other payment is final.
      const isRaced = waiting === 'adopted' || waiting === 'conflict';
      const refused = isRaced ? await saveAdopted(options, id) : null;
      const why =
        refused === null ? waiting && waitingSentences[waiting] : notAdoptedSentences[refused];
      setProgress(id, stage, sentence || (why ?? ''));
      if (stage !== known?.stage || waiting !== known.waiting) {
        await saveProgress(options, id, bundle);
      }
      known = report;
      if (stage !== 'registered' && stage !== 'replaced') {
        await context.ports.wait(pollMs, context.closed);
        continue;
      }
      // The worker's data is not encrypted: delete it as soon as the encrypted wallet has it.
      await context.rpc('pay/done', { paymentIds: [id] });
      // The worker deleted its facts before we read them: request them from the elders again.
      isStarted = false;
      known = null;
      if (!isFinished(stored(), id)) await context.ports.wait(retryMs, context.closed);
    } catch (error) {
      if (context.closed.aborted) return;
      isStarted = false;
      const why = error instanceof RpcFailure ? error.message : failureSentence(error);
      setProgress(id, 'draft', why);
      await context.ports.wait(retryMs, context.closed);
      // Another tab may have completed it meanwhile.
      await change((state) => state).catch(() => undefined);
    }
  }
}

/** Turns the worker's facts into facts of the wallet, stored before they are shown. */
async function saveProgress(
  { context, keys, payments, change }: OutgoingOptions,
  id: string,
  bundleBytes: Uint8Array,
): Promise<void> {
  const bundle = decodeBundle(bundleBytes);
  const txid = fromHex(id);
  const network = context.network();
  const networkId = network === null ? undefined : fromHex(network.networkId);
  if (!bundle.ok || !txid.ok || networkId?.ok !== true) return;
  const kept = await payments.getFacts(id);
  const facts = kept === undefined ? [] : decodePaymentFacts(kept);
  const { transaction } = bundle.value;
  const certificates = commitCertificatesOf(transaction, facts, bundle.value.certificates);
  await change((state) => {
    let next = state;
    for (const fact of facts) {
      if (fact.kind === 'prepared') next = addStage(next, txid.value, 'committing');
      if (fact.kind === 'replaced') next = addSpend(next, fact.by.keyImage, fact.by.txid);
    }
    if (certificates !== null) {
      const committed = { transaction, certificates };
      const receipt = encodeReceipt(networkId.value, committed);
      next = addStage(next, txid.value, 'final', receipt);
      next = scanCommitted(keys, next, committed, context.ports.now());
    }
    const isFinal = next.payments.get(id)?.stages.has('final') === true;
    // Without its certificates a payment has neither receipt nor change: request them again.
    if (isFinal && facts.some(({ kind }) => kind === 'registered')) {
      next = addStage(next, txid.value, 'registered');
    }
    return next;
  });
}

/**
 * PAYMENT-P8: stores the payments that go first, and only then sends them.
 * @returns why one of them is not completed from here
 */
async function saveAdopted(
  { context, keys, payments, change, resume }: Follower,
  id: string,
): Promise<NotAdopted | null> {
  const network = context.network();
  const networkId = network === null ? undefined : fromHex(network.networkId);
  const kept = await payments.getFacts(id);
  if (kept === undefined || networkId?.ok !== true) return null;
  const adoptions = decodePaymentFacts(kept).flatMap((fact) =>
    fact.kind === 'adopted' ? [fact.adoption] : [],
  );
  let refused: NotAdopted | null = null;
  await change((state) => {
    refused = null;
    let next = state;
    for (const { transaction } of adoptions) {
      const now = context.ports.now();
      const adopted = adoptPayment(keys, networkId.value, next, transaction, now);
      if (adopted.ok) next = adopted.value;
      else refused = adopted.error;
    }
    return next;
  });
  resume();
  return refused;
}

const isFinished = (state: WalletState, id: string): boolean =>
  state.payments.get(id)?.stages.has('registered') === true || deadPayments(state).has(id);

/** Complete, or `null`: the commit certificate of every input of the transaction, in order. */
export function commitCertificatesOf(
  transaction: Uint8Array,
  facts: readonly PaymentFact[],
  given: readonly SpendCertificate[] | null,
): readonly SpendCertificate[] | null {
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) return null;
  const committed = new Map<number, SpendCertificate>((given ?? []).entries());
  for (const fact of facts) {
    if (fact.kind === 'committed') committed.set(fact.index, fact.certificate);
  }
  const all = decoded.value.inputs.map((_, index) => committed.get(index));
  return all.every((certificate) => certificate !== undefined) ? all : null;
}
