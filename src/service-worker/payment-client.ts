/**
 * Runs payments in the worker: it carries out what the vault stored, without any secret, and continues
 * after a restart. Also reads the elders' lists of registered outputs, page by page.
 */
import type { CallOutput, PaymentReport } from '#bridge/worker-calls.ts';
import { Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  signingKeyFor,
  missingInclusionProofs,
  type SpendCertificate,
} from '#money/spend-certificate.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import {
  readInclusionProof,
  verifyInclusion,
  writeInclusionProof,
} from '#money/inclusion-proof.ts';
import {
  decodeSpentbookAnswer,
  encodeSpentbookRequest,
  REQUEST_BYTES,
} from '#protocol/spentbook/index.ts';
import { runPayment, type PaymentPorts, type RunningPayment } from '#runtime/payment-runner.ts';
import {
  decodeBundle,
  decodePaymentFacts,
  encodePaymentFacts,
  withPaymentFact,
  type PaymentBundle,
  type PaymentElder,
  type PaymentFact,
  type PaymentOutput,
  type PaymentSections,
} from '#safe/payment/index.ts';
import type { PaymentStage } from '#safe/payment/stages.ts';
import {
  getFacts,
  getIntent,
  listPayments,
  putFacts,
  removePayment,
} from '#storage/browser/payments.ts';
import { CallError, unreachable } from './http/http-responses.ts';
import type { LightNode } from './light-node/light-node.ts';

/** The first pause before identical requests are sent again. */
const repeatEveryMs = 1_500;
const askTimeoutMs = 15_000;
/** How long the call `pay` waits before it reports the progress. */
const answerWithinMs = 20_000;
const outputsPerPage = 64;
/** How long ended payments are kept for a vault that has not read them; its wallet can ask again. */
const keepEndedMs = 60_000;

type Progress = Pick<PaymentReport, 'stage' | 'waiting'>;

interface PaymentRun {
  /** The slots of the coins it spends: their sections must decide. */
  readonly slots: readonly Uint8Array[];
  progress: Progress;
  readonly running: Promise<RunningPayment>;
  readonly changed: Set<() => void>;
  /** The payment is over: its stored data is deleted after a while. */
  ended: boolean;
  /** Why the run broke off: a fact could not be stored, or a job failed. The next call starts another. */
  failure: Error | null;
  removalTimer: ReturnType<typeof setTimeout> | undefined;
}

const runs = new Map<string, PaymentRun>();

/**
 * Starts the payment, or joins the run in progress; answers when it is final, registered, replaced, or
 * waits for something a person should know.
 * @param known the progress the caller already has: the answer waits for a newer one
 */
export async function pay(
  node: LightNode,
  paymentId: string,
  known: Progress | null,
): Promise<PaymentReport> {
  const run = runs.get(paymentId) ?? (await startRun(node, paymentId));
  scheduleRemoval(paymentId, run);
  const hasNews = ({ progress: { stage, waiting } }: PaymentRun): boolean =>
    !(isUndecided(stage) && waiting === null) &&
    (stage !== known?.stage || waiting !== known.waiting);
  const deadline = Date.now() + answerWithinMs;
  while (!hasNews(run) && runs.get(paymentId) === run && Date.now() < deadline) {
    await new Promise<void>((go) => {
      const timer = setTimeout(go, deadline - Date.now());
      run.changed.add(() => {
        clearTimeout(timer);
        go();
      });
    });
  }
  if (run.failure !== null) throw run.failure;
  return reportOf(node, run);
}

/** The elders' answers could not be stored here; they answer the same again. */
const notStored = (): CallError =>
  new CallError(507, {
    kind: 'storageFull',
    message:
      'This device could not store the payment’s progress. Free some space; Safe tries the payment again.',
  });

const isUndecided = (stage: PaymentStage): boolean =>
  stage === 'preparing' || stage === 'committing';

function reportOf(node: LightNode, { progress, slots }: PaymentRun): PaymentReport {
  const { stage, waiting } = progress;
  const needsElders =
    waiting === 'tooFewElders' || (waiting === null && isUndecided(progress.stage));
  const stall = needsElders ? slots.map(node.stall).find((each) => each !== null) : undefined;
  return { stage, waiting, sentence: stall?.sentence ?? '' };
}

/**
 * Resumes unfinished payments of previous runs, and deletes ended ones: they are not encrypted, and their
 * Safe may have been removed from this device.
 */
export async function resumePayments(node: LightNode): Promise<void> {
  await removeEnded();
  for (const paymentId of await listPayments()) {
    if (!runs.has(paymentId)) await startRun(node, paymentId).catch(() => undefined);
  }
}

/**
 * Deletes ended payments; those in progress continue, and are deleted when they end.
 * @param only these ids, because their vault has stored their outcome; all by default
 */
export async function removeEnded(only?: readonly string[]): Promise<void> {
  for (const paymentId of await listPayments()) {
    if (only !== undefined && !only.includes(paymentId)) continue;
    if (await hasEnded(paymentId)) await removeRun(paymentId);
  }
}

/** Stops payments of a network that is no longer served; they resume when it is served again. */
export function stopPayments(): void {
  for (const [paymentId, run] of runs) {
    clearTimeout(run.removalTimer);
    runs.delete(paymentId);
    void run.running.then(({ stop }) => stop()).catch(() => undefined);
    for (const listener of run.changed) listener();
  }
}

async function hasEnded(paymentId: string): Promise<boolean> {
  const run = runs.get(paymentId);
  if (run !== undefined) return run.ended;
  if ((await getIntent(paymentId)) === undefined) return true;
  const facts = await loadFacts(paymentId);
  return facts.some(({ kind }) => kind === 'registered' || kind === 'replaced');
}

async function removeRun(paymentId: string): Promise<void> {
  clearTimeout(runs.get(paymentId)?.removalTimer);
  runs.delete(paymentId);
  await removePayment(paymentId);
}

/** A vault that asks has not stored the outcome yet; one that does not ask may be gone. */
function scheduleRemoval(paymentId: string, run: PaymentRun): void {
  if (!run.ended) return;
  clearTimeout(run.removalTimer);
  run.removalTimer = setTimeout(
    () => void removeRun(paymentId).catch(() => undefined),
    keepEndedMs,
  );
}

/** One page of one elder's list, as the elder sent it. */
export async function outputsPage(
  node: LightNode,
  name: Uint8Array,
  after: number,
): Promise<CallOutput<'outputs'>> {
  await node.section();
  const elder = findElder(node, toHex(name));
  if (elder === undefined) throw unreachable('No elder is known yet.');
  const request = { kind: 'outputs', after, limit: outputsPerPage } as const;
  const reply = await node.ask(elder, request, askTimeoutMs);
  if (!reply.ok || reply.value.kind !== 'outputs') throw unreachable('An elder did not answer.');
  const { entries, next, more } = reply.value;
  return { entries, next, more };
}

/**
 * The encoded inclusion proof of a slot in the sealed root of an ended epoch (N34). Errors: throws when no
 * current elder sends a valid one.
 */
export async function fetchInclusionProof(
  node: LightNode,
  slot: Uint8Array,
  epoch: bigint,
  txid: Uint8Array,
): Promise<Uint8Array> {
  const { elders } = await node.section(slot);
  const root = signingKeyFor(node.paymentSections(), slot, epoch)?.sealedRoot;
  if (root === undefined || root === null) throw unreachable('This epoch has not ended.');
  const prove = { kind: 'prove', request: new Uint8Array(REQUEST_BYTES), slot, epoch } as const;
  const message = encodeSpentbookRequest(prove);
  for (const elder of elders) {
    const reply = await node.ask(elder, { kind: 'slot', slot, message }, askTimeoutMs);
    if (!reply.ok || reply.value.kind !== 'money') continue;
    const answer = decodeSpentbookAnswer(reply.value.message);
    if (!answer.ok || answer.value.kind !== 'proof') continue;
    const { inclusion } = answer.value;
    if (inclusion === null || !verifyInclusion(root, slot, txid, inclusion)) continue;
    return writeInclusionProof(new Writer(), inclusion).finish();
  }
  throw unreachable('No elder has proven an earlier payment yet.');
}

async function startRun(node: LightNode, paymentId: string): Promise<PaymentRun> {
  const stored = await loadBundle(paymentId);
  await node.section();
  const bundle = await withInclusionProofs(node, stored);
  const known = runs.get(paymentId);
  if (known !== undefined) return known;
  const transaction = decodeTransaction(bundle.transaction);
  // Stored while this address served another network: it waits until that one is served again.
  if (transaction.ok && toHex(transaction.value.networkId) !== node.file.networkId) {
    throw new CallError(409, {
      kind: 'otherNetwork',
      message: 'This payment belongs to another network than the one at this address.',
    });
  }
  const inputs = transaction.ok ? transaction.value.inputs : [];
  const sections = node.paymentSections();
  const run: PaymentRun = {
    slots: inputs.map(({ keyImage }) => slotName(keyImage)),
    progress: { stage: 'preparing', waiting: null },
    changed: new Set(),
    ended: false,
    failure: null,
    removalTimer: undefined,
    running: runPayment(
      { sections, identity: ed25519Identity, bundle, repeatEveryMs },
      portsOf(node, paymentId, (output) => onOutput(run, bundle, output)),
    ),
  };
  runs.set(paymentId, run);
  void followRun(node, paymentId, run);
  return run;
}

async function loadBundle(paymentId: string): Promise<PaymentBundle> {
  const intent = await getIntent(paymentId);
  const decoded = intent && decodeBundle(intent);
  if (decoded?.ok === true) return decoded.value;
  // It would never be read: a vault that has this payment stores it again.
  if (decoded !== undefined) await removePayment(paymentId);
  throw new CallError(404, { kind: 'internal', message: 'This payment was not written down.' });
}

const portsOf = (
  node: LightNode,
  paymentId: string,
  onOutput: PaymentPorts['onOutput'],
): PaymentPorts => ({
  ask: (elder, request) => node.ask(elder, request, askTimeoutMs),
  facts: {
    load: () => loadFacts(paymentId),
    append: (fact) => appendFact(paymentId, fact),
  },
  suite: blsSuite,
  now: () => Date.now(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  onOutput,
  lookUpSections: (address, elder) => lookUpSections(node, address, elder),
  // The machine has already dropped the faulty elder; the Network page does not show faults yet.
  onFault: (fault) => console.warn('payment: an elder lied', fault.kind, fault.culprit),
});

function onOutput(run: PaymentRun, bundle: PaymentBundle, output: PaymentOutput): void {
  if (output.kind === 'waiting') {
    setProgress(run, { ...run.progress, waiting: output.reason.kind });
  } else if (output.kind === 'adopt') {
    setProgress(run, { ...run.progress, waiting: 'adopted' });
  } else if (output.kind !== 'outdated') {
    setProgress(run, { stage: output.kind, waiting: null });
  }
  if (isRefusedRegistration(bundle, output)) void run.running.then((running) => running.stop());
}

function setProgress(run: PaymentRun, progress: Progress): void {
  run.progress = progress;
  for (const go of [...run.changed]) go();
  run.changed.clear();
}

async function followRun(node: LightNode, paymentId: string, run: PaymentRun): Promise<void> {
  try {
    const running = await run.running;
    const update = (): void => running.update(node.paymentSections());
    const stop = node.onSectionsChanged(update);
    // They may have changed while the stored facts were read.
    update();
    await running.ended.finally(stop);
    // Stopped with its network: the payment is not over, and its stored data stays.
    if (runs.get(paymentId) !== run) return;
    run.ended = true;
    scheduleRemoval(paymentId, run);
  } catch (error) {
    if (runs.get(paymentId) === run) runs.delete(paymentId);
    run.failure = error instanceof Error ? error : new Error(String(error));
    setProgress(run, run.progress);
  }
}

/**
 * A redeemed receipt has no sources, only certificates. Those of ended epochs need an inclusion proof:
 * without one, elders would be asked to prepare inputs that cannot be proven.
 */
async function withInclusionProofs(node: LightNode, bundle: PaymentBundle): Promise<PaymentBundle> {
  const transaction = decodeTransaction(bundle.transaction);
  if (bundle.certificates === null || !transaction.ok) return bundle;
  const certificates: SpendCertificate[] = [...bundle.certificates];
  for (const at of missingInclusionProofs(
    node.paymentSections(),
    transaction.value,
    certificates,
  )) {
    const input = transaction.value.inputs[at];
    const certificate = certificates[at];
    if (input === undefined || certificate === undefined) continue;
    const slot = slotName(input.keyImage);
    const txid = txidOf(transaction.value);
    const path = await fetchInclusionProof(node, slot, certificate.epoch, txid).catch(() => null);
    const inclusion = path === null ? undefined : readInclusionProof(new Reader(path));
    if (inclusion !== undefined) certificates[at] = { ...certificate, inclusion };
  }
  return { ...bundle, certificates };
}

/**
 * The redeemer of a receipt already has the coin and only registers it, for other devices. If elders
 * refuse, no better request is possible: without sources it would be repeated for ever.
 */
const isRefusedRegistration = (bundle: PaymentBundle, output: PaymentOutput): boolean =>
  bundle.sources.length === 0 && output.kind === 'waiting' && output.reason.kind === 'refused';

/** The section changed, or its elders left: an elder with newer state proves it. */
async function lookUpSections(
  node: LightNode,
  address: Uint8Array,
  named: string | null,
): Promise<PaymentSections> {
  const { elders } = await node.section(address);
  const asked = named === null ? undefined : findElder(node, named);
  const elder = asked ?? elders[Math.floor(Math.random() * elders.length)];
  if (elder !== undefined) await node.catchUp(elder, address, askTimeoutMs);
  // If no elder answers, the bootstrap nodes are asked, too.
  if (asked === undefined) await node.checkForUpdates();
  return node.paymentSections();
}

const findElder = (node: LightNode, name: string): PaymentElder | undefined => {
  const elders = node.paymentSections().current.flatMap((section) => section.elders);
  return elders.find((each) => toHex(each.name) === name);
};

async function loadFacts(paymentId: string): Promise<readonly PaymentFact[]> {
  const kept = await getFacts(paymentId);
  return kept === undefined ? [] : decodePaymentFacts(kept);
}

async function appendFact(paymentId: string, fact: PaymentFact): Promise<void> {
  const facts = encodePaymentFacts(withPaymentFact(await loadFacts(paymentId), fact));
  await putFacts(paymentId, facts).catch(() => {
    throw notStored();
  });
}
