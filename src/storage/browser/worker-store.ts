/**
 * The worker's state that survives a restart: the last network file and verified sections, working
 * transports, and the person's choice of transport. Nothing here is secret.
 */
import type { DBSchema } from 'idb';
import type { Transport, TransportPreference } from '#bridge/worker-messages.ts';
import { parseNetworkFile, type NetworkFile } from '#roles/wire/network-file.ts';
import { lazyDatabase } from './indexed-db.ts';

const schema = 2;

/** What the light node has verified of one network, and the elders' address records. */
export interface StoredSections {
  /** Encoded: roles/light-client/stored-sections.ts. */
  readonly pins: Uint8Array;
  readonly addresses: readonly Uint8Array[];
}

interface WorkerStoreSchema extends DBSchema {
  values: { key: string; value: unknown };
  /** By network id. */
  pins: { key: string; value: StoredSections };
  /** By elder: the last working transport. */
  roads: { key: string; value: Transport };
}

const database = lazyDatabase<WorkerStoreSchema>('safe-worker', schema, (db, before) => {
  if (before < 1) {
    db.createObjectStore('values');
    db.createObjectStore('roads');
  }
  // The authorities of schema 1 are requested again; their store stays empty.
  db.createObjectStore('pins');
});

export const workerStore = {
  networkFile: async (): Promise<NetworkFile | undefined> =>
    parseNetworkFile(await (await database()).get('values', 'networkFile')),
  saveNetworkFile: async (file: NetworkFile): Promise<void> => {
    await (await database()).put('values', file, 'networkFile');
  },
  preference: async (): Promise<TransportPreference> =>
    ((await (await database()).get('values', 'preference')) as TransportPreference | undefined) ??
    'automatic',
  savePreference: async (preference: TransportPreference): Promise<void> => {
    await (await database()).put('values', preference, 'preference');
  },
  pins: async (networkId: string): Promise<StoredSections | undefined> =>
    (await database()).get('pins', networkId),
  savePins: async (networkId: string, pins: StoredSections): Promise<void> => {
    await (await database()).put('pins', pins, networkId);
  },
  transports: async (): Promise<ReadonlyMap<string, Transport>> => {
    const db = await database();
    const [names, transports] = await Promise.all([db.getAllKeys('roads'), db.getAll('roads')]);
    return new Map(names.map((name, i) => [name, transports[i] as Transport]));
  },
  saveTransport: async (elder: string, transport: Transport): Promise<void> => {
    await (await database()).put('roads', transport, elder);
  },
};
