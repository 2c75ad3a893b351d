/** Money in the vault's test world: a wallet factory over in-memory payments, and elders' lists. */
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import type { PaymentReport, WorkerCallHandlers } from '#bridge/worker-calls.ts';
import { toHex } from '#core/codec/bytes.ts';
import { addressOf, encodeAddress } from '#money/wallet-address.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  encodeRegistryEntry,
  type CommittedTransaction,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import { encodeTransaction } from '#money/transaction.ts';
import { emptyWallet, encodeWallet, scanCommitted, type WalletState } from '#safe/wallet/index.ts';
import type { VerifiedSections } from '../../../src/vault/network/verified-sections.ts';
import type { WalletContext, WalletFactory } from '../../../src/vault/ports.ts';
import { RpcFailure, type WorkerRpc } from '../../../src/vault/network/worker-rpc.ts';
import { createWalletFactory } from '../../../src/vault/wallet/wallet.ts';
import { certify, makeSection, seedOf, toyName } from '../money/fixtures.ts';
import {
  goodPassword,
  openTab,
  openWith,
  type Browser,
  type FakeNetwork,
  type Tab,
} from './world.ts';

const toy = makeSection(toySuite, toyScalars, toyName);
export const elders = toy.elders.map(({ name }) => toHex(name));
export const unit = PARTS_PER_UNIT;

export interface MoneyWorld {
  readonly factory: WalletFactory;
  /** The bundles given to the worker, by payment id. */
  readonly intents: Map<string, Uint8Array>;
  /** The worker's stored facts of each, encoded. */
  readonly facts: Map<string, Uint8Array>;
  /** Lines of the elders' lists, by the elder's name in hex. */
  readonly lists: Map<string, Uint8Array[]>;
  /** Ids of payments that the vault reported as stored. */
  readonly done: string[];
  /** The worker's answer to `pay`; by default a payment stays in progress. */
  pay: (paymentId: string) => Pick<PaymentReport, 'stage'> & Partial<PaymentReport>;
  /** Contexts of the opened wallets, the latest last. */
  readonly contexts: WalletContext[];
  /** A final payment of these amounts to the wallet of this seed, signed by the section. */
  readonly payTo: (
    seed: Uint8Array,
    amounts: readonly bigint[],
    salt: number,
  ) => CommittedTransaction;
  readonly list: (elder: string, committed: CommittedTransaction) => void;
  /** The worker's money calls, and the section as verified by the vault. */
  rpc: WorkerRpc;
  readonly reader: VerifiedSections;
  /** An address that belongs to no wallet here. */
  readonly stranger: string;
}

/** @param amounts the first coins of a Safe made in this world, @param more additional ones */
export function createMoney(
  network: FakeNetwork,
  amounts: readonly bigint[],
  more: WalletState = emptyWallet,
  epoch = toy.section.epoch,
): MoneyWorld {
  const { networkId } = network;
  const section = { ...toy.section, networkId, epoch };
  const keys: SectionKeys = { ...toy.known, networkId, current: [section] };
  const reader: VerifiedSections = {
    newest: () => Promise.reject(new Error('not asked for')),
    sections: async () => [{ elders: toy.elders.map(({ name }) => ({ name })) } as never],
    moneyKeys: async () => keys,
  };
  const intents = new Map<string, Uint8Array>();
  const facts = new Map<string, Uint8Array>();
  const lists = new Map<string, Uint8Array[]>(elders.map((elder) => [elder, []]));
  const done: string[] = [];
  const contexts: WalletContext[] = [];
  const payer = genesisKeyPair(seedOf('payer'));

  const payTo: MoneyWorld['payTo'] = (seed, parts, salt) => {
    const amount = parts.reduce((sum, each) => sum + each, 0n);
    const made = buildTransaction({
      networkId,
      inputs: [{ secret: payer.secret.reveal().slice(), oneTimeKey: payer.oneTimeKey, amount }],
      outputs: parts.map((part) => ({
        address: addressOf(walletKeys(seed)),
        amount: part,
        memo: new Uint8Array(),
      })),
      fee: 0n,
      recoveryKey: () => new Uint8Array(32),
      entropy: seedOf(`salt ${salt}`),
    });
    if (made === undefined) throw new Error('an address that works');
    const certificates = certify({ ...toy, section }, toySuite, 'COMMIT', made);
    return { transaction: encodeTransaction(made), certificates };
  };

  const factory = createWalletFactory({
    payments: {
      putIntent: async (id, bundle) => void intents.set(id, bundle),
      getFacts: async (id) => facts.get(id),
    },
    sectionReader: () => reader,
    suite: toySuite,
  });

  const handlers: Pick<WorkerCallHandlers, 'outputs' | 'pay' | 'pay/done'> = {
    outputs: ({ elder, after }) => {
      const lines = lists.get(toHex(elder)) ?? [];
      const entries = lines.slice(after, after + 64);
      const next = after + entries.length;
      return { entries, next, more: next < lines.length };
    },
    pay: ({ paymentId }) => ({ waiting: null, sentence: '', ...world.pay(paymentId) }),
    'pay/done': ({ paymentIds }) => {
      for (const id of paymentIds ?? []) {
        done.push(id);
        intents.delete(id);
        facts.delete(id);
      }
      return null;
    },
  };
  const rpc: WorkerRpc = async (name, input, signal = new AbortController().signal) => {
    const handle = (handlers as Partial<WorkerCallHandlers>)[name];
    if (handle === undefined) throw new RpcFailure('internal', 404, `no call ${name}`);
    return handle(input, signal);
  };

  const world: MoneyWorld = {
    intents,
    facts,
    lists,
    done,
    contexts,
    payTo,
    rpc,
    reader,
    pay: () => ({ stage: 'preparing' }),
    list: (elder, committed) => {
      for (let index = 0; ; index++) {
        const line = encodeRegistryEntry({ ...committed, index });
        const outputs = decodeOutputs(committed);
        if (index >= outputs) return;
        lists.get(elder)?.push(line);
      }
    },
    stranger: encodeAddress(networkId, addressOf(walletKeys(seedOf('stranger')))),
    factory: {
      merge: factory.merge,
      open: async (given) => {
        const asked: WorkerRpc = (name, input, signal) => world.rpc(name, input, signal);
        const context = { ...given, rpc: asked };
        contexts.push(context);
        if (given.section.length > 0 || amounts.length === 0) return factory.open(context);
        const seed = given.seed.reveal();
        const first = amounts.reduce<WalletState>(
          (state, amount, i) => scanCommitted(walletKeys(seed), state, payTo(seed, [amount], i), 1),
          more,
        );
        const section = await given.update(() => encodeWallet(first));
        return factory.open({ ...context, section });
      },
    },
  };
  return world;
}

function decodeOutputs({ transaction }: CommittedTransaction): number {
  // u8 version, network, u8 inputs, inputs, u8 outputs.
  const inputs = transaction[33] ?? 0;
  return transaction[34 + inputs * 72] ?? 0;
}

/** A new, published Safe with this wallet. @returns its tab and its phrase. */
export async function makeSafe(
  browser: Browser,
  money: MoneyWorld,
): Promise<{ readonly tab: Tab; readonly words: string }> {
  const tab = openTab(browser, money.factory);
  const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.until(openWith((view) => view.published === 'published'));
  return { tab, words };
}

export const moneyOf = (tab: Tab) => {
  const view = tab.view();
  if (view.kind !== 'open') throw new Error(`the Safe is ${view.kind}`);
  const { balance, payments, notice } = view.money;
  const sent = payments.filter(({ direction }) => direction === 'out');
  return { balance, notice, sent: sent.map(({ amount, stage }) => `${amount} ${stage}`) };
};
