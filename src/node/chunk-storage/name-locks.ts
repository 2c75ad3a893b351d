/** Separates writes and removals of the same name, and bounds concurrent reads. */
import { itemId, type Item, type ItemId } from '#protocol/replication/index.ts';
import type { ItemRef } from './copy-request.ts';

export interface NameLocks {
  /** Waits for a removal of the same name, then writes; no removal starts before the write ends. */
  readonly write: <T>(kept: ItemRef, write: () => Promise<T>) => Promise<T>;
  /** Removes, or does nothing while this name is being written. */
  readonly drop: (item: Item, drop: () => Promise<void>) => void;
  readonly isBusy: (kept: ItemRef) => boolean;
  readonly settled: () => Promise<void>;
}

/**
 * A removal that the machine allowed before a write, but that ran after it, would remove an
 * acknowledged copy.
 * @param onSpared an item that the machine counts as removed is still on disk
 */
export function createNameLocks(onSpared: (item: Item) => void): NameLocks {
  const writing = new Map<ItemId, number>();
  const dropping = new Map<ItemId, Promise<void>>();
  const spared = new Map<ItemId, Item>();
  return {
    write: async (kept, write) => {
      const id = itemId(kept);
      for (let drop = dropping.get(id); drop !== undefined; drop = dropping.get(id)) await drop;
      writing.set(id, (writing.get(id) ?? 0) + 1);
      try {
        return await write();
      } finally {
        const left = (writing.get(id) ?? 1) - 1;
        if (left > 0) writing.set(id, left);
        else writing.delete(id);
        const item = spared.get(id);
        if (left === 0 && item !== undefined) {
          spared.delete(id);
          onSpared(item);
        }
      }
    },
    drop: (item, drop) => {
      const id = itemId(item);
      if (dropping.has(id)) return;
      if (writing.has(id)) return void spared.set(id, item);
      dropping.set(
        id,
        drop().finally(() => dropping.delete(id)),
      );
    },
    isBusy: (kept) => writing.has(itemId(kept)) || dropping.has(itemId(kept)),
    settled: async () => void (await Promise.all(dropping.values())),
  };
}

/** At most `max` calls at a time; the others wait in order. */
export function limitConcurrency<A, R>(
  max: number,
  call: (argument: A) => Promise<R>,
): (argument: A) => Promise<R> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (argument) => {
    if (running >= max) await new Promise<void>((go) => waiting.push(go));
    running += 1;
    try {
      return await call(argument);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}
