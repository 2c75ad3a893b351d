/** Maps and sets that strangers write to: beyond a bound, the entry made longest ago is forgotten. */

interface Entries<Key> {
  readonly size: number;
  readonly keys: () => Iterable<Key>;
  readonly delete: (key: Key) => boolean;
}

/** @returns what was forgotten. */
export function forgetOldest<Key>(entries: Entries<Key>, max: number): readonly Key[] {
  const forgotten: Key[] = [];
  for (const key of entries.keys()) {
    if (entries.size <= max) break;
    entries.delete(key);
    forgotten.push(key);
  }
  return forgotten;
}

/** Sets an entry as the newest one. @returns what was forgotten for it. */
export function setNewest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  max: number,
): readonly Key[] {
  map.delete(key);
  map.set(key, value);
  return forgetOldest(map, max);
}
