/**
 * The sections that the vault has verified itself. The worker keeps its own: neither trusts the other.
 * Public bytes.
 */
import type { DBSchema } from 'idb';
import { lazyDatabase } from './indexed-db.ts';

const schema = 1;

interface PinnedSections extends DBSchema {
  /** By network id (hex): roles/light-client/stored-sections.ts. */
  pins: { key: string; value: Uint8Array };
}

const database = lazyDatabase<PinnedSections>('safe-pins', schema, (db) => {
  db.createObjectStore('pins');
});

export async function getPins(networkId: string): Promise<Uint8Array | undefined> {
  return (await database()).get('pins', networkId);
}

export async function putPins(networkId: string, pins: Uint8Array): Promise<void> {
  await (await database()).put('pins', pins, networkId);
}
