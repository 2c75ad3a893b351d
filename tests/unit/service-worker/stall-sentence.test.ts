/**
 * Goal: a request waiting for a stalled section shows the Network page's sentence, and not when there is
 * another reason (N29). Method: the worker's own calls over a fake light node.
 */
import { afterEach, expect, test, vi } from 'vitest';
import type { StallView } from '#bridge/worker-messages.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { encodeBundle } from '#safe/payment/index.ts';
import { addCoin, emptyWallet, genesisCoin, planPayment, spendable } from '#safe/wallet/index.ts';
import type { LightNode } from '../../../src/service-worker/light-node/light-node.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
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
const { putChunk } = await import('../../../src/service-worker/data-client.ts');
const { pay } = await import('../../../src/service-worker/payment-client.ts');

const stall: StallView = { answering: 4, sentence: 'The section cannot decide at the moment.' };
const { authority } = makeSection(toySuite, toyScalars);
const money = makeMoneySection(toySuite, toyScalars, toyName);

const silence = { ok: false, error: { kind: 'timeout' } };
/** No elder answers, or with these receipts; the section is as given. */
const fixedNode = (said: StallView | null, answer: unknown = silence): LightNode =>
  ({
    file: { networkId: toHex(networkId) },
    section: async () => ({ authority, networkId, elders: authority.elders, holders: new Set() }),
    requestFor: async () => answer,
    ask: async () => silence,
    stall: () => said,
    catchUp: async () => undefined,
    checkForUpdates: async () => undefined,
    onSectionsChanged: () => () => undefined,
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

test('N29: an upload without any elder shows the stall sentence, and is retried', async () => {
  expect(await toldOf(putChunk(fixedNode(stall, silence), piece))).toBe(stall.sentence);
  expect(await toldOf(putChunk(fixedNode(null, silence), piece))).toContain('No elder could store');
  await expect(putChunk(fixedNode(stall, silence), piece)).rejects.toMatchObject({
    status: 503,
    failure: { afterMs: 2_000 },
  });
});

test('adults that do not store an upload do not stall the section', async () => {
  const stored = {
    ok: true,
    value: { kind: 'stored', stateRef: stateRefOf(authority), receipts: [] },
  };
  expect(await toldOf(putChunk(fixedNode(stall, stored), piece))).toContain('too few receipts');
});

test('N29: a payment waiting for elders shows the stall sentence exactly while it lasts', async () => {
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
  const node = { ...fixedNode(null), stall: () => said };
  const waiting = { stage: 'preparing', waiting: 'tooFewElders' } as const;
  const ask = async (known: typeof waiting | null): ReturnType<typeof pay> => {
    const told = pay(node, id, known);
    await vi.advanceTimersByTimeAsync(21_000);
    return told;
  };
  expect(await ask(null)).toEqual({ ...waiting, sentence: '' });
  said = stall;
  expect(await ask(waiting)).toEqual({ ...waiting, sentence: stall.sentence });
  said = null;
  expect(await ask(waiting)).toEqual({ ...waiting, sentence: '' });
});
