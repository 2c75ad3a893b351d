/**
 * The cast: honest payers, two devices with one coin, and mallory, the attacker, in several roles.
 */
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Address } from '#money/wallet-address.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  sectionKeyHash,
  spendStatementBytes,
  type SpendCertificate,
  type SpendPhase,
  type InputSource,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { WalletKeys } from '#money/wallet-keys.ts';
import { signInput } from '#money/ring-signature.ts';
import { findOutput } from '#safe/wallet/index.ts';
import { oneTimeSecret } from '#money/one-time-outputs.ts';
import {
  encodeTransaction,
  slotName,
  transactionHash,
  txidOf,
  type Transaction,
} from '#money/transaction.ts';
import {
  decodeSpentbookAnswer,
  encodeSpentbookAnswer,
  prepareVoteBytes,
  type SpentbookAnswer,
} from '#protocol/spentbook/index.ts';
import { ackBytes, decodeMintAnswer, encodeMintAnswer } from '#protocol/mint/index.ts';
import type { PaymentBundle } from '#safe/payment/index.ts';
import {
  addressFor,
  certify,
  genesis,
  genesisAmount,
  keysOf,
  networkId,
  seedOf,
  type TestElder,
  type TestSection,
} from '../../unit/money/fixtures.ts';
import type { NetMessage } from './payment-net.ts';
import type { Corrupt } from '../world.ts';
import type { Net } from './payment-net.ts';

export interface PaymentActor {
  readonly id: string;
  readonly honest: boolean;
  readonly transaction: Transaction;
  readonly bundle: PaymentBundle;
  /** `registered`: must end so; `race`: at most one of the pair; `never`: no certificate, ever. */
  readonly expect: 'registered' | 'race' | 'never' | 'any';
  readonly startAtMs: number;
}

interface Owned {
  readonly secret: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  readonly source: InputSource;
}

const empty = new Uint8Array();

function build(
  name: string,
  inputs: readonly Owned[],
  outputs: readonly { readonly address: Address; readonly amount: bigint }[],
): Transaction {
  const built = buildTransaction({
    networkId,
    inputs,
    outputs: outputs.map((output) => ({ ...output, memo: empty })),
    fee: 0n,
    recoveryKey: () => seedOf(`recovery ${name}`),
    entropy: seedOf(`entropy ${name}`),
  });
  if (built === undefined) throw new Error('real addresses');
  return built;
}

/** Every coin that this (dealer-certified) transaction creates for a wallet. */
function ownedIn(
  keys: WalletKeys,
  transaction: Transaction,
  certificates: readonly SpendCertificate[],
): readonly Owned[] {
  return transaction.outputs.flatMap((output, index) => {
    const opened = findOutput(keys, transaction, index);
    if (opened === undefined) return [];
    const { oneTimeKey, amount } = output;
    const bytes = encodeTransaction(transaction);
    const source = { kind: 'committed', transaction: bytes, certificates, index } as const;
    return [{ secret: oneTimeSecret(keys, opened.tweak), oneTimeKey, amount, source }];
  });
}

function bundleOf(transaction: Transaction, coins: readonly Owned[]): PaymentBundle {
  const sources = transaction.inputs.map(({ oneTimeKey }) => {
    const coin = coins.find((each) => equalBytes(each.oneTimeKey, oneTimeKey));
    if (coin === undefined) throw new Error('an input without a coin');
    return coin.source;
  });
  return {
    transaction: encodeTransaction(transaction),
    sources,
    prepared: null,
    certificates: null,
  };
}

/** Signs a changed body again with its owner's keys. */
function resign(transaction: Transaction, coins: readonly Owned[]): Transaction {
  const hash = transactionHash(transaction);
  const signatures = transaction.inputs.map((input) => {
    const coin = coins.find((each) => equalBytes(each.oneTimeKey, input.oneTimeKey));
    if (coin === undefined) throw new Error('an input without a coin');
    return signInput(coin.secret, input, hash, seedOf('resign'));
  });
  return { ...transaction, signatures };
}

export interface PaymentCast {
  readonly actors: readonly PaymentActor[];
  readonly amountsByKey: ReadonlyMap<string, bigint>;
  readonly table: ReadonlyMap<string, PaymentRequestSeen>;
}

/** Builds every transaction once; a run picks some of the actors. */
export function makePaymentCast(test: TestSection, suite: ThresholdSuite): PaymentCast {
  const alice = keysOf('alice');
  const bob = keysOf('bob');
  const mallory = keysOf('mallory');
  const unit = 1_000n;
  const first: Owned = {
    secret: genesis.secret.reveal(),
    oneTimeKey: genesis.oneTimeKey,
    amount: genesisAmount,
    source: { kind: 'genesis' },
  };
  const split = build(
    'split',
    [first],
    [
      ...Array.from({ length: 5 }, () => ({ address: addressFor('alice'), amount: unit })),
      ...Array.from({ length: 2 }, () => ({ address: addressFor('bob'), amount: unit })),
      ...Array.from({ length: 4 }, () => ({ address: addressFor('mallory'), amount: unit })),
      { address: addressFor('faucet'), amount: genesisAmount - 11n * unit },
    ],
  );
  const splitCerts = certify(test, suite, 'COMMIT', split);
  const [a1, a2, a3, a4, a5] = ownedIn(alice, split, splitCerts) as [
    Owned,
    Owned,
    Owned,
    Owned,
    Owned,
  ];
  const [b1, b2] = ownedIn(bob, split, splitCerts) as [Owned, Owned];
  const [m1, m2, m3, m4] = ownedIn(mallory, split, splitCerts) as [Owned, Owned, Owned, Owned];
  const to = (name: string, amount: bigint) => ({ address: addressFor(name), amount });

  const pay = build('pay', [a1], [to('bob', 300n), to('alice', 700n)]);
  const payChange = ownedIn(alice, pay, certify(test, suite, 'COMMIT', pay));
  const chain = build('chain', payChange, [to('bob', 100n), to('alice', 600n)]);
  const raceA = build('race a', [a2], [to('bob', 900n), to('alice', 100n)]);
  const raceB = build('race b', [a2], [to('carol', 500n), to('alice', 500n)]);
  const joined = build('joined', [a3, a4], [to('bob', 1_500n), to('alice', 500n)]);
  const orphan = build('orphan', [a5], [to('bob', 999n), to('alice', 1n)]);
  const stopped = build('stopped', [b2], [to('alice', 400n), to('bob', 600n)]);

  // Mallory's attempts: each breaks one validity rule.
  const theft = build('theft', [b1], [to('mallory', 1_000n)]);
  const stolen = {
    ...theft,
    signatures: theft.signatures.map(({ c0, s }) => ({
      c0,
      s: s.map((byte, i) => (i === 3 ? byte ^ 1 : byte)),
    })),
  };
  const honestSpend = build('inflate', [m1], [to('mallory', 400n), to('mallory', 600n)]);
  const inflated = resign(
    {
      ...honestSpend,
      outputs: honestSpend.outputs.map((output) => ({
        ...output,
        amount: output.amount + 1_000_000n,
      })),
    },
    [m1],
  );
  const lie = { ...m2, amount: 5_000n };
  const bigger = build('bigger', [lie], [to('mallory', 5_000n)]);
  // Two final transactions that create the same one-time key: mallory may, the registry may not.
  const twinA = build('twin a', [m3], [to('mallory', 1_000n)]);
  const twinB = resign(
    { ...build('twin b', [m4], [to('mallory', 1_000n)]), outputs: twinA.outputs },
    [m4],
  );
  const unfinal = build('unfinal', [m2], [to('mallory', 1_000n)]);

  const whole = (
    id: string,
    transaction: Transaction,
    coins: readonly Owned[],
    expect: PaymentActor['expect'],
    startAtMs: number,
    honest = true,
  ): PaymentActor => ({
    id,
    honest,
    transaction,
    bundle: bundleOf(transaction, coins),
    expect,
    startAtMs,
  });

  const bare = (transaction: Transaction): PaymentBundle => ({
    transaction: encodeTransaction(transaction),
    sources: [],
    prepared: null,
    certificates: null,
  });

  const actors: PaymentActor[] = [
    whole('faucet', split, [first], 'registered', 0),
    whole('alice-pays', pay, [a1], 'registered', 500),
    whole('alice-change', chain, payChange, 'registered', 2_000),
    whole('alice-phone', raceA, [a2], 'race', 1_000),
    whole('alice-laptop', raceB, [a2], 'race', 1_000),
    whole('alice-joined', joined, [a3, a4], 'registered', 700),
    {
      // The payer stopped after COMMIT: the recipient registers with the receipt alone.
      id: 'bob-finishes',
      honest: true,
      transaction: orphan,
      bundle: { ...bare(orphan), certificates: certify(test, suite, 'COMMIT', orphan) },
      expect: 'registered',
      startAtMs: 300,
    },
    {
      // The payer stopped after PREPARE: any holder of the bundle can commit.
      id: 'alice-finishes',
      honest: true,
      transaction: stopped,
      bundle: { ...bare(stopped), prepared: certify(test, suite, 'PREPARE', stopped) },
      expect: 'registered',
      startAtMs: 300,
    },
    whole('mallory-steals', stolen, [b1], 'never', 200, false),
    whole('mallory-inflates', inflated, [m1], 'never', 200, false),
    whole('mallory-lies', bigger, [lie], 'never', 200, false),
    whole('mallory-twin-a', twinA, [m3], 'any', 200, false),
    whole('mallory-twin-b', twinB, [m4], 'any', 200, false),
    {
      // A prepared certificate is not a payment (attack 32).
      id: 'mallory-unfinal',
      honest: false,
      transaction: unfinal,
      bundle: { ...bare(unfinal), certificates: certify(test, suite, 'PREPARE', unfinal) },
      expect: 'never',
      startAtMs: 200,
    },
  ];
  const amounts = new Map([[toHex(genesis.oneTimeKey), genesisAmount]]);
  for (const { transaction, expect } of actors) {
    if (expect === 'never') continue;
    for (const { oneTimeKey, amount } of transaction.outputs)
      amounts.set(toHex(oneTimeKey), amount);
  }
  return { actors, amountsByKey: amounts, table: tableOf(actors, test.section.key) };
}

/** The subject of each request of each actor; request ids are deterministic. */
export interface PaymentRequestSeen {
  readonly phase: 'PREPARE' | 'COMMIT' | 'REGISTER';
  readonly transaction: Transaction;
  readonly txid: Uint8Array;
  readonly index: number;
}

function tableOf(
  actors: readonly PaymentActor[],
  sectionKey: Uint8Array,
): ReadonlyMap<string, PaymentRequestSeen> {
  const table = new Map<string, PaymentRequestSeen>();
  const phases = { preparing: 'PREPARE', committing: 'COMMIT', registering: 'REGISTER' } as const;
  for (const { transaction } of actors) {
    const txid = txidOf(transaction);
    for (const [state, phase] of Object.entries(phases)) {
      for (let index = 0; index < 16; index++) {
        const id = labelledHash(
          'safe/v1/payment/request',
          txid,
          utf8(state),
          Uint8Array.of(index),
          sectionKeyHash(sectionKey),
          new Uint8Array(8), // Ballot 0.
        );
        table.set(toHex(id.slice(0, 16)), { phase, transaction, txid, index });
      }
    }
  }
  return table;
}

/**
 * One lie per rule a client checks, drawn anew for every message. A greedy liar signs most
 * requests, as two payers of one coin need.
 */
export function paymentAdversary(
  elder: TestElder,
  accomplice: TestElder,
  { section }: TestSection,
  suite: ThresholdSuite,
  identity: IdentitySuite,
  table: ReadonlyMap<string, PaymentRequestSeen>,
  actors: readonly PaymentActor[],
  greedy: boolean,
): Corrupt<Net> {
  const shareOf = (
    who: TestElder,
    asked: PaymentRequestSeen,
    phase: SpendPhase,
    other = 0,
  ): Uint8Array => {
    const keyImage =
      asked.transaction.inputs[(asked.index + other) % asked.transaction.inputs.length]?.keyImage;
    const statement = { keyImage: keyImage ?? seedOf('none'), ballot: 0, txid: asked.txid };
    return suite.sign(who.secretShare, phase, spendStatementBytes(section, statement));
  };
  let earlier: NetMessage | undefined;

  return (message, _to, prng) => {
    if (message.kind !== 'money') return [message];
    const replay = earlier;
    earlier = message;
    const signs = greedy && prng.chance(0.9);
    const lie = signs ? 12 : prng.below(12);
    if (lie === 0) return []; // No answer.
    if (lie === 1) return [message]; // The honest answer.
    if (lie === 2 && replay !== undefined) return [replay, message]; // Replay.
    if (message.asked === 'output') {
      const decoded = decodeMintAnswer(message.message);
      if (!decoded.ok) return [message];
      const { request } = decoded.value;
      const asked = table.get(toHex(request));
      const key = asked?.transaction.outputs[asked.index]?.oneTimeKey;
      if (asked === undefined || key === undefined) return [message];
      const sign = (txid: Uint8Array): Uint8Array =>
        identity.sign(elder.identitySeed, ackBytes(section, key, txid));
      const answers = [
        { kind: 'registered', request, signature: sign(seedOf('other txid')) }, // Wrong txid.
        { kind: 'registered', request, signature: new Uint8Array(64) }, // Not signed.
        { kind: 'registered', request, signature: sign(asked.txid) }, // Acknowledges without storing.
        { kind: 'invalid', request, what: 'lie' },
        { kind: 'duplicate', request, entry: seedOf('no entry') },
      ] as const;
      return [{ kind: 'money', asked: 'output', message: encodeMintAnswer(prng.pick(answers)) }];
    }
    const decoded = decodeSpentbookAnswer(message.message);
    if (!decoded.ok) return [message];
    const { request } = decoded.value;
    const asked = table.get(toHex(request));
    if (asked === undefined || asked.phase === 'REGISTER') return [message];
    const { phase } = asked;
    if (signs) {
      const share = shareOf(elder, asked, phase);
      const answer = {
        kind: phase === 'PREPARE' ? 'prepared' : 'committed',
        request,
        ballot: 0,
        share,
      } as const;
      return [{ kind: 'money', asked: 'slot', message: encodeSpentbookAnswer(answer) }];
    }
    const kind = phase === 'PREPARE' ? 'prepared' : 'committed';
    const wrongPhase: SpendPhase = phase === 'PREPARE' ? 'COMMIT' : 'PREPARE';
    const forged = {
      epoch: 0n,
      ballot: 0,
      signature: shareOf(accomplice, asked, 'COMMIT'),
      inclusion: null,
    };
    const other = prng.pick(actors).transaction;
    const keyImage = asked.transaction.inputs[asked.index]?.keyImage ?? seedOf('none');
    // A conflict without a rival: another spend of the slot without its owner's signature.
    const invented: Transaction = {
      ...asked.transaction,
      recoveryKey: seedOf('invented'),
    };
    const vote = {
      elder: elder.name,
      ballot: 0,
      txid: txidOf(invented),
      signature: identity.sign(
        elder.identitySeed,
        prepareVoteBytes(section, { keyImage, ballot: 0, txid: txidOf(invented) }),
      ),
    };
    const lies: readonly SpentbookAnswer[] = [
      { kind, request, ballot: 0, share: shareOf(elder, asked, phase) }, // Signs every request: votes twice.
      { kind, request, ballot: 0, share: shareOf(accomplice, asked, phase) }, // Another index.
      { kind, request, ballot: 0, share: shareOf(elder, asked, wrongPhase) }, // PREPARE for COMMIT.
      { kind, request, ballot: 0, share: shareOf(elder, { ...asked, txid: txidOf(other) }, phase) }, // Other tx.
      { kind, request, ballot: 0, share: shareOf(elder, { ...asked, transaction: other }, phase) }, // Other slot.
      { kind, request, ballot: 0, share: concat(seedOf('noise'), new Uint8Array(16)) },
      { kind: 'spent', request, transaction: encodeTransaction(other), certificate: forged },
      { kind: 'conflict', request, vote, transaction: encodeTransaction(invented) },
      { kind: 'malformed', request, what: 'lie' },
    ];
    return [{ kind: 'money', asked: 'slot', message: encodeSpentbookAnswer(prng.pick(lies)) }];
  };
}

export const slotsOf = (transaction: Transaction): readonly string[] =>
  transaction.inputs.map(({ keyImage }) => toHex(slotName(keyImage)));
