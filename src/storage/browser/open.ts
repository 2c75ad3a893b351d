/** Opens one IndexedDB database per purpose, each with its schema number. */
import { openDB, type DBSchema, type IDBPDatabase, type OpenDBCallbacks } from 'idb';

/** The stored data was written by a newer version of the app; nothing is touched. */
export class NewerSchemaError extends Error {
  readonly kind: 'newerSchema';

  constructor(name: string) {
    super(`The stored data (${name}) is from a newer version of Safe. Reload to update the app.`);
    this.kind = 'newerSchema';
  }
}

/**
 * @returns a function that opens the database once and again after the browser has closed it.
 * @throws NewerSchemaError (from the returned function) when the data is newer than this program.
 */
export function lazyDatabase<Schema extends DBSchema>(
  name: string,
  schema: number,
  upgrade: NonNullable<OpenDBCallbacks<Schema>['upgrade']>,
): () => Promise<IDBPDatabase<Schema>> {
  let opening: Promise<IDBPDatabase<Schema>> | undefined;
  const forget = (): void => {
    opening = undefined;
  };
  const open = async (): Promise<IDBPDatabase<Schema>> => {
    try {
      return await openDB<Schema>(name, schema, {
        upgrade,
        // Another tab runs a newer app and waits for us: let go, and open again when needed.
        blocking: (_from, _to, event) => {
          forget();
          (event.target as IDBDatabase).close();
        },
        terminated: forget,
      });
    } catch (error) {
      forget();
      if (error instanceof DOMException && error.name === 'VersionError') {
        throw new NewerSchemaError(name);
      }
      throw error;
    }
  };
  return () => (opening ??= open());
}
