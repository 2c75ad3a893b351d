/** Money in the vault's world: a wallet factory over payments in memory, and elders' lists to read. */
import { toyScalars, toySuite } from '../../sim/toy-suite.ts';
import { toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import { addressOf, encodeAddress } from '#money/address.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { buildTransaction } from '#money/build.ts';
import { encodeEntry, type CommittedTransaction, type SectionKeys } from '#money/certificate.ts';
import { genesisKeyPair, walletKeys } from '#money/keys.ts';
import { encodeTransaction } from '#money/transaction.ts';
import { emptyWallet, encodeWallet, scanCommitted, type WalletState } from '#safe/wallet/index.ts';
import type { AuthorityReader } from '../../../src/vault/authority.ts';
import type { WalletContext, WalletFactory } from '../../../src/vault/ports.ts';
import { RpcFailure } from '../../../src/vault/rpc.ts';
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
  /** What the vault has handed to the worker, by payment id. */
  readonly intents: Map<string, Uint8Array>;
  /** What the worker has stored of each, as its bytes. */
  readonly facts: Map<string, Uint8Array>;
  /** Lines of the elders' lists, by the elder's name in hex. */
  readonly lists: Map<string, Uint8Array[]>;
  /** Ids of payments that the vault called written down for good. */
  readonly done: string[];
  /** How the worker answers `pay`; by default a payment stays under way. */
  pay: (paymentId: string) => { readonly state: string };
  /** Contexts of the wallets that were opened, the latest last. */
  readonly contexts: WalletContext[];
  /** A final payment of these amounts to the wallet of this seed, signed by the section. */
  readonly payTo: (
    seed: Uint8Array,
    amounts: readonly bigint[],
    salt: number,
  ) => CommittedTransaction;
  readonly list: (elder: string, committed: CommittedTransaction) => void;
  /** The worker's calls about money, and the section as the vault has verified it. */
  call: (path: string, init?: RequestInit) => Promise<Response>;
  readonly reader: AuthorityReader;
  /** An address that is nobody's here. */
  readonly stranger: string;
}

/** @param amounts what a Safe made in this world begins with, @param more besides */
export function createMoney(
  network: FakeNetwork,
  amounts: readonly bigint[],
  more: WalletState = emptyWallet,
  epoch = toy.section.epoch,
): MoneyWorld {
  const { networkId } = network;
  const section = { ...toy.section, networkId, epoch };
  const keys: SectionKeys = { ...toy.known, networkId, current: [section] };
  const reader: AuthorityReader = {
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

  const call = async (path: string, init?: RequestInit): Promise<Response> => {
    const asked = JSON.parse(String(init?.body ?? '{}')) as Record<string, never>;
    if (path === 'outputs') {
      const lines = lists.get(asked['elder'] ?? '') ?? [];
      const entries = lines.slice(asked['after'] ?? 0, (asked['after'] ?? 0) + 64);
      const next = (asked['after'] ?? 0) + entries.length;
      const page = encodeCbor({ entries, next, more: next < lines.length });
      return new Response(page as Uint8Array<ArrayBuffer>);
    }
    if (path === 'pay') return new Response(JSON.stringify(world.pay(asked['paymentId'] ?? '')));
    if (path === 'pay/done') {
      for (const id of (asked['paymentIds'] ?? []) as readonly string[]) {
        done.push(id);
        intents.delete(id);
        facts.delete(id);
      }
      return new Response('{}');
    }
    throw new RpcFailure('internal', 404, `no call ${path}`);
  };

  const world: MoneyWorld = {
    intents,
    facts,
    lists,
    done,
    contexts,
    payTo,
    call,
    reader,
    pay: () => ({ state: 'preparing' }),
    list: (elder, committed) => {
      for (let index = 0; ; index++) {
        const line = encodeEntry({ ...committed, index });
        const outputs = decodeOutputs(committed);
        if (index >= outputs) return;
        lists.get(elder)?.push(line);
      }
    },
    stranger: encodeAddress(networkId, addressOf(walletKeys(seedOf('stranger')))),
    factory: {
      merge: factory.merge,
      open: async (given) => {
        const asked: MoneyWorld['call'] = (path, init) => world.call(path, init);
        const context = { ...given, rpc: { ...given.rpc, call: asked } };
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

/** A new Safe with this wallet, published. @returns its tab and its phrase. */
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
  return { balance, notice, sent: sent.map(({ amount, state }) => `${amount} ${state}`) };
};
