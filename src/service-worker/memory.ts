/**
 * What the worker must know after the browser has killed it: the last network file and verified
 * sections, roads that worked, and the person's choice of road. Nothing here is secret.
 */
import type { DBSchema } from 'idb';
import type { Road, RoadPreference } from '#bridge/worker.ts';
import { lazyDatabase } from '#storage/browser/open.ts';
import type { KeptSections } from './known-sections.ts';

const schema = 2;

export interface NetworkFile {
  readonly format: 1;
  readonly name: string;
  readonly networkId: string;
  readonly genesisKey: string;
  readonly protocol: number;
  readonly bootstrap: readonly string[];
  readonly supply: string;
  readonly faucet: string | null;
}

interface Memory extends DBSchema {
  values: { key: string; value: unknown };
  /** By network id. */
  pins: { key: string; value: KeptSections };
  /** By elder: the road that worked last. */
  roads: { key: string; value: Road };
}

const database = lazyDatabase<Memory>('safe-worker', schema, (db, before) => {
  if (before < 1) {
    db.createObjectStore('values');
    db.createObjectStore('roads');
  }
  // The authorities of the first schema are asked for again; their store stays empty.
  db.createObjectStore('pins');
});

export const memory = {
  networkFile: async (): Promise<NetworkFile | undefined> =>
    (await (await database()).get('values', 'networkFile')) as NetworkFile | undefined,
  keepNetworkFile: async (file: NetworkFile): Promise<void> => {
    await (await database()).put('values', file, 'networkFile');
  },
  preference: async (): Promise<RoadPreference> =>
    ((await (await database()).get('values', 'preference')) as RoadPreference | undefined) ??
    'automatic',
  keepPreference: async (preference: RoadPreference): Promise<void> => {
    await (await database()).put('values', preference, 'preference');
  },
  pins: async (networkId: string): Promise<KeptSections | undefined> =>
    (await database()).get('pins', networkId),
  keepPins: async (networkId: string, pins: KeptSections): Promise<void> => {
    await (await database()).put('pins', pins, networkId);
  },
  roads: async (): Promise<ReadonlyMap<string, Road>> => {
    const db = await database();
    const [names, roads] = await Promise.all([db.getAllKeys('roads'), db.getAll('roads')]);
    return new Map(names.map((name, i) => [name, roads[i] as Road]));
  },
  keepRoad: async (elder: string, road: Road): Promise<void> => {
    await (await database()).put('roads', road, elder);
  },
};
