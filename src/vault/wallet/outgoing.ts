/**
 * Carries payments through the worker: hands over the written bundle, asks how far it is, and
 * turns what the worker stored into facts of the wallet. Repeats until the payment is over.
 */
import { fromHex } from '#core/codec/bytes.ts';
import type { Certificate } from '#money/certificate.ts';
import type { WalletKeys } from '#money/keys.ts';
import { decodeTransaction } from '#money/transaction.ts';
import { decodeBundle, decodePaymentFacts, type PaymentFact } from '#safe/payment/index.ts';
import {
  addSpend,
  addStage,
  deadPayments,
  encodeReceipt,
  scanCommitted,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { PaymentStore } from '#storage/browser/payments.ts';
import { toVaultError } from '../failure.ts';
import type { WalletContext } from '../ports.ts';
import { RpcFailure } from '../rpc.ts';

const retryMs = 3_000;
/** The worker answers sooner when something happens. */
const askAgainMs = 250;

export interface Outgoing {
  /** Starts what is written down, not finished, and not running here yet. */
  readonly goOn: () => void;
  /** A sentence for a payment that waits for something, else empty. */
  readonly sentence: (txid: string) => string;
}

export interface OutgoingParts {
  readonly context: WalletContext;
  readonly keys: WalletKeys;
  readonly payments: PaymentStore;
  /** The wallet as it is stored: nothing else is ever handed to the worker (R0). */
  readonly stored: () => WalletState;
  readonly change: (apply: (state: WalletState) => WalletState) => Promise<void>;
}

export function createOutgoing(parts: OutgoingParts): Outgoing {
  const { context, keys, payments, stored, change } = parts;
  const running = new Set<string>();
  const sentences = new Map<string, string>();

  const say = (id: string, sentence: string): void => {
    if ((sentences.get(id) ?? '') === sentence) return;
    sentences.set(id, sentence);
    context.changed();
  };

  const carry = async (id: string, bundle: Uint8Array): Promise<void> => {
    let known: string | undefined;
    let begun = false;
    while (!context.closed.aborted && !isOver(stored(), id)) {
      try {
        if (!begun) await payments.putIntent(id, bundle);
        begun = true;
        const body = JSON.stringify({ paymentId: id, ...(known === undefined ? {} : { known }) });
        const answer: unknown = await (await context.rpc.call('pay', { body })).json();
        const { state, reason, sentence } = answer as Record<'state', string> &
          Partial<Record<'reason' | 'sentence', string>>;
        say(id, sentence ?? (state === 'waiting' ? waitingSentence(reason ?? '') : ''));
        if (state !== known) await record(id, bundle);
        known = state;
        if (state !== 'registered' && state !== 'replaced') {
          await context.ports.wait(askAgainMs, context.closed);
          continue;
        }
        // What the worker keeps is plain: it goes as soon as the wallet has it, sealed.
        await context.rpc.call('pay/done', { body: JSON.stringify({ paymentIds: [id] }) });
        // Whoever forgot the facts of this payment was faster: the elders are asked for them again.
        begun = false;
        known = undefined;
        if (!isOver(stored(), id)) await context.ports.wait(retryMs, context.closed);
      } catch (error) {
        if (context.closed.aborted) return;
        begun = false;
        say(id, error instanceof RpcFailure ? error.message : failureSentence(error));
        await context.ports.wait(retryMs, context.closed);
        // Another tab may have brought it to its end meanwhile.
        await change((state) => state).catch(() => undefined);
      }
    }
  };

  /** What the worker has gathered becomes facts of the wallet, stored before it is shown. */
  const record = async (id: string, bundleBytes: Uint8Array): Promise<void> => {
    const bundle = decodeBundle(bundleBytes);
    const txid = fromHex(id);
    const network = context.network();
    const networkId = network === null ? undefined : fromHex(network.networkId);
    if (!bundle.ok || !txid.ok || networkId?.ok !== true) return;
    const kept = await payments.getFacts(id);
    const facts = kept === undefined ? [] : decodePaymentFacts(kept);
    const { transaction } = bundle.value;
    const certificates = committedBy(transaction, facts, bundle.value.certificates);
    await change((state) => {
      let learnt = state;
      for (const fact of facts) {
        if (fact.kind === 'prepared') learnt = addStage(learnt, txid.value, 'prepared');
        if (fact.kind === 'replaced') {
          learnt = addSpend(learnt, fact.by.keyImage, fact.by.txid);
        }
      }
      if (certificates !== null) {
        const committed = { transaction, certificates };
        const receipt = encodeReceipt(networkId.value, committed);
        learnt = addStage(learnt, txid.value, 'final', receipt);
        learnt = scanCommitted(keys, learnt, committed, context.ports.now());
      }
      const isFinal = learnt.payments.get(id)?.stages.has('final') === true;
      // Without its certificates a payment has neither a receipt nor change: it is asked for again.
      if (isFinal && facts.some(({ kind }) => kind === 'registered')) {
        learnt = addStage(learnt, txid.value, 'registered');
      }
      return learnt;
    });
  };

  return {
    goOn: () => {
      if (context.closed.aborted) return;
      for (const [id, { bundle }] of stored().payments) {
        if (bundle === null || running.has(id) || isOver(stored(), id)) continue;
        running.add(id);
        void carry(id, bundle).finally(() => running.delete(id));
      }
    },
    sentence: (txid) => sentences.get(txid) ?? '',
  };
}

const isOver = (state: WalletState, id: string): boolean =>
  state.payments.get(id)?.stages.has('registered') === true || deadPayments(state).has(id);

/** Complete, or `null`: the commit certificate of every input of the transaction, in order. */
export function committedBy(
  transaction: Uint8Array,
  facts: readonly PaymentFact[],
  given: readonly Certificate[] | null,
): readonly Certificate[] | null {
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) return null;
  const committed = new Map<number, Certificate>((given ?? []).entries());
  for (const fact of facts) {
    if (fact.kind === 'committed') committed.set(fact.index, fact.certificate);
  }
  const all = decoded.value.inputs.map((_, index) => committed.get(index));
  return all.every((certificate) => certificate !== undefined) ? all : null;
}

/** The payment is written down and goes on; whatever failed is said as it would be elsewhere. */
function failureSentence(error: unknown): string {
  const { kind, message } = toVaultError(error);
  return kind === 'internal'
    ? 'The payment could not go on inside the app. It is tried again.'
    : message;
}

function waitingSentence(reason: string): string {
  switch (reason) {
    case 'conflict':
      return 'Another device of this Safe is spending the same coin at this moment. This payment keeps asking; nothing is lost.';
    case 'tooFewElders':
      return 'Fewer than five elders answer. The payment goes on by itself when they do.';
    case 'refused':
      return 'The elders refuse this payment. Your money stays yours; please report this.';
    case 'duplicateKey':
      return 'The recipient’s list already has this payment’s key. Send the receipt as text instead.';
    default:
      return 'Waiting for the network. It goes on by itself.';
  }
}
