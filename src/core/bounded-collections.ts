/** Bounds for maps and sets that peers can fill: beyond them the oldest entry is evicted. */

interface Entries<Key> {
  readonly size: number;
  readonly keys: () => Iterable<Key>;
  readonly delete: (key: Key) => boolean;
}

/** @returns the evicted keys. */
export function evictOldest<Key>(entries: Entries<Key>, max: number): readonly Key[] {
  const evicted: Key[] = [];
  for (const key of entries.keys()) {
    if (entries.size <= max) break;
    entries.delete(key);
    evicted.push(key);
  }
  return evicted;
}

/** Sets an entry as the newest one. @returns the keys evicted for it. */
export function setNewest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  max: number,
): readonly Key[] {
  map.delete(key);
  map.set(key, value);
  return evictOldest(map, max);
}
