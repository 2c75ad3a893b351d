/**
 * A node's durable state: facts of machines by key, the list of registered outputs, and the pointer records
 * an adult stores. One SQLite file per node.
 */
import { assert } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  comparePointerRanks,
  pointerRecordDigest,
  type PointerRank,
} from '#data/pointer-record.ts';
import { openDatabase, type Database } from './database.ts';

const schema = 3;

/** Slots that may be filled once: they outlive the facts that filled them. */
const createOnce = 'CREATE TABLE once (slot TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID';

const create = `
  ${createOnce};
  CREATE TABLE facts (machine TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, fact BLOB NOT NULL,
    PRIMARY KEY (machine, key, n)) WITHOUT ROWID;
  CREATE TABLE outputs (position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
    entry BLOB NOT NULL);
  CREATE TABLE pointers (address TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL,
    digest BLOB) WITHOUT ROWID`;

const insertFactSql = `INSERT INTO facts (machine, key, n, fact) VALUES ($machine, $key,
  (SELECT coalesce(max(n) + 1, 0) FROM facts WHERE machine = $machine AND key = $key), $fact)`;

/** Older records have no digest until they are written again: it is derived from the record. */
const addDigest = 'ALTER TABLE pointers ADD COLUMN digest BLOB';

export interface FactStore {
  /** The facts of one instance, oldest first. */
  readonly load: (machine: string, key: string) => Promise<readonly Uint8Array[]>;
  /** Resolves only when the fact would survive a power cut. */
  readonly append: (machine: string, key: string, fact: Uint8Array) => Promise<void>;
  /**
   * Appends a fact and, in the same transaction, deletes the earlier ones that it makes obsolete.
   * @param obsolete indices into the list it is given: all facts of the instance, the new one last
   */
  readonly appendAndForget: (
    machine: string,
    key: string,
    fact: Uint8Array,
    obsolete: (facts: readonly Uint8Array[]) => readonly number[],
  ) => Promise<void>;
  /**
   * Appends a fact that fills a slot, in one transaction. Filling it again with the same value succeeds.
   * Errors: rejects, and stores nothing, when the slot has another value (N20).
   */
  readonly appendOnce: (
    machine: string,
    key: string,
    fact: Uint8Array,
    once: { readonly slot: string; readonly value: Uint8Array },
  ) => Promise<void>;
  /** Keys of all instances of a machine that have facts. */
  readonly keys: (machine: string) => Promise<readonly string[]>;
  /** Adds entries of another elder's registry to the output list; known keys stay unchanged. */
  readonly addOutputs: (
    entries: readonly { readonly key: string; readonly entry: Uint8Array }[],
  ) => Promise<void>;
  /** Deletes one instance whose work is over, including its bytes on the disk's pages. */
  readonly erase: (machine: string, key: string) => Promise<void>;
  /** Deletes all instances of a machine without secrets: their pages are freed, not overwritten. */
  readonly eraseAll: (machine: string) => Promise<void>;
  /**
   * Appends a fact and the entry it adds to the output list in one transaction, so that neither exists
   * without the other. A second entry for the same key leaves the first in its place.
   */
  readonly appendWithOutput: (
    machine: string,
    key: string,
    fact: Uint8Array,
    entry: Uint8Array,
  ) => Promise<void>;
  /** Entries after position `after` (0 = from the first on), at most `limit`. */
  readonly listOutputs: (after: number, limit: number) => Promise<OutputPage>;
  /** The newest entries, oldest first, at most `limit`. */
  readonly lastOutputs: (limit: number) => Promise<readonly Uint8Array[]>;
  /** Stores the record unless the stored one outranks it, by {@link pointerConflict}. */
  readonly putPointer: (
    address: string,
    version: bigint,
    record: Uint8Array,
    source?: PointerSource,
  ) => Promise<Result<'stored', PointerConflict>>;
  readonly getPointer: (address: string) => Promise<Uint8Array | null>;
  /** Records with an address after `after` ('' for the first page), in order, at most `limit`. */
  readonly listPointers: (after: string, limit: number) => Promise<readonly StoredPointer[]>;
  /** Deletes a record unless a newer one has replaced it meanwhile. */
  readonly removePointer: (address: string, rank: PointerRank) => Promise<void>;
  readonly close: () => void;
}

export interface OutputPage {
  readonly entries: readonly Uint8Array[];
  /** Position after the last entry of this page; `after` itself when the page is empty. */
  readonly next: number;
  readonly more: boolean;
}

export interface StoredPointer {
  /** 64 hex digits. */
  readonly address: string;
  readonly version: bigint;
  /** Bytes of the record. */
  readonly size: number;
  /** The record's `pointerRecordDigest`. */
  readonly digest: Uint8Array;
}

/** A client's second body for a version is refused; holders settle on one of two (REPLICATION-R10). */
export type PointerSource = 'client' | 'holder';

export interface PointerConflict {
  readonly kind: 'lowerVersion' | 'versionTaken';
  /** The stored record, which stays. */
  readonly kept: Uint8Array;
}

/**
 * A lower version is refused, and so is a different body of the same version. The same body under another
 * signature of its owner is the same record.
 */
export function pointerConflict(
  kept: (PointerRank & { readonly record: Uint8Array }) | null,
  offered: PointerRank,
  source: PointerSource,
): PointerConflict | null {
  if (kept === null || offered.version > kept.version) return null;
  if (offered.version < kept.version) return { kind: 'lowerVersion', kept: kept.record };
  const order = comparePointerRanks(offered, kept);
  if (order === 0 || (order > 0 && source === 'holder')) return null;
  return { kind: 'versionTaken', kept: kept.record };
}

/** The facts of one instance, decoded. If they do not decode, the store is damaged and must not be used. */
export const loadFacts = async <Fact>(
  facts: Pick<FactStore, 'load'>,
  machine: string,
  key: string,
  decode: (bytes: Uint8Array) => Result<Fact, 'malformed'>,
): Promise<readonly Fact[]> =>
  (await facts.load(machine, key)).map((bytes) => {
    const fact = decode(bytes);
    assert(fact.ok, 'a stored fact decodes');
    return fact.value;
  });

/** Our own bug, or a disk that lost data: the program must end before it sends the conflicting value. */
export const conflictingValue = (slot: string): Error =>
  new Error(`${slot} has a value already, and another one was refused`);

/** Opens the store in the file `path`. Errors: see {@link openDatabase}. */
export function openFacts(path: string): FactStore {
  const upgrades = new Map([
    [1, createOnce],
    [2, addDigest],
  ]);
  const database = openDatabase(path, schema, create, upgrades);
  return {
    ...factsIn(database),
    ...outputsIn(database),
    ...pointersIn(database),
    close: database.close,
  };
}

function factsIn({ sql, write }: Database) {
  const selectFacts = sql.prepare(
    'SELECT n, fact FROM facts WHERE machine = ? AND key = ? ORDER BY n',
  );
  const deleteFact = sql.prepare('DELETE FROM facts WHERE machine = ? AND key = ? AND n = ?');
  const insertFact = sql.prepare(insertFactSql);
  const insertOnce = sql.prepare('INSERT INTO once (slot, value) VALUES (?, ?)');
  const selectOnce = sql.prepare('SELECT value FROM once WHERE slot = ?');
  const selectKeys = sql.prepare('SELECT DISTINCT key FROM facts WHERE machine = ?');
  const deleteFacts = sql.prepare('DELETE FROM facts WHERE machine = ? AND key = ?');
  const deleteMachine = sql.prepare('DELETE FROM facts WHERE machine = ?');
  return {
    load: async (machine, key) => selectFacts.all(machine, key).map((row) => bytesIn(row['fact'])),
    append: (machine, key, fact) => write(() => void insertFact.run({ machine, key, fact })),
    appendAndForget: (machine, key, fact, obsolete) =>
      write(() => {
        insertFact.run({ machine, key, fact });
        const rows = selectFacts.all(machine, key);
        for (const at of obsolete(rows.map((row) => bytesIn(row['fact'])))) {
          // The newest always stays: the next fact's number continues from it.
          const row = at === rows.length - 1 ? undefined : rows[at];
          if (row !== undefined) deleteFact.run(machine, key, Number(row['n']));
        }
      }),
    appendOnce: (machine, key, fact, { slot, value }) =>
      write(() => {
        const kept = selectOnce.get(slot);
        if (kept === undefined) insertOnce.run(slot, value);
        else if (!equalBytes(bytesIn(kept['value']), value)) throw conflictingValue(slot);
        insertFact.run({ machine, key, fact });
      }),
    keys: async (machine) => selectKeys.all(machine).map((row) => String(row['key'])),
    erase: async (machine, key) => {
      await write(() => deleteFacts.run(machine, key));
      sql.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    },
    eraseAll: (machine) => write(() => void deleteMachine.run(machine)),
  } satisfies Partial<FactStore>;
}

function outputsIn({ sql, write }: Database) {
  const insertFact = sql.prepare(insertFactSql);
  const insertOutput = sql.prepare(
    'INSERT INTO outputs (key, entry) VALUES (?, ?) ON CONFLICT (key) DO NOTHING',
  );
  const selectOutputs = sql.prepare(
    'SELECT position, entry FROM outputs WHERE position > ? ORDER BY position LIMIT ?',
  );
  const selectLast = sql.prepare('SELECT entry FROM outputs ORDER BY position DESC LIMIT ?');
  const entryIn = (row: Record<string, unknown>): Uint8Array => bytesIn(row['entry']);
  return {
    addOutputs: (entries) =>
      write(() => {
        for (const { key, entry } of entries) insertOutput.run(key, entry);
      }),
    appendWithOutput: (machine, key, fact, entry) =>
      write(() => {
        insertFact.run({ machine, key, fact });
        insertOutput.run(key, entry);
      }),
    listOutputs: async (after, limit) => {
      const rows = selectOutputs.all(after, limit + 1);
      const page = rows.slice(0, limit);
      const next = Number(page.at(-1)?.['position'] ?? after);
      return { entries: page.map(entryIn), next, more: rows.length > limit };
    },
    lastOutputs: async (limit) => selectLast.all(limit).map(entryIn).reverse(),
  } satisfies Partial<FactStore>;
}

function pointersIn({ sql, write }: Database) {
  const selectPointer = sql.prepare(
    'SELECT version, record, digest FROM pointers WHERE address = ?',
  );
  selectPointer.setReadBigInts(true);
  const upsertPointer = sql.prepare(
    `INSERT INTO pointers (address, version, record, digest) VALUES (?, ?, ?, ?)
       ON CONFLICT (address) DO UPDATE SET version = excluded.version, record = excluded.record,
         digest = excluded.digest`,
  );
  // `length` of a blob is read from its header: no record is loaded.
  const selectPointers = sql.prepare(
    `SELECT address, version, length(record) AS size, digest,
       CASE WHEN digest IS NULL THEN record END AS record
       FROM pointers WHERE address > ? ORDER BY address LIMIT ?`,
  );
  selectPointers.setReadBigInts(true);
  const deletePointer = sql.prepare('DELETE FROM pointers WHERE address = ?');
  const keptPointer = (address: string) => {
    const row = selectPointer.get(address);
    if (row === undefined) return null;
    return { version: versionIn(row), record: bytesIn(row['record']), digest: digestIn(row) };
  };
  return {
    putPointer: (address, version, record, source = 'client') =>
      write(() => {
        const offered = { version, digest: pointerRecordDigest(record) };
        const kept = keptPointer(address);
        const conflict = pointerConflict(kept, offered, source);
        if (conflict !== null) return err(conflict);
        // A record that may have been sent stays unchanged.
        if (kept !== null && comparePointerRanks(kept, offered) === 0) return ok('stored' as const);
        upsertPointer.run(address, toSigned(version), record, offered.digest);
        return ok('stored' as const);
      }),
    getPointer: async (address) => keptPointer(address)?.record ?? null,
    listPointers: async (after, limit) =>
      selectPointers.all(after, limit).map((row) => ({
        address: String(row['address']),
        version: versionIn(row),
        size: Number(row['size']),
        digest: digestIn(row),
      })),
    removePointer: (address, rank) =>
      write(() => {
        const kept = keptPointer(address);
        if (kept !== null && comparePointerRanks(kept, rank) <= 0) deletePointer.run(address);
      }),
  } satisfies Partial<FactStore>;
}

/** SQLite stores signed 64-bit integers; a pointer's version is a u64. */
const toSigned = (version: bigint): bigint => BigInt.asIntN(64, version);
const versionIn = (row: Record<string, unknown>): bigint =>
  BigInt.asUintN(64, row['version'] as bigint);

const digestIn = (row: Record<string, unknown>): Uint8Array =>
  row['digest'] === null ? pointerRecordDigest(bytesIn(row['record'])) : bytesIn(row['digest']);

const bytesIn = (value: unknown): Uint8Array =>
  value instanceof Uint8Array ? new Uint8Array(value) : new Uint8Array();
