/**
 * Goal: what waits for a section that cannot decide says so, in the words of the Network page, and
 * says nothing of it when something else is the reason (N29). Method: the worker's own calls over a
 * light node of wood.
 */
import { afterEach, expect, test, vi } from 'vitest';
import type { StallView } from '#bridge/worker.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { stampOf } from '#protocol/replication/index.ts';
import { encodeBundle } from '#safe/payment/index.ts';
import { addCoin, emptyWallet, genesisCoin, planPayment, spendable } from '#safe/wallet/index.ts';
import type { LightNode } from '../../../src/service-worker/light-node.ts';
import { toyScalars, toySuite } from '../../sim/toy-suite.ts';
import {
  addressFor,
  faucet,
  makeSection as makeMoneySection,
  networkId,
  seedOf,
  toyName,
} from '../money/fixtures.ts';
import { makeSection } from '../section/fixtures.ts';

const intents = new Map<string, Uint8Array>();
vi.mock('#storage/browser/payments.ts', () => ({
  getIntent: async (id: string) => intents.get(id),
  getFacts: async () => undefined,
  putFacts: async () => undefined,
}));
const { putChunk } = await import('../../../src/service-worker/data.ts');
const { pay } = await import('../../../src/service-worker/money.ts');

const stall: StallView = { answering: 4, sentence: 'The section cannot decide at the moment.' };
const { authority } = makeSection(toySuite, toyScalars);
const money = makeMoneySection(toySuite, toyScalars, toyName);

const silence = { ok: false, error: { kind: 'timeout' } };
/** Nobody answers, or with these receipts; the section is as given. */
const wooden = (said: StallView | null, answer: unknown = silence): LightNode =>
  ({
    file: { networkId: toHex(networkId) },
    section: async () => ({ authority, networkId, elders: authority.elders, holders: new Set() }),
    askFor: async () => answer,
    ask: async () => silence,
    stall: () => said,
    catchUp: async () => undefined,
    look: async () => undefined,
    onNews: () => () => undefined,
    paymentSections: () => ({
      ...money.known,
      current: money.known.current.map((key) => ({ ...key, elders: money.elders })),
    }),
  }) as unknown as LightNode;
const piece = utf8('a piece');
const toldOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'no failure',
    (error: unknown) => (error as Error).message,
  );

afterEach(() => vi.useRealTimers());

test('N29: an upload that finds no elder says why, and is tried again', async () => {
  expect(await toldOf(putChunk(wooden(stall, silence), piece))).toBe(stall.sentence);
  expect(await toldOf(putChunk(wooden(null, silence), piece))).toContain('No elder could store');
  await expect(putChunk(wooden(stall, silence), piece)).rejects.toMatchObject({
    status: 503,
    failure: { afterMs: 2_000 },
  });
});

test('an upload that adults do not keep is not the elders’ fault', async () => {
  const stored = {
    ok: true,
    value: { kind: 'stored', stamp: stampOf(authority), receipts: [] },
  };
  expect(await toldOf(putChunk(wooden(stall, stored), piece))).toContain('too few receipts');
});

test('N29: a payment that waits for the elders says why, and only while it is so', async () => {
  vi.useFakeTimers();
  const own = genesisCoin(faucet, money.section);
  if (own === null) throw new Error('the faucet made the first coin');
  const planned = planPayment({
    keys: faucet,
    networkId,
    coins: spendable(addCoin(emptyWallet, own.coin, own.source, 1)),
    address: addressFor('alice'),
    amount: 5n,
    memo: utf8(''),
    entropy: seedOf('entropy'),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  const id = toHex(planned.value.txid);
  intents.set(id, encodeBundle(planned.value.bundle));
  let said: StallView | null = null;
  const node = { ...wooden(null), stall: () => said };
  const ask = async (known?: string): ReturnType<typeof pay> => {
    const told = pay(node, id, known);
    await vi.advanceTimersByTimeAsync(21_000);
    return told;
  };
  expect(await ask()).toEqual({ state: 'waiting', reason: 'tooFewElders' });
  said = stall;
  expect(await ask('waiting')).toEqual({
    state: 'waiting',
    reason: 'tooFewElders',
    sentence: stall.sentence,
  });
  said = null;
  expect(await ask('waiting')).not.toHaveProperty('sentence');
});
