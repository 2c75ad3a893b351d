/** Opens one IndexedDB database per purpose, each with a schema version. */
import { openDB, type DBSchema, type IDBPDatabase, type OpenDBCallbacks } from 'idb';

/** The stored data cannot be opened now, for a reason that a person can act on. It stays unchanged. */
export class StoredDataError extends Error {
  readonly kind: 'newerSchema' | 'heldByOlder';

  constructor(kind: StoredDataError['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

const newerSchema = (name: string): StoredDataError =>
  new StoredDataError(
    'newerSchema',
    `The stored data (${name}) is from a newer version of Safe. Reload to update the app.`,
  );
const heldByOlder = (name: string): StoredDataError =>
  new StoredDataError(
    'heldByOlder',
    `Another tab has an older version of Safe open and holds the stored data (${name}). Close the other tabs of Safe, then try again.`,
  );

/** How long a tab of an older version may keep the database before a call fails. */
const releaseTimeoutMs = 3_000;

interface Opening<Schema extends DBSchema> {
  /** Settles when the browser has opened the database, however long that takes. */
  readonly database: Promise<IDBPDatabase<Schema>>;
  /** Rejects when another tab has not closed the database in time; never resolves. */
  readonly held: Promise<never>;
}

/**
 * @returns a function that opens the database once, and again after the browser has closed it.
 * @throws StoredDataError (from the returned function) when the data is newer than this program, or when a
 * tab with an older one does not close it
 */
export function lazyDatabase<Schema extends DBSchema>(
  name: string,
  schema: number,
  upgrade: NonNullable<OpenDBCallbacks<Schema>['upgrade']>,
): () => Promise<IDBPDatabase<Schema>> {
  let opening: Opening<Schema> | undefined;
  const forget = (): void => {
    opening = undefined;
  };
  const open = (): Opening<Schema> => {
    const held = Promise.withResolvers<never>();
    held.promise.catch(() => undefined);
    const database = openDB<Schema>(name, schema, {
      upgrade,
      blocked: () => setTimeout(() => held.reject(heldByOlder(name)), releaseTimeoutMs),
      // Another tab has a newer app and waits for us: close now, reopen on demand.
      blocking: (_from, _to, event) => {
        forget();
        (event.target as IDBDatabase).close();
      },
      terminated: forget,
    }).catch((error: unknown) => {
      forget();
      if (error instanceof DOMException && error.name === 'VersionError') throw newerSchema(name);
      throw error;
    });
    return { database, held: held.promise };
  };
  return async () => {
    opening ??= open();
    // The database first: once it is open, the earlier holder no longer matters.
    return Promise.race([opening.database, opening.held]);
  };
}

/**
 * Resolves when the transaction is complete. Otherwise rejects with the transaction's error: its requests
 * only report an abort, also when the disk is full.
 */
export async function completed(
  transaction: { readonly done: Promise<void> },
  ...requests: readonly (Promise<unknown> | undefined)[]
): Promise<void> {
  await Promise.allSettled([transaction.done, ...requests]);
  await transaction.done;
}
