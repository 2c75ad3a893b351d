/**
 * Carries payments through the worker: hands over the written bundle, asks how far it is, and
 * turns what the worker stored into facts of the wallet. Repeats until the payment is over.
 */
import { fromHex } from '#core/codec/bytes.ts';
import { decodeCbor } from '#core/codec/cbor.ts';
import { bytesUpTo, listOf } from '#core/codec/shape.ts';
import type { Certificate } from '#money/certificate.ts';
import type { WalletKeys } from '#money/keys.ts';
import { decodeBundle, decodePaymentFact, type PaymentFact } from '#safe/payment/index.ts';
import {
  addSpend,
  addStage,
  encodeReceipt,
  isReplaced,
  scanCommitted,
  type WalletState,
} from '#safe/wallet/index.ts';
import { getFacts, putIntent } from '#storage/browser/payments.ts';
import type { WalletContext } from '../ports.ts';
import { RpcFailure } from '../rpc.ts';

const factsShape = listOf(bytesUpTo(64 * 1024), 64);
const retryMs = 3_000;
/** The worker answers sooner when something happens. */
const askAgainMs = 250;

export interface Outgoing {
  /** Starts what is not finished and not running here yet. */
  readonly goOn: (state: WalletState) => void;
  /** A sentence for a payment that waits for something, else empty. */
  readonly sentence: (txid: string) => string;
}

export function createOutgoing(
  context: WalletContext,
  keys: WalletKeys,
  change: (apply: (state: WalletState) => WalletState) => Promise<void>,
): Outgoing {
  const running = new Set<string>();
  const sentences = new Map<string, string>();

  const say = (id: string, sentence: string): void => {
    if ((sentences.get(id) ?? '') === sentence) return;
    sentences.set(id, sentence);
    context.changed();
  };

  const carry = async (id: string, bundle: Uint8Array): Promise<void> => {
    await putIntent(id, bundle);
    let known: string | undefined;
    while (!context.closed.aborted) {
      try {
        const body = JSON.stringify({ paymentId: id, ...(known === undefined ? {} : { known }) });
        const answer: unknown = await (await context.rpc.call('pay', { body })).json();
        const { state, reason, sentence } = answer as Record<'state', string> &
          Partial<Record<'reason' | 'sentence', string>>;
        say(id, sentence ?? (state === 'waiting' ? waitingSentence(reason ?? '') : ''));
        if (state !== known) await record(id, bundle);
        if (state === 'registered' || state === 'replaced') return;
        known = state;
        await context.ports.wait(askAgainMs, context.closed);
      } catch (error) {
        if (context.closed.aborted) return;
        say(id, error instanceof RpcFailure ? error.message : internalSentence);
        await context.ports.wait(retryMs, context.closed);
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
    const facts = await factsOf(id);
    const certificates = committedBy(facts, bundle.value.certificates);
    const { transaction } = bundle.value;
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
      if (facts.some(({ kind }) => kind === 'registered')) {
        learnt = addStage(learnt, txid.value, 'registered');
      }
      return learnt;
    });
  };

  return {
    goOn: (state) => {
      for (const [id, payment] of state.payments) {
        const { bundle, stages, txid } = payment;
        if (bundle === null || stages.has('registered') || running.has(id)) continue;
        if (isReplaced(state, txid) && !stages.has('final')) continue;
        running.add(id);
        void carry(id, bundle).finally(() => running.delete(id));
      }
    },
    sentence: (txid) => sentences.get(txid) ?? '',
  };
}

/** Complete, or `null`: the commit certificate of every input, in order. */
function committedBy(
  facts: readonly PaymentFact[],
  given: readonly Certificate[] | null,
): readonly Certificate[] | null {
  const prepared = new Set(facts.flatMap((fact) => (fact.kind === 'prepared' ? [fact.index] : [])));
  const committed = new Map<number, Certificate>();
  for (const [index, certificate] of (given ?? []).entries()) committed.set(index, certificate);
  for (const fact of facts) {
    if (fact.kind === 'committed') committed.set(fact.index, fact.certificate);
  }
  const inputs = Math.max(prepared.size, given?.length ?? 0, committed.size);
  if (inputs === 0) return null;
  const all = Array.from({ length: inputs }, (_, index) => committed.get(index));
  return all.every((certificate) => certificate !== undefined) ? all : null;
}

async function factsOf(id: string): Promise<readonly PaymentFact[]> {
  const kept = await getFacts(id);
  const decoded = kept === undefined ? undefined : decodeCbor(kept);
  const list = decoded?.ok === true ? (factsShape(decoded.value) ?? []) : [];
  return list.flatMap((bytes) => {
    const fact = decodePaymentFact(bytes);
    return fact.ok ? [fact.value] : [];
  });
}

const internalSentence = 'The payment could not go on inside the app. It is tried again.';

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
