/**
 * What a node stores for others: chunks as files, pointer records in the fact store, one limit for
 * both. Every write and removal goes through here, so that the sizes stay right.
 */
import { statfs } from 'node:fs/promises';
import { nameToId } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { pointerRecordDigest } from '#data/pointer-record.ts';
import { noDigest, type Item } from '#protocol/replication/index.ts';
import type { ChunkStore } from '#storage/node/chunks.ts';
import type { FactStore, PointerConflict, PointerSource } from '#storage/node/facts.ts';
import type { ItemRef } from './copy-request.ts';

export type PutProblem = 'altered' | 'full' | 'broken';

export interface Holdings {
  /** Resolves when the chunk would survive a power failure. */
  readonly putChunk: (name: Uint8Array, bytes: Uint8Array) => Promise<Result<Item, PutProblem>>;
  /** The record is verified already. A newer version replaces an older one even on a full disk. */
  readonly putPointer: (
    address: Uint8Array,
    version: bigint,
    record: Uint8Array,
    source?: PointerSource,
  ) => Promise<Result<Item, PointerConflict | { readonly kind: 'full' }>>;
  /** A chunk's bytes, checked by its name, or a record as stored; null when it is missing. */
  readonly read: (kept: ItemRef) => Promise<Uint8Array | null>;
  readonly remove: (item: Item) => Promise<void>;
  /** All items, page by page: first the records, then the chunks. */
  readonly pages: () => AsyncIterable<readonly Item[]>;
  readonly usedBytes: () => number;
  /** Is a tenth of the usable space free again? Below that a full disk stays full. */
  readonly hasRoom: () => Promise<boolean>;
}

export interface HoldingsOptions {
  readonly folder: string;
  /** Takes a function that gives the bytes left for chunks. */
  readonly openChunks: (limitBytes: () => number) => ChunkStore;
  readonly facts: FactStore;
  /** Chunks and records together; infinite when only the disk is the limit. */
  readonly limitBytes: number;
}

const pointersPerPage = 256;
/** Left free on the disk for the machines' facts and the log. */
const reservedBytes = 64 * 1024 * 1024;
/** One part in this many of the usable space must be free before "full" is taken back. */
const freeShare = 10;

export function openHoldings({ folder, facts, limitBytes, openChunks }: HoldingsOptions): Holdings {
  const sizeByAddress = new Map<string, number>();
  let pointerBytes = 0;
  const resize = (address: string, size: number): void => {
    pointerBytes += size - (sizeByAddress.get(address) ?? 0);
    if (size === 0) sizeByAddress.delete(address);
    else sizeByAddress.set(address, size);
  };
  const chunks = openChunks(() => limitBytes - pointerBytes);
  const usedBytes = (): number => chunks.usedBytes() + pointerBytes;

  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize - reservedBytes;
  };

  const pages = async function* (): AsyncGenerator<readonly Item[]> {
    for (let after = ''; ;) {
      const rows = await facts.listPointers(after, pointersPerPage);
      for (const { address, size } of rows) resize(address, size);
      yield rows.flatMap(({ address, ...rest }) => itemOf('pointer', address, rest));
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.address;
      await new Promise((turn) => setImmediate(turn)); // Reading the table is not asynchronous.
    }
    for await (const page of chunks.pages()) {
      yield page.flatMap(({ name, size }) =>
        itemOf('chunk', name, { size, version: 0n, digest: noDigest }),
      );
    }
  };

  return {
    putChunk: async (name, bytes) => {
      if ((await freeBytes()) < bytes.length) return err('full');
      const stored = await chunks.put(name, bytes);
      if (!stored.ok) return stored;
      return ok({ kind: 'chunk', name, size: bytes.length, version: 0n, digest: noDigest });
    },
    putPointer: async (name, version, record, source = 'client') => {
      const address = nameToId(name);
      const addedBytes = record.length - (sizeByAddress.get(address) ?? 0);
      const isNew = !sizeByAddress.has(address);
      if (isNew && usedBytes() + addedBytes > limitBytes) return err({ kind: 'full' });
      const stored = await facts.putPointer(address, version, record, source);
      if (!stored.ok) return stored;
      resize(address, record.length);
      const digest = pointerRecordDigest(record);
      return ok({ kind: 'pointer', name, size: record.length, version, digest });
    },
    read: async ({ kind, name }) => {
      if (kind === 'pointer') return facts.getPointer(nameToId(name));
      const found = await chunks.get(name);
      if (found.ok) return found.value;
      if (found.error === 'broken') throw new Error('the disk refuses');
      return null;
    },
    remove: async (item) => {
      const { kind, name } = item;
      if (kind === 'chunk') return chunks.remove(name);
      const address = nameToId(name);
      await facts.removePointer(address, item);
      resize(address, (await facts.getPointer(address))?.length ?? 0);
    },
    pages,
    usedBytes,
    hasRoom: async () => {
      const free = Math.max(0, Math.min(limitBytes - usedBytes(), await freeBytes()));
      return free > 0 && free * freeShare >= Math.min(limitBytes, usedBytes() + free);
    },
  };
}

const itemOf = (
  kind: Item['kind'],
  hex: string,
  { size, version, digest }: Pick<Item, 'size' | 'version' | 'digest'>,
): readonly Item[] => {
  const name = fromHex(hex);
  return name.ok ? [{ kind, name: name.value, size, version, digest }] : [];
};
