/**
 * Payments in flight, shared by the vault (which builds and signs them) and the service worker
 * (which carries them out and may die at any point). Nothing here is secret: an intent is the
 * signed bundle as it travels, facts are the certificates collected so far.
 */
import type { DBSchema } from 'idb';
import { lazyDatabase } from './open.ts';

const schema = 1;

interface Payments extends DBSchema {
  /** By payment id (hex): the bundle, written before the first byte leaves. */
  intents: { key: string; value: Uint8Array };
  /** By payment id: what the network has answered so far. */
  facts: { key: string; value: Uint8Array };
  /** By Safe and elder: how far that elder's list of registered outputs has been read. */
  cursors: { key: string; value: number };
}

const database = lazyDatabase<Payments>('safe-payments', schema, (db) => {
  db.createObjectStore('intents');
  db.createObjectStore('facts');
  db.createObjectStore('cursors');
});

/** A payment is only begun when its intent would survive a power cut. */
const durable = { durability: 'strict' } as const;

export async function putIntent(paymentId: string, bundle: Uint8Array): Promise<void> {
  const tx = (await database()).transaction('intents', 'readwrite', durable);
  await Promise.all([tx.store.put(bundle, paymentId), tx.done]);
}

export async function getIntent(paymentId: string): Promise<Uint8Array | undefined> {
  return (await database()).get('intents', paymentId);
}

/** @returns payment ids and bundles, ascending by id. */
export async function listIntents(): Promise<
  readonly { readonly paymentId: string; readonly bundle: Uint8Array }[]
> {
  const tx = (await database()).transaction('intents');
  const [ids, bundles] = await Promise.all([tx.store.getAllKeys(), tx.store.getAll()]);
  return ids.flatMap((paymentId, i) => {
    const bundle = bundles[i];
    return bundle === undefined ? [] : [{ paymentId, bundle }];
  });
}

export async function putFacts(paymentId: string, facts: Uint8Array): Promise<void> {
  const tx = (await database()).transaction('facts', 'readwrite', durable);
  await Promise.all([tx.store.put(facts, paymentId), tx.done]);
}

export async function getFacts(paymentId: string): Promise<Uint8Array | undefined> {
  return (await database()).get('facts', paymentId);
}

/** @returns the place in the list after which to read on; 0 when it was never read. */
export async function getCursor(place: string): Promise<number> {
  return (await (await database()).get('cursors', place)) ?? 0;
}

export async function putCursor(place: string, after: number): Promise<void> {
  await (await database()).put('cursors', after, place);
}
