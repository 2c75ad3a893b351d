/**
 * Payments in progress, shared by the vault (which builds and signs them) and the service worker (which
 * carries them out and may be stopped at any point). Nothing here is secret: an intent is the signed bundle
 * as it is sent, facts are the certificates collected so far. But it is not encrypted, so it is deleted
 * after the payment; the outcome is in the encrypted wallet.
 */
import type { DBSchema } from 'idb';
import { completed, lazyDatabase } from './indexed-db.ts';

/** 2: positions in the elders' lists moved to the encrypted wallet. */
const schema = 2;

interface PaymentsSchema extends DBSchema {
  /** By payment id (hex): the bundle, stored before it is first sent. */
  intents: { key: string; value: Uint8Array };
  /** By payment id: the network's replies so far. */
  facts: { key: string; value: Uint8Array };
}

/** The vault's port; tests/unit/wallet has an in-memory one. */
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
  // The types describe only the current schema.
  (db as unknown as { deleteObjectStore: (name: string) => void }).deleteObjectStore('cursors');
});

/** A payment only starts when its intent would survive a power cut. */
const durable = { durability: 'strict' } as const;

export async function putIntent(paymentId: string, bundle: Uint8Array): Promise<void> {
  const tx = (await database()).transaction('intents', 'readwrite', durable);
  await completed(tx, tx.store.put(bundle, paymentId));
}

export async function getIntent(paymentId: string): Promise<Uint8Array | undefined> {
  return (await database()).get('intents', paymentId);
}

/** @returns the ids of all payments with an intent or facts, ascending. */
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

/** Deletes everything about a payment that is over. */
export async function removePayment(paymentId: string): Promise<void> {
  const tx = (await database()).transaction(['intents', 'facts'], 'readwrite', durable);
  await completed(
    tx,
    tx.objectStore('intents').delete(paymentId),
    tx.objectStore('facts').delete(paymentId),
  );
}
