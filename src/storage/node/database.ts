/** One SQLite file with a schema number, synced on every commit, with group commit. */
import { DatabaseSync } from 'node:sqlite';
import { FileProblem, kindOfError, Problem } from './problem.ts';

export interface Database {
  readonly sql: DatabaseSync;
  /** Runs `change` inside a transaction; resolves with its value when it is synced to disk. */
  readonly write: <T>(change: () => T) => Promise<T>;
  readonly close: () => void;
}

interface Waiting {
  readonly change: () => unknown;
  readonly done: (value: unknown) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Opens or creates the file. `schema` is stored in `user_version`; a file of another one is refused.
 * @param upgrades from an older schema to the next one; each only adds, so no copy is kept
 * Errors: throws {@link Problem} `broken`, `full`, `locked`, `olderFormat`, `newerFormat`.
 */
export function openDatabase(
  path: string,
  schema: number,
  create: string,
  upgrades: ReadonlyMap<number, string> = new Map(),
): Database {
  const sql = guard(path, () => {
    const opened = new DatabaseSync(path);
    // FULL syncs the write-ahead log at every commit: once `write` resolves, the change survives a power
    // cut.
    opened.exec(
      'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000; PRAGMA secure_delete=ON',
    );
    let found = Number(opened.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
    const empty = opened.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'] === 0;
    for (let add = upgrades.get(found); !empty && add !== undefined; add = upgrades.get(found)) {
      found += 1;
      opened.exec(`BEGIN IMMEDIATE; ${add}; PRAGMA user_version=${found}; COMMIT`);
    }
    if (!empty && found !== schema) {
      opened.close();
      const kind = found < schema ? 'olderFormat' : 'newerFormat';
      throw new FileProblem(kind, `${path} has schema ${found}, this program writes ${schema}`);
    }
    if (empty) opened.exec(`BEGIN IMMEDIATE; ${create}; PRAGMA user_version=${schema}; COMMIT`);
    return opened;
  });
  let waiting: Waiting[] = [];
  let open = true;

  const runGroup = (group: readonly Waiting[]): void => {
    const values: unknown[] = [];
    try {
      sql.exec('BEGIN IMMEDIATE');
      for (const each of group) values.push(each.change());
      sql.exec('COMMIT');
    } catch (error) {
      if (sql.isTransaction) sql.exec('ROLLBACK');
      // One bad change must not fail the rest of its group: give each its own transaction.
      if (group.length > 1) for (const each of group) runGroup([each]);
      else group[0]?.failed(new FileProblem(kindOfError(error), `${path}: ${messageOf(error)}`));
      return;
    }
    group.forEach((each, index) => each.done(values[index]));
  };

  const flush = (): void => {
    const group = waiting;
    waiting = [];
    if (group.length > 0) runGroup(group);
  };

  return {
    sql,
    write: <T>(change: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (!open) {
          reject(new FileProblem('broken', `${path} is closed`));
          return;
        }
        waiting.push({ change, done: resolve as (value: unknown) => void, failed: reject });
        // All writes of this turn of the event loop share one disk sync.
        if (waiting.length === 1) setImmediate(flush);
      }),
    close: () => {
      if (!open) return;
      flush();
      open = false;
      sql.close();
    },
  };
}

function guard<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new FileProblem(kindOfError(error), `${path}: ${messageOf(error)}`);
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
