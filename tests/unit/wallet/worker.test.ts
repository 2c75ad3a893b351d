/**
 * Goal: what the worker keeps of payments in plain goes when it is over, and a failed store is tried again.
 * Method: the worker's own code over stores in memory and elders that answer what the test says.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { transactionOf } from './coins.ts';
import { makeSection, networkId, toyName } from '../money/fixtures.ts';
import { toyScalars, toySuite } from '../../sim/toy-suite.ts';
import { decodeMintRequest, encodeMintAnswer } from '#protocol/mint/index.ts';
import {
  decodePaymentFacts,
  encodeBundle,
  encodePaymentFacts,
  onlyPaymentSection,
  type PaymentFact,
} from '#safe/payment/index.ts';
import type { LightNode } from '../../../src/service-worker/light-node.ts';

const stored = vi.hoisted(() => ({
  intents: new Map<string, Uint8Array>(),
  facts: new Map<string, Uint8Array>(),
}));
vi.mock('#storage/browser/payments.ts', () => ({
  getIntent: async (id: string) => stored.intents.get(id),
  getFacts: async (id: string) => stored.facts.get(id),
  putFacts: async (id: string, bytes: Uint8Array) => void stored.facts.set(id, bytes),
  listPayments: async () => [...new Set([...stored.intents.keys(), ...stored.facts.keys()])].sort(),
  removePayment: async (id: string) => {
    stored.intents.delete(id);
    stored.facts.delete(id);
  },
}));
const money = await import('../../../src/service-worker/money.ts');

const toy = makeSection(toySuite, toyScalars, toyName);
const sections = onlyPaymentSection(toy.section, toy.elders);

let asked: string[];
const node = {
  file: { networkId: toHex(networkId) },
  section: async () => ({ elders: toy.elders }),
  paymentSections: () => sections,
  ask: async (_elder: unknown, request: { kind: string }) => {
    asked.push(request.kind);
    return { ok: false, error: 'silent' };
  },
  onNews: () => () => undefined,
  catchUp: async () => undefined,
  look: async () => undefined,
  stall: () => null,
} as unknown as LightNode;

const certificate = { epoch: 0n, ballot: 0, signature: new Uint8Array(48), sealed: null };
const registered: readonly PaymentFact[] = [
  { kind: 'committed', index: 0, certificate },
  { kind: 'registered' },
];

function keep(name: string, facts: readonly PaymentFact[], sources = 1): string {
  const { transaction, txid } = transactionOf(name);
  const genesis = { kind: 'genesis' } as const;
  const bundle = {
    transaction,
    sources: sources === 0 ? [] : [genesis],
    prepared: null,
    certificates: sources === 0 ? [certificate] : null,
  };
  const id = toHex(txid);
  stored.intents.set(id, encodeBundle(bundle));
  if (facts.length > 0) stored.facts.set(id, encodePaymentFacts(facts));
  return id;
}

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
});
afterEach(() => {
  vi.useRealTimers();
  stored.intents.clear();
  stored.facts.clear();
});

test('at its start the worker forgets every payment that is over and goes on with the others', async () => {
  const over = keep('over', registered);
  const facts = keep('facts alone', registered);
  stored.intents.delete(facts);
  const open = keep('open', []);
  await money.resumePayments(node);
  await vi.advanceTimersByTimeAsync(10);
  expect([...stored.intents.keys()]).toEqual([open]);
  expect(stored.facts.has(over) || stored.facts.has(facts)).toBe(false);
  expect(asked).toContain('slot');
});

test('what a vault has written down is forgotten at once; at Forget all that is over', async () => {
  const [one, two] = [keep('one', registered), keep('two', registered)];
  const open = keep('under way', []);
  await money.forgetEnded([one]);
  expect([...stored.intents.keys()].sort()).toEqual([two, open].sort());
  await money.forgetEnded();
  expect([...stored.intents.keys()]).toEqual([open]);
});

test('what is over and nobody asks about is forgotten after a minute', async () => {
  const id = keep('asked once', registered);
  await money.pay(node, id);
  await vi.advanceTimersByTimeAsync(50_000);
  // A vault that asks has not read it yet.
  expect(await money.pay(node, id)).toEqual({ state: 'registered' });
  await vi.advanceTimersByTimeAsync(50_000);
  expect(stored.facts.has(id)).toBe(true);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(stored.intents.size + stored.facts.size).toBe(0);
});

test('facts of a store with more of them than today are read, the newest of each kind', () => {
  const many = Array.from({ length: 100 }, (_, n) => ({
    kind: 'prepared' as const,
    index: n % 2,
    certificate: { ...certificate, epoch: BigInt(n) },
  }));
  const read = decodePaymentFacts(encodePaymentFacts(many));
  expect(read).toEqual(many.slice(-2));
});

test('a redeemed receipt that elders refuse to list is not repeated for ever', async () => {
  const id = keep('favour', [], 0);
  const refusing = {
    ...node,
    ask: async (
      _elder: unknown,
      { kind, key, message }: Record<'key' | 'message', Uint8Array> & { kind: string },
    ) => {
      asked.push(kind);
      const request = decodeMintRequest(key, message);
      if (!request.ok) return { ok: false, error: 'silent' };
      const what = 'no such transaction';
      const answer = { kind: 'unregistrable', request: request.value.request, what } as const;
      return { ok: true, value: { kind: 'money', message: encodeMintAnswer(answer) } };
    },
  } as unknown as LightNode;
  await money.pay(refusing, id);
  expect(new Set(asked)).toEqual(new Set(['output']));
  await vi.advanceTimersByTimeAsync(200_000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toHaveLength(before);
  expect(stored.intents.size + stored.facts.size).toBe(0);
});

test('a payment of another network is left alone, and stays written down', async () => {
  const id = keep('elsewhere', []);
  const other = { ...node, file: { networkId: 'ab'.repeat(32) } } as unknown as LightNode;
  await expect(money.pay(other, id)).rejects.toMatchObject({ status: 409 });
  await money.resumePayments(other);
  expect(asked).toEqual([]);
  expect(stored.intents.has(id)).toBe(true);
});

test('a payment that is stopped with its network stays written down, and goes on later', async () => {
  const id = keep('paused', []);
  void money.pay(node, id);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked.length).toBeGreaterThan(0);
  money.stopPayments();
  await vi.advanceTimersByTimeAsync(10_000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(200_000);
  expect(asked).toHaveLength(before);
  expect(stored.intents.has(id)).toBe(true);
  void money.pay(node, id);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked.length).toBeGreaterThan(before);
  money.stopPayments();
});
