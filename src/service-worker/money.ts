/**
 * Payments in the worker: it carries out what the vault wrote down, without any secret, and goes
 * on after its own death. Also pages through the elders' lists of registered outputs.
 */
import { Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { keyAt, unsealedAt, type Certificate } from '#money/certificate.ts';
import { ed25519Identity } from '#money/identity.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import { readSealedPath, verifySealed, writeSealedPath } from '#money/sealed.ts';
import {
  decodeSpentbookAnswer,
  encodeSpentbookRequest,
  REQUEST_BYTES,
} from '#protocol/spentbook/index.ts';
import { runPayment, type RunningPayment } from '#runtime/payment-runner.ts';
import {
  decodeBundle,
  decodePaymentFacts,
  encodePaymentFacts,
  withFact,
  type PaymentBundle,
  type PaymentElder,
  type PaymentFact,
  type PaymentOutput,
  type PaymentSections,
} from '#safe/payment/index.ts';
import {
  getFacts,
  getIntent,
  listPayments,
  putFacts,
  removePayment,
} from '#storage/browser/payments.ts';
import { CallError, unreachable } from './answers.ts';
import type { LightNode } from './light-node.ts';

/** First pause before identical requests go out again. */
const repeatEveryMs = 1_500;
const askTimeoutMs = 15_000;
/** How long the call `pay` waits before it says how far the payment is. */
const answerWithinMs = 20_000;
const outputsPerPage = 64;
/** So long what is over is kept for a vault that has not read it; its wallet can ask again. */
const keepOverMs = 60_000;

/** How far a payment is, as the vault shows it. */
export type PaymentProgress =
  | { readonly state: 'preparing' | 'committing' | 'final' | 'registered' }
  | { readonly state: 'replaced' }
  | { readonly state: 'waiting'; readonly reason: string };

/** What the vault is told; the sentence says why the elders cannot decide now (N29). */
type ToldProgress = PaymentProgress & { readonly sentence?: string };

interface Run {
  /** The places of the coins it spends: their sections must decide. */
  readonly slots: readonly Uint8Array[];
  progress: PaymentProgress;
  readonly running: Promise<RunningPayment>;
  readonly changed: Set<() => void>;
  /** Nothing more will come of it: what is stored of it goes after a while. */
  ended: boolean;
  goes: ReturnType<typeof setTimeout> | undefined;
}

const runs = new Map<string, Run>();

/**
 * Starts the payment, or joins the run that is under way; answers when it is final, registered,
 * replaced, or waits for something a person should know.
 * @param known what the caller has heard already: the answer waits for something newer
 */
export async function pay(
  node: LightNode,
  paymentId: string,
  known?: string,
): Promise<ToldProgress> {
  const run = runs.get(paymentId) ?? (await begin(node, paymentId));
  keepAWhile(paymentId, run);
  const telling = (): boolean =>
    ['final', 'registered', 'replaced', 'waiting'].includes(run.progress.state) &&
    run.progress.state !== known;
  const deadline = Date.now() + answerWithinMs;
  // A run that broke off is begun again by the next call.
  while (!telling() && runs.get(paymentId) === run && Date.now() < deadline) {
    await new Promise<void>((go) => {
      const timer = setTimeout(go, deadline - Date.now());
      run.changed.add(() => {
        clearTimeout(timer);
        go();
      });
    });
  }
  return toldOf(node, run);
}

function toldOf(node: LightNode, { progress, slots }: Run): ToldProgress {
  const undecided =
    progress.state === 'preparing' ||
    progress.state === 'committing' ||
    (progress.state === 'waiting' && progress.reason === 'tooFewElders');
  const stall = undecided ? slots.map(node.stall).find((each) => each !== null) : undefined;
  return stall ? { ...progress, sentence: stall.sentence } : progress;
}

/**
 * Goes on with whatever an earlier life of the worker left unfinished, and forgets what is over: it
 * is plain, and the Safe that it belongs to may have been forgotten here.
 */
export async function resumePayments(node: LightNode): Promise<void> {
  await forgetEnded();
  for (const paymentId of await listPayments()) {
    if (!runs.has(paymentId)) await begin(node, paymentId).catch(() => undefined);
  }
}

/**
 * Forgets payments that are over; what is still under way goes on, and is forgotten when it is over.
 * @param only these ids, because their vault has written down how they ended; all by default
 */
export async function forgetEnded(only?: readonly string[]): Promise<void> {
  for (const paymentId of await listPayments()) {
    if (only !== undefined && !only.includes(paymentId)) continue;
    if (await hasEnded(paymentId)) await forget(paymentId);
  }
}

/** Of a network that is served no more; what is stored of them goes on when it is served again. */
export function stopPayments(): void {
  for (const [paymentId, run] of runs) {
    clearTimeout(run.goes);
    runs.delete(paymentId);
    void run.running.then(({ stop }) => stop()).catch(() => undefined);
    for (const heard of run.changed) heard();
  }
}

async function hasEnded(paymentId: string): Promise<boolean> {
  const run = runs.get(paymentId);
  if (run !== undefined) return run.ended;
  if ((await getIntent(paymentId)) === undefined) return true;
  const facts = await loadFacts(paymentId);
  return facts.some(({ kind }) => kind === 'registered' || kind === 'replaced');
}

async function forget(paymentId: string): Promise<void> {
  clearTimeout(runs.get(paymentId)?.goes);
  runs.delete(paymentId);
  await removePayment(paymentId);
}

/** A vault that asks has not written it down yet; one that does not ask may be gone. */
function keepAWhile(paymentId: string, run: Run): void {
  if (!run.ended) return;
  clearTimeout(run.goes);
  run.goes = setTimeout(() => void forget(paymentId).catch(() => undefined), keepOverMs);
}

/**
 * One page of one elder's list, as the elder sent it: CBOR {entries, next, more}.
 * @param named the elder's name in hex, or its place among the elders
 */
export async function outputsPage(
  node: LightNode,
  named: string | number,
  after: number,
): Promise<Uint8Array> {
  const { elders } = await node.section();
  const elder = typeof named === 'string' ? elderNamed(node, named) : elders[named % elders.length];
  if (elder === undefined) throw unreachable('No elder is known yet.');
  const request = { kind: 'outputs', after, limit: outputsPerPage } as const;
  const reply = await node.ask(elder, request, askTimeoutMs);
  if (!reply.ok || reply.value.kind !== 'outputs') throw unreachable('An elder did not answer.');
  const { entries, next, more } = reply.value;
  return encodeCbor({ entries, next, more });
}

/**
 * The path that shows a slot in the sealed root of an ended epoch (N34), encoded. Errors: throws when
 * no elder of today has one that holds.
 */
export async function provenPath(
  node: LightNode,
  slot: Uint8Array,
  epoch: bigint,
  txid: Uint8Array,
): Promise<Uint8Array> {
  const { elders } = await node.section(slot);
  const root = keyAt(node.paymentSections(), slot, epoch)?.sealedRoot;
  if (root === undefined || root === null) throw unreachable('This epoch has not ended.');
  const prove = { kind: 'prove', request: new Uint8Array(REQUEST_BYTES), slot, epoch } as const;
  const message = encodeSpentbookRequest(prove);
  for (const elder of elders) {
    const reply = await node.ask(elder, { kind: 'slot', slot, message }, askTimeoutMs);
    if (!reply.ok || reply.value.kind !== 'money') continue;
    const answer = decodeSpentbookAnswer(reply.value.message);
    if (!answer.ok || answer.value.kind !== 'proof') continue;
    const { path } = answer.value;
    if (path === null || !verifySealed(root, slot, txid, path)) continue;
    return writeSealedPath(new Writer(), path).finish();
  }
  throw unreachable('No elder has proven an earlier payment yet.');
}

async function begin(node: LightNode, paymentId: string): Promise<Run> {
  const intent = await getIntent(paymentId);
  if (intent === undefined) {
    throw new CallError(404, { kind: 'internal', message: 'This payment was not written down.' });
  }
  const decoded = decodeBundle(intent);
  if (!decoded.ok) {
    throw new CallError(400, { kind: 'internal', message: 'This payment cannot be read.' });
  }
  await node.section();
  const bundle = await withOwnPaths(node, decoded.value);
  const known = runs.get(paymentId);
  if (known !== undefined) return known;

  const tell = (progress: PaymentProgress): void => {
    run.progress = progress;
    for (const go of [...run.changed]) go();
    run.changed.clear();
  };
  const transaction = decodeTransaction(bundle.transaction);
  // Written down when this address served another network: its elders are asked when it does again.
  if (transaction.ok && toHex(transaction.value.networkId) !== node.file.networkId) {
    throw new CallError(409, {
      kind: 'otherNetwork',
      message: 'This payment belongs to another network than the one at this address.',
    });
  }
  const inputs = transaction.ok ? transaction.value.inputs : [];
  const run: Run = {
    slots: inputs.map(({ keyImage }) => slotName(keyImage)),
    progress: { state: 'preparing' },
    changed: new Set(),
    ended: false,
    goes: undefined,
    running: runPayment(
      {
        sections: node.paymentSections(),
        identity: ed25519Identity,
        bundle,
        repeatEveryMs,
      },
      {
        ask: (elder, request) => node.ask(elder, request, askTimeoutMs),
        facts: {
          load: () => loadFacts(paymentId),
          append: (fact) => appendFact(paymentId, fact),
        },
        suite: blsSuite,
        now: () => Date.now(),
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
        onOutput: (output) => {
          if (output.kind !== 'outdated') tell(progressOf(output));
          if (isRefusedFavour(bundle, output)) void run.running.then((running) => running.stop());
        },
        news: (address, elder) => newsOf(node, address, elder),
        // The machine has dropped the liar already; the Network page shows elders, not blame, yet.
        onFault: (fault) => console.warn('payment: an elder lied', fault.kind, fault.culprit),
      },
    ),
  };
  runs.set(paymentId, run);
  void run.running.then(
    async (running) => {
      const stop = node.onNews(() => running.update(node.paymentSections()));
      try {
        await running.ended;
        // Stopped with its network: it is not over, and what is stored of it stays.
        if (runs.get(paymentId) !== run) return;
        run.ended = true;
        keepAWhile(paymentId, run);
      } catch {
        // What the elders answered could not be stored: it is asked for again.
        runs.delete(paymentId);
        tell(run.progress);
      } finally {
        stop();
      }
    },
    () => runs.delete(paymentId),
  );
  return run;
}

/**
 * A receipt that was redeemed has no sources, only certificates. Those whose epoch has ended meanwhile
 * count with a path: without one the elders would be asked to prepare what nobody can prove.
 */
async function withOwnPaths(node: LightNode, bundle: PaymentBundle): Promise<PaymentBundle> {
  const transaction = decodeTransaction(bundle.transaction);
  if (bundle.certificates === null || !transaction.ok) return bundle;
  const certificates: Certificate[] = [...bundle.certificates];
  for (const at of unsealedAt(node.paymentSections(), transaction.value, certificates)) {
    const input = transaction.value.inputs[at];
    const certificate = certificates[at];
    if (input === undefined || certificate === undefined) continue;
    const slot = slotName(input.keyImage);
    const txid = txidOf(transaction.value);
    const path = await provenPath(node, slot, certificate.epoch, txid).catch(() => null);
    const sealed = path === null ? undefined : readSealedPath(new Reader(path));
    if (sealed !== undefined) certificates[at] = { ...certificate, sealed };
  }
  return { ...bundle, certificates };
}

/**
 * Whoever redeems a receipt has the coin already and only tells the list, for others' sake. Elders that
 * refuse it can be told nothing better: without sources it would be repeated for ever.
 */
const isRefusedFavour = (bundle: PaymentBundle, output: PaymentOutput): boolean =>
  bundle.sources.length === 0 && output.kind === 'waiting' && output.reason.kind === 'refused';

/** The section has moved on, or its elders are gone: whoever knows proves it. */
async function newsOf(
  node: LightNode,
  address: Uint8Array,
  named: string | null,
): Promise<PaymentSections> {
  const { elders } = await node.section(address);
  const asked = named === null ? undefined : elderNamed(node, named);
  const elder = asked ?? elders[Math.floor(Math.random() * elders.length)];
  if (elder !== undefined) await node.catchUp(elder, address, askTimeoutMs);
  // Where elders are silent the bootstrap nodes are asked, too.
  if (asked === undefined) await node.look();
  return node.paymentSections();
}

const elderNamed = (node: LightNode, name: string): PaymentElder | undefined => {
  const elders = node.paymentSections().current.flatMap((section) => section.elders);
  return elders.find((each) => toHex(each.name) === name);
};

function progressOf(output: Exclude<PaymentOutput, { kind: 'outdated' }>): PaymentProgress {
  switch (output.kind) {
    case 'prepared':
      return { state: 'committing' };
    case 'final':
    case 'registered':
    case 'replaced':
      return { state: output.kind };
    case 'waiting':
      return { state: 'waiting', reason: output.reason.kind };
  }
}

async function loadFacts(paymentId: string): Promise<readonly PaymentFact[]> {
  const kept = await getFacts(paymentId);
  return kept === undefined ? [] : decodePaymentFacts(kept);
}

async function appendFact(paymentId: string, fact: PaymentFact): Promise<void> {
  await putFacts(paymentId, encodePaymentFacts(withFact(await loadFacts(paymentId), fact)));
}
