/**
 * Goal: unencrypted payment data is deleted when the payment is over, and a failed store is retried.
 * Method: the worker's own code over in-memory stores and elders with scripted replies.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { transactionOf } from '../wallet/coins.ts';
import { makeSection, networkId, toyName } from '../money/fixtures.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { ed25519PublicKey, signEd25519 } from '#crypto/ed25519.ts';
import { ackBytes, decodeMintRequest, encodeMintAnswer } from '#protocol/mint/index.ts';
import {
  decodePaymentFacts,
  encodeBundle,
  encodePaymentFacts,
  type PaymentFact,
} from '#safe/payment/index.ts';
import type { LightNode } from '../../../src/service-worker/light-node/light-node.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';

const stored = vi.hoisted(() => ({
  intents: new Map<string, Uint8Array>(),
  facts: new Map<string, Uint8Array>(),
  isFull: false,
  isBroken: false,
  onRead: (): void => undefined,
}));
vi.mock('#storage/browser/payments.ts', () => ({
  getIntent: async (id: string) => stored.intents.get(id),
  getFacts: async (id: string) => {
    if (stored.isBroken) throw new TypeError('a bug');
    stored.onRead();
    return stored.facts.get(id);
  },
  putFacts: async (id: string, bytes: Uint8Array) => {
    if (stored.isFull) throw new DOMException('no space', 'QuotaExceededError');
    stored.facts.set(id, bytes);
  },
  listPayments: async () => [...new Set([...stored.intents.keys(), ...stored.facts.keys()])].sort(),
  removePayment: async (id: string) => {
    stored.intents.delete(id);
    stored.facts.delete(id);
  },
}));
const { failureResponse } = await import('../../../src/service-worker/http/http-responses.ts');
const money = await import('../../../src/service-worker/payment-client.ts');

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
  onSectionsChanged: () => () => undefined,
  catchUp: async () => undefined,
  checkForUpdates: async () => undefined,
  stall: () => null,
} as unknown as LightNode;

const certificate = { epoch: 0n, ballot: 0, signature: new Uint8Array(48), inclusion: null };
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
  stored.onRead = () => undefined;
  stored.intents.clear();
  stored.facts.clear();
});

test('at its start the worker deletes every ended payment and resumes the others', async () => {
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

test('stored outcomes are deleted immediately; at Forget all ended payments are', async () => {
  const [one, two] = [keep('one', registered), keep('two', registered)];
  const open = keep('under way', []);
  await money.removeEnded([one]);
  expect([...stored.intents.keys()].sort()).toEqual([two, open].sort());
  await money.removeEnded();
  expect([...stored.intents.keys()]).toEqual([open]);
});

test('an ended payment without any reader is deleted after a minute', async () => {
  const id = keep('asked once', registered);
  await money.pay(node, id, null);
  await vi.advanceTimersByTimeAsync(50_000);
  // A vault that asks has not read it yet.
  expect(await money.pay(node, id, null)).toEqual({
    stage: 'registered',
    waiting: null,
    sentence: '',
  });
  await vi.advanceTimersByTimeAsync(50_000);
  expect(stored.facts.has(id)).toBe(true);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(stored.intents.size + stored.facts.size).toBe(0);
});

test("a store with more facts than today's limit is read, the newest of each kind", () => {
  const many = Array.from({ length: 100 }, (_, n) => ({
    kind: 'prepared' as const,
    index: n % 2,
    certificate: { ...certificate, epoch: BigInt(n) },
  }));
  const read = decodePaymentFacts(encodePaymentFacts(many));
  expect(read).toEqual(many.slice(-2));
});

test('PAYMENT-P8: an adopted payment is reported again after a restart of the worker', async () => {
  const adoption = { ...transactionOf('other'), votes: [] };
  const id = keep('adopts', [{ kind: 'adopted', adoption }]);
  expect(await money.pay(node, id, null)).toEqual({
    stage: 'preparing',
    waiting: 'adopted',
    sentence: '',
  });
  // It is not over: its stored data stays until the other one is final.
  await money.removeEnded();
  expect(stored.intents.has(id) && stored.facts.has(id)).toBe(true);
});

test('a redeemed receipt that elders refuse to register is not repeated for ever', async () => {
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
      const answer = { kind: 'invalid', request: request.value.request, what } as const;
      return { ok: true, value: { kind: 'money', message: encodeMintAnswer(answer) } };
    },
  } as unknown as LightNode;
  await money.pay(refusing, id, null);
  expect(new Set(asked)).toEqual(new Set(['output']));
  await vi.advanceTimersByTimeAsync(200_000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toHaveLength(before);
  expect(stored.intents.size + stored.facts.size).toBe(0);
});

test('a payment whose progress cannot be stored ends in a sentence, and the next call continues it', async () => {
  const signing = makeSection(toySuite, toyScalars, ed25519PublicKey);
  const elders = new Map(signing.elders.map((elder) => [toHex(elder.name), elder]));
  const id = keep('full disk', [], 0);
  const registering = {
    ...node,
    section: async () => ({ elders: signing.elders }),
    paymentSections: () => onlyPaymentSection(signing.section, signing.elders),
    ask: async (
      elder: { readonly name: Uint8Array },
      { key, message }: Record<'key' | 'message', Uint8Array>,
    ) => {
      const request = decodeMintRequest(key, message);
      const secret = elders.get(toHex(elder.name))?.identitySeed;
      if (!request.ok || secret === undefined) return { ok: false, error: 'silent' };
      const { txid } = transactionOf('full disk');
      const signature = signEd25519(secret, ackBytes(signing.section, key, txid));
      const answer = { kind: 'registered', request: request.value.request, signature } as const;
      return { ok: true, value: { kind: 'money', message: encodeMintAnswer(answer) } };
    },
  } as unknown as LightNode;
  const final = { stage: 'final', waiting: null } as const;
  stored.isFull = true;
  await expect(money.pay(registering, id, final)).rejects.toMatchObject({
    failure: { kind: 'storageFull', message: expect.stringMatching(/^This device .*again\.$/) },
  });
  stored.isFull = false;
  const registered = { stage: 'registered', waiting: null, sentence: '' };
  expect(await money.pay(registering, id, final)).toEqual(registered);
});

test('a payment that broke off for another reason does not blame the space on this device', async () => {
  vi.spyOn(console, 'error').mockReturnValue();
  const id = keep('a bug', []);
  stored.isBroken = true;
  const failure: unknown = await money.pay(node, id, null).catch((error: unknown) => error);
  stored.isBroken = false;
  expect(failure).toMatchObject({ message: 'a bug' });
  expect(await failureResponse(failure).json()).toMatchObject({ kind: 'internal' });
});

test('a stored payment that cannot be read is deleted, and unknown from then on', async () => {
  const [asked, resumed] = [keep('asked for', []), keep('resumed', [])];
  for (const id of [asked, resumed]) stored.intents.set(id, new Uint8Array([1, 2, 3]));
  await expect(money.pay(node, asked, null)).rejects.toMatchObject({ status: 404 });
  await money.resumePayments(node);
  expect(stored.intents.size).toBe(0);
});

test('sections that change while the stored facts are read get the payment', async () => {
  const newer = makeSection(toySuite, toyScalars, (seed) => toyName(seed.toReversed()));
  const key = toy.section.key.toReversed();
  const paid: string[] = [];
  let known = sections;
  const changing = {
    ...node,
    paymentSections: () => known,
    // The elders of before answer nothing, and cause no lookup.
    ask: (elder: { readonly name: Uint8Array }) => {
      paid.push(toHex(elder.name));
      return new Promise(() => undefined);
    },
  } as unknown as LightNode;
  const id = keep('meanwhile', []);
  stored.onRead = () => {
    known = onlyPaymentSection({ ...newer.section, key }, newer.elders);
  };
  void money.pay(changing, id, null);
  await vi.advanceTimersByTimeAsync(10);
  expect(paid).toContain(newer.elders[0]?.id);
  money.stopPayments();
});

test('a payment of another network is not touched, and stays stored', async () => {
  const id = keep('elsewhere', []);
  const other = { ...node, file: { networkId: 'ab'.repeat(32) } } as unknown as LightNode;
  await expect(money.pay(other, id, null)).rejects.toMatchObject({ status: 409 });
  await money.resumePayments(other);
  expect(asked).toEqual([]);
  expect(stored.intents.has(id)).toBe(true);
});

test('a payment stopped with its network stays stored, and resumes later', async () => {
  const id = keep('paused', []);
  void money.pay(node, id, null);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked.length).toBeGreaterThan(0);
  money.stopPayments();
  await vi.advanceTimersByTimeAsync(10_000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(200_000);
  expect(asked).toHaveLength(before);
  expect(stored.intents.has(id)).toBe(true);
  void money.pay(node, id, null);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked.length).toBeGreaterThan(before);
  money.stopPayments();
});
