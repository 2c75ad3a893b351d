/** Properties that hold after every event of a money run, and the run itself. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { createPrng } from '../prng.ts';
import { toyScalars, toySuite } from '../toys/toy-suite.ts';
import { run, type Checker, type Faults, type Report } from '../world.ts';
import { openRegistryEntry, verifySpendCertificates } from '#money/spend-certificate.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify-transaction.ts';
import type { PaymentBundle } from '#safe/payment/index.ts';
import { decodeSpentbookAnswer } from '#protocol/spentbook/index.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import {
  makeSection,
  networkId,
  toyIdentity,
  toyName,
  type TestElder,
  type TestSection,
} from '../../unit/money/fixtures.ts';
import {
  createCompute,
  createNet,
  honestParts,
  type Net,
  type NetConfig,
  type NetState,
  type Parts,
} from './payment-net.ts';
import {
  paymentAdversary,
  makePaymentCast,
  slotsOf,
  type PaymentActor,
  type PaymentRequestSeen,
  type PaymentCast,
} from './payment-cast.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';

/** Everything that is equal for all seeds. */
export interface PaymentSetup {
  readonly test: TestSection;
  readonly suite: ThresholdSuite;
  readonly identity: IdentitySuite;
  readonly cast: PaymentCast;
  /** Registry entries that passed every check. */
  readonly knownGood: Set<string>;
}

export function toyPaymentSetup(): PaymentSetup {
  const test = makeSection(toySuite, toyScalars, toyName);
  return {
    test,
    suite: toySuite,
    identity: toyIdentity,
    cast: makePaymentCast(test, toySuite),
    knownGood: new Set(),
  };
}

export function realPaymentSetup(suite: ThresholdSuite, field: ScalarField): PaymentSetup {
  const test = makeSection(suite, field, ed25519PublicKey);
  return {
    test,
    suite,
    identity: ed25519Identity,
    cast: makePaymentCast(test, suite),
    knownGood: new Set(),
  };
}

export interface PaymentRunEnd {
  readonly report: Report<NetState>;
  /** The last output of every client that ran. */
  readonly lastMessages: ReadonlyMap<string, string>;
}

const faults: Faults = {
  latencyMs: [1, 200],
  dropProbability: 0.15,
  duplicateProbability: 0.1,
  crashProbability: 0.02,
  restartAfterMs: [100, 2_500],
  cutProbability: 0.02,
  computeMs: [0, 60],
};

const healAtMs = 8_000;
const endAtMs = 32_000;

/** @param always actors that must take part; the seed adds some others. */
export function runPaymentSeed(
  setup: PaymentSetup,
  seed: number,
  parts: Parts = honestParts,
  compute = createCompute(parts, setup.suite),
  always: readonly string[] = [],
  extras = 4,
  linkFaults: Partial<Faults> = {},
): PaymentRunEnd {
  const { test, suite, identity, cast } = setup;
  const prng = createPrng(seed ^ 0x5afe);
  const chosen = choose(cast.actors, always, extras, prng);
  const liars = [0, 1, 2][seed % 3] ?? 0;
  const configs = new Map<string, NetConfig>();
  for (const elder of test.elders) configs.set(elder.id, elderConfig(setup, elder));
  for (const actor of chosen) configs.set(actor.id, clientConfig(setup, actor, chosen));
  const { table } = cast;
  const byzantine = test.elders.slice(7 - liars);
  const greedy = prng.chance(0.5);
  const corrupt = new Map(
    byzantine.map((elder, i) => {
      const accomplice = byzantine[(i + 1) % byzantine.length] ?? elder;
      return [
        elder.id,
        paymentAdversary(elder, accomplice, test, suite, identity, table, cast.actors, greedy),
      ];
    }),
  );
  const lastMessages = new Map<string, string>();
  const report = run(
    {
      machine: createNet(parts),
      configs,
      inputs: chosen.flatMap(({ id, startAtMs }) =>
        // Repeat until the payment has begun: a crashed client receives no input.
        [0, 4_000, healAtMs + 2_000].map((later) => ({
          atMs: startAtMs + later + prng.below(300),
          to: id,
          input: { kind: 'go' } as const,
        })),
      ),
      compute,
      faults: { ...faults, ...linkFaults },
      healAtMs,
      endAtMs,
      corrupt,
    },
    seed,
    paymentCheckers(setup, table, new Set(byzantine.map(({ id }) => id)), chosen, lastMessages),
  );
  progress(chosen, lastMessages);
  return { report, lastMessages };
}

export function elderConfig({ test, identity }: PaymentSetup, elder: TestElder): NetConfig {
  const { name, secretShare, identitySeed } = elder;
  const { section, known } = test;
  const part = { section, known, inherited: new Map<string, never>(), sealed: false, identity };
  const elders = test.elders.map((each) => each.name);
  return {
    kind: 'elder',
    spentbook: { ...part, name, secretShare, identitySeed, elders },
    mint: { ...part, identitySeed },
  };
}

export function clientConfig(
  { test, identity }: PaymentSetup,
  { id, bundle }: PaymentActor,
  chosen: readonly PaymentActor[],
): NetConfig {
  const sections = onlyPaymentSection(test.section, test.elders);
  const payment = { sections, identity, bundle, repeatEveryMs: 400 };
  return { kind: 'client', payment, adopt: adoptRival(chosen, id) };
}

function choose(
  actors: readonly PaymentActor[],
  always: readonly string[],
  extras: number,
  prng: ReturnType<typeof createPrng>,
): readonly PaymentActor[] {
  const wanted = new Set(always);
  for (let i = 0; i < extras; i++) wanted.add(prng.pick(actors).id);
  // Each pair only makes sense together.
  if (wanted.has('alice-phone') || wanted.has('alice-laptop')) {
    wanted.add('alice-phone').add('alice-laptop');
  }
  if (wanted.has('mallory-twin-a') || wanted.has('mallory-twin-b')) {
    wanted.add('mallory-twin-a').add('mallory-twin-b');
  }
  return actors.filter(({ id }) => wanted.has(id));
}

/** Two devices of one wallet: each can read what the other has begun. */
const adoptRival =
  (chosen: readonly PaymentActor[], id: string) =>
  (transaction: Uint8Array): PaymentBundle | null => {
    const decoded = decodeTransaction(transaction);
    const mine = chosen.find((actor) => actor.id === id);
    if (!decoded.ok || mine?.expect !== 'race') return null;
    const txid = txidOf(decoded.value);
    const racers = chosen.filter(({ expect }) => expect === 'race');
    return racers.find((racer) => equalBytes(txidOf(racer.transaction), txid))?.bundle ?? null;
  };

export function paymentCheckers(
  setup: PaymentSetup,
  table: ReadonlyMap<string, PaymentRequestSeen>,
  byzantine: ReadonlySet<string>,
  chosen: readonly PaymentActor[],
  lastStates: Map<string, string>,
): Checker<NetState, Net> {
  const { test, suite, cast } = setup;
  const actorById = new Map(chosen.map((actor) => [actor.id, actor]));
  const shares = new Map<string, Map<string, Set<string>>>();
  const finalBySlot = new Map<string, string>();
  const keptByElder = new Map<string, string>();
  const checked = new Set<string>();

  /** An honest elder signs one txid per slot and ballot, despite crashes. */
  const onShare = (elder: string, asked: PaymentRequestSeen): void => {
    const slot = slotsOf(asked.transaction)[asked.index];
    if (slot === undefined) return;
    const bySigned = shares.get(`${asked.phase}|${slot}`) ?? new Map<string, Set<string>>();
    shares.set(`${asked.phase}|${slot}`, bySigned);
    const txid = toHex(asked.txid);
    const signers = bySigned.get(txid) ?? new Set<string>();
    bySigned.set(txid, signers.add(elder));
    for (const [other, others] of bySigned) {
      if (other === txid) continue;
      if (others.has(elder)) throw new Error(`voteOnce: ${asked.phase} for two transactions`);
      // Liars sign for any collector: 2 + honest signers must stay below 5.
      if (asked.phase === 'COMMIT' && others.size + 2 >= 5 && signers.size + 2 >= 5) {
        throw new Error('noDoubleSpend: two commit certificates can be made for one slot');
      }
    }
  };

  const actorByTxid = new Map(
    chosen.map((actor) => [toHex(txidOf(actor.transaction)), actor] as const),
  );
  const onFinal = (
    paid: string,
    certificates: Parameters<typeof verifySpendCertificates>[4],
  ): void => {
    const actor = actorByTxid.get(paid);
    if (actor === undefined) throw new Error('an unknown payment');
    const { id } = actor;
    const genuine = verifySpendCertificates(
      test.known,
      suite,
      'COMMIT',
      actor.transaction,
      certificates,
    );
    if (!genuine.ok) {
      if (actor.honest) throw new Error('finalIsProven: a final payment without certificates');
      return;
    }
    if (actor.expect === 'never') throw new Error(`validity: ${id} was certified`);
    const txid = toHex(txidOf(actor.transaction));
    for (const slot of slotsOf(actor.transaction)) {
      const before = finalBySlot.get(slot) ?? txid;
      finalBySlot.set(slot, before);
      if (before !== txid) throw new Error('noDoubleSpend: one slot, two final transactions');
    }
  };

  const onRegistered = (elder: string, key: Uint8Array, bytes: Uint8Array): void => {
    const seen = `${elder}|${toHex(key)}`;
    const line = toHex(bytes);
    const before = keptByElder.get(seen) ?? line;
    keptByElder.set(seen, before);
    if (before !== line) throw new Error('oneTransactionPerKey: an elder listed a second one');
    if (checked.has(line)) return;
    checked.add(line);
    if (setup.knownGood.has(line)) return; // Pure: check each entry once per test file.
    const opened = openRegistryEntry(test.known, suite, bytes);
    if (!opened.ok) throw new Error(`registeredIsFinal: ${opened.error}`);
    const { transaction } = opened.value;
    for (const { oneTimeKey, amount } of transaction.inputs) {
      if (cast.amountsByKey.get(toHex(oneTimeKey)) !== amount) {
        throw new Error('supplyConserved: an input that never was');
      }
    }
    const valid = verifyTransaction(opened.value.entry.transaction, networkId, 'certified');
    if (!valid.ok) throw new Error(`supplyConserved: registered though ${valid.error}`);
    setup.knownGood.add(line);
  };

  return ({ node, outputs, faults: blamed }) => {
    if (!node.honest) return;
    for (const { culprit, kind } of blamed) {
      const guilty = byzantine.has(culprit) || actorById.get(culprit)?.honest === false;
      if (!guilty) throw new Error(`noFalseBlame: ${node.id} blamed ${culprit} for ${kind}`);
    }
    for (const output of outputs) {
      if (output.kind === 'registered') onRegistered(node.id, output.key, output.entry);
      else if (output.kind === 'sent') {
        if (output.message.kind !== 'money' || output.message.asked !== 'slot') continue;
        const answer = decodeSpentbookAnswer(output.message.message);
        if (!answer.ok) throw new Error('an honest elder sends valid answers');
        const asked = table.get(toHex(answer.value.request));
        if (asked === undefined) throw new Error('an answer without a request');
        if (answer.value.kind === 'prepared' || answer.value.kind === 'committed') {
          onShare(node.id, asked);
        }
      } else {
        const { txid, output: emitted } = output;
        if (emitted.kind === 'final') onFinal(txid, emitted.certificates);
        const isOwn = actorByTxid.get(txid)?.id === node.id;
        const at = isOwn ? node.id : `${node.id} adopted`;
        if (emitted.kind === 'waiting') lastStates.set(at, `waiting ${emitted.reason.kind}`);
        else if (emitted.kind !== 'committing') lastStates.set(at, emitted.kind);
      }
    }
  };
}

/** After healing every payment without a rival ends registered, and a race has one winner. */
function progress(chosen: readonly PaymentActor[], lastStates: ReadonlyMap<string, string>): void {
  for (const { id, expect } of chosen) {
    if (expect === 'registered' && lastStates.get(id) !== 'registered') {
      throw new Error(`progress: ${id} ended ${lastStates.get(id) ?? 'without an output'}`);
    }
    if (expect === 'never' && lastStates.get(id) === 'registered') {
      throw new Error(`validity: ${id} was registered`);
    }
  }
  const racing = chosen.filter(({ expect }) => expect === 'race');
  const racers = racing.map(({ id }) => lastStates.get(id));
  if (racers.length === 0) return;
  const won = racers.filter((state) => state === 'registered').length;
  const lost = racers.filter((state) => state === 'replaced').length;
  // Without recovery (SPENTBOOK-R3) both may wait; then both must have reported it, of their own payment or of
  // the one that they adopted.
  const waiting = racing.filter(
    ({ id }) =>
      lastStates.get(id) === 'waiting conflict' ||
      (lastStates.get(id) === 'adopt' && lastStates.get(`${id} adopted`) === 'waiting conflict'),
  ).length;
  if (!(won === 1 && lost === 1) && waiting !== 2) {
    throw new Error(`progress: a race ended ${racers.join(' and ')}`);
  }
  const twins = chosen.filter(({ expect }) => expect === 'any').map(({ id }) => lastStates.get(id));
  if (twins.filter((state) => state === 'registered').length > 1) {
    throw new Error('oneTransactionPerKey: both twins were registered');
  }
}

export const outcomeOf = ({ report, lastMessages }: PaymentRunEnd): string =>
  JSON.stringify([report.trace, [...lastMessages].sort()]);
