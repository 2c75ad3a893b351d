/** Keeps writes and drops of one name apart, and bounds what is read at once. */
import { itemId, type Item, type ItemId } from '#protocol/replication/index.ts';

type Kept = Pick<Item, 'kind' | 'name'>;

export interface NameGuard {
  /** Runs a write when no drop of the same name is under way; none begins before it is through. */
  readonly write: <T>(kept: Kept, write: () => Promise<T>) => Promise<T>;
  /** Runs a drop, or does nothing when somebody is just writing this name: it is spared. */
  readonly drop: (item: Item, drop: () => Promise<void>) => void;
  readonly isBusy: (kept: Kept) => boolean;
  readonly settled: () => Promise<void>;
}

/**
 * A drop that the machine allowed before a write and that happened after it would take an
 * acknowledged copy away.
 * @param onSpared an item the machine takes for dropped is still on disk
 */
export function createNameGuard(onSpared: (item: Item) => void): NameGuard {
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

/** At most `most` calls at once; the others wait in order. */
export function limited<A, R>(
  most: number,
  call: (argument: A) => Promise<R>,
): (argument: A) => Promise<R> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (argument) => {
    if (running >= most) await new Promise<void>((go) => waiting.push(go));
    running += 1;
    try {
      return await call(argument);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}
