/** The vault's data on this device. All personal data is encrypted. */
import type { DBSchema, IDBPDatabase } from 'idb';
import { completed, lazyDatabase } from './indexed-db.ts';

const schema = 1;

/** The network a Safe belongs to, fixed at first contact. */
export interface PinnedNetwork {
  readonly name: string;
  /** Hex. */
  readonly networkId: string;
  /** Hex. */
  readonly genesisKey: string;
}

/** One Safe that this device remembers. */
export interface SafeRecord {
  /** Random; a phrase used on two networks is two Safes. */
  readonly id: string;
  /** Hex of the pointer owner's key. */
  readonly owner: string;
  readonly fingerprint: string;
  /** `null` until the first contact. */
  readonly network: PinnedNetwork | null;
  /** 8 random bytes that distinguish this device's changes from another's. */
  readonly device: Uint8Array;
  /** The phrase's member key, wrapped by the device key. */
  readonly member: Uint8Array;
  /** The encrypted index, prefixed by the stretching parameters (safe/index/index-envelope.ts). */
  readonly envelope: Uint8Array;
  /** Highest version of the pointer record this device has seen, as decimal text. */
  readonly version: string;
  /** False while the index here contains changes that the network has not acknowledged. */
  readonly published: boolean;
  /**
   * SHA-256 of the body of the last pointer record that was merged into the index here: that record need
   * not be read again. Absent in records of version 0.1.
   */
  readonly acknowledged?: Uint8Array | null;
  /** Milliseconds since the Unix epoch: the most recently used Safe is offered first. */
  readonly usedAt: number;
}

/** The plan of an unfinished upload, encrypted under its Safe's plan key. */
export interface PlanRecord {
  readonly id: string;
  readonly owner: string;
  /**
   * Network id (hex) of the pieces marked as stored; `null` before the first one. Absent in plans of
   * version 0.1, which did not store it.
   */
  readonly network?: string | null;
  readonly sealed: Uint8Array;
}

/** The vault's port; tests/unit/vault has an in-memory one. */
export interface VaultStore {
  readonly listSafes: () => Promise<readonly SafeRecord[]>;
  readonly getSafe: (id: string) => Promise<SafeRecord | undefined>;
  readonly putSafe: (record: SafeRecord) => Promise<void>;
  readonly deleteSafe: (id: string) => Promise<void>;
  /** Encrypts under a key that this browser stores and never exports, not even to us. */
  readonly wrap: (bytes: Uint8Array, context: Uint8Array) => Promise<Uint8Array>;
  /** `null` when this device's key is gone or another key wrapped the bytes. */
  readonly unwrap: (wrapped: Uint8Array, context: Uint8Array) => Promise<Uint8Array | null>;
  readonly listPlans: (owner: string) => Promise<readonly PlanRecord[]>;
  readonly getPlan: (id: string) => Promise<PlanRecord | undefined>;
  /** Resolves when the plan would survive a power cut. */
  readonly putPlan: (plan: PlanRecord) => Promise<void>;
  readonly deletePlan: (id: string) => Promise<void>;
  /** Marks a piece as acknowledged by the network under this chunk name; only with its plan. */
  readonly markPiece: (planId: string, index: number, chunkName: Uint8Array) => Promise<void>;
  readonly listPieces: (planId: string) => Promise<ReadonlyMap<number, Uint8Array>>;
}

interface VaultSchema extends DBSchema {
  safes: { key: string; value: SafeRecord };
  keys: { key: string; value: CryptoKey };
  plans: { key: string; value: PlanRecord; indexes: { owner: string } };
  pieces: { key: [string, number]; value: Uint8Array };
}

const durable = { durability: 'strict' } as const;

/** Opens the database on first use. */
export function createBrowserVaultStore(): VaultStore {
  const database = lazyDatabase<VaultSchema>('safe-vault', schema, (db) => {
    db.createObjectStore('safes', { keyPath: 'id' });
    db.createObjectStore('keys');
    db.createObjectStore('plans', { keyPath: 'id' }).createIndex('owner', 'owner');
    db.createObjectStore('pieces');
  });
  const piecesOf = (planId: string): IDBKeyRange =>
    IDBKeyRange.bound([planId, 0], [planId, Infinity]);

  return {
    listSafes: async () => (await database()).getAll('safes'),
    getSafe: async (id) => (await database()).get('safes', id),
    putSafe: async (record) => {
      const tx = (await database()).transaction('safes', 'readwrite', durable);
      await completed(tx, tx.store.put(record));
    },
    deleteSafe: async (id) => {
      const tx = (await database()).transaction('safes', 'readwrite', durable);
      await completed(tx, tx.store.delete(id));
    },
    wrap: async (bytes, context) => {
      const key = (await readKey(await database())) ?? (await makeKey(database));
      return wrapWith(key, bytes, context);
    },
    unwrap: async (wrapped, context) => {
      const key = await readKey(await database());
      return key === undefined ? null : unwrapWith(key, wrapped, context);
    },
    listPlans: async (owner) => (await database()).getAllFromIndex('plans', 'owner', owner),
    getPlan: async (id) => (await database()).get('plans', id),
    putPlan: async (plan) => {
      const tx = (await database()).transaction('plans', 'readwrite', durable);
      await completed(tx, tx.store.put(plan));
    },
    deletePlan: async (id) => {
      const tx = (await database()).transaction(['plans', 'pieces'], 'readwrite', durable);
      await completed(
        tx,
        tx.objectStore('plans').delete(id),
        tx.objectStore('pieces').delete(piecesOf(id)),
      );
    },
    // Not strict: a lost mark costs one piece sent twice.
    markPiece: async (planId, index, chunkName) => {
      const tx = (await database()).transaction(['plans', 'pieces'], 'readwrite');
      const marked = tx
        .objectStore('plans')
        .count(planId)
        .then(async (plans) => {
          if (plans > 0) await tx.objectStore('pieces').put(chunkName, [planId, index]);
        });
      await completed(tx, marked);
    },
    listPieces: async (planId) => {
      const tx = (await database()).transaction('pieces');
      const range = piecesOf(planId);
      const [keys, names] = await Promise.all([tx.store.getAllKeys(range), tx.store.getAll(range)]);
      return new Map(keys.map(([, index], i) => [index, names[i] ?? new Uint8Array()]));
    },
  };
}

const readKey = async (db: IDBPDatabase<VaultSchema>): Promise<CryptoKey | undefined> =>
  db.get('keys', 'device');

/** Makes the device key; when two tabs do so at the same time, the first one stays. */
async function makeKey(database: () => Promise<IDBPDatabase<VaultSchema>>): Promise<CryptoKey> {
  const fresh = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ]);
  // Opened only now: another tab may have had the database closed meanwhile.
  const tx = (await database()).transaction('keys', 'readwrite', durable);
  let key = fresh;
  const kept = tx.store.get('device').then(async (first) => {
    if (first === undefined) await tx.store.put(fresh, 'device');
    else key = first;
  });
  await completed(tx, kept);
  return key;
}

/** @returns nonce 12 ‖ AES-256-GCM. */
export async function wrapWith(
  key: CryptoKey,
  bytes: Uint8Array,
  context: Uint8Array,
): Promise<Uint8Array> {
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt(aesGcm(nonce, context), key, plain(bytes));
  const wrapped = new Uint8Array(12 + sealed.byteLength);
  wrapped.set(nonce);
  wrapped.set(new Uint8Array(sealed), 12);
  return wrapped;
}

export async function unwrapWith(
  key: CryptoKey,
  wrapped: Uint8Array,
  context: Uint8Array,
): Promise<Uint8Array | null> {
  try {
    const parameters = aesGcm(wrapped.slice(0, 12), context);
    const bytes = await crypto.subtle.decrypt(parameters, key, plain(wrapped.slice(12)));
    return new Uint8Array(bytes);
  } catch {
    return null;
  }
}

const plain = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>;

const aesGcm = (nonce: Uint8Array, context: Uint8Array): AesGcmParams => ({
  name: 'AES-GCM',
  iv: plain(nonce),
  additionalData: plain(context),
});
