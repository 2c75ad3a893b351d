/**
 * Payments in flight, shared by the vault (which builds and signs them) and the service worker
 * (which carries them out and may die at any point). Nothing here is secret: an intent is the
 * signed bundle as it travels, facts are the certificates collected so far. But it is plain, so it
 * is here only while the payment is in flight: what has come of it is in the sealed wallet.
 */
import type { DBSchema } from 'idb';
import { completed, lazyDatabase } from './open.ts';

/** 2: places in the elders' lists are in the sealed wallet and no longer here. */
const schema = 2;

interface PaymentsSchema extends DBSchema {
  /** By payment id (hex): the bundle, written before the first byte leaves. */
  intents: { key: string; value: Uint8Array };
  /** By payment id: what the network has answered so far. */
  facts: { key: string; value: Uint8Array };
}

/** The vault's port; tests/unit/wallet has one in memory. */
export interface PaymentStore {
  readonly putIntent: (paymentId: string, bundle: Uint8Array) => Promise<void>;
  readonly getFacts: (paymentId: string) => Promise<Uint8Array | undefined>;
}

const database = lazyDatabase<PaymentsSchema>('safe-payments', schema, (db, before) => {
  if (before < 1) {
    db.createObjectStore('intents');
    db.createObjectStore('facts');
    return;
  }
  // The types know the schema of today only.
  (db as unknown as { deleteObjectStore: (name: string) => void }).deleteObjectStore('cursors');
});

/** A payment is only begun when its intent would survive a power cut. */
const durable = { durability: 'strict' } as const;

export async function putIntent(paymentId: string, bundle: Uint8Array): Promise<void> {
  const tx = (await database()).transaction('intents', 'readwrite', durable);
  await completed(tx, tx.store.put(bundle, paymentId));
}

export async function getIntent(paymentId: string): Promise<Uint8Array | undefined> {
  return (await database()).get('intents', paymentId);
}

/** @returns the ids of all payments that something is kept of, ascending. */
export async function listPayments(): Promise<readonly string[]> {
  const tx = (await database()).transaction(['intents', 'facts']);
  const [intents, facts] = await Promise.all([
    tx.objectStore('intents').getAllKeys(),
    tx.objectStore('facts').getAllKeys(),
  ]);
  return [...new Set([...intents, ...facts])].sort();
}

export async function putFacts(paymentId: string, facts: Uint8Array): Promise<void> {
  const tx = (await database()).transaction('facts', 'readwrite', durable);
  await completed(tx, tx.store.put(facts, paymentId));
}

export async function getFacts(paymentId: string): Promise<Uint8Array | undefined> {
  return (await database()).get('facts', paymentId);
}

/** Forgets all about a payment that is over. */
export async function removePayment(paymentId: string): Promise<void> {
  const tx = (await database()).transaction(['intents', 'facts'], 'readwrite', durable);
  await completed(
    tx,
    tx.objectStore('intents').delete(paymentId),
    tx.objectStore('facts').delete(paymentId),
  );
}
