/** What an adversary has seen of real messages, by the shape that let it through and by its length. */
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor } from '#core/codec/cbor.ts';
import type { Shape } from '#core/codec/shape.ts';
import type { Prng } from '../prng.ts';
import { atPath, join } from './paths.ts';

/** Values kept of one kind: a new one replaces one by chance when it is full. */
const kept = 32;

export interface Seen {
  readonly note: (shape: Shape<unknown>, value: unknown) => void;
  /** A value that this very shape let through once; undefined when there is none. */
  readonly like: (prng: Prng, shape: Shape<unknown>) => unknown;
  /** Bytes of that length from anywhere. */
  readonly ofLength: (prng: Prng, length: number) => Uint8Array | undefined;
}

interface Store<T> {
  readonly items: T[];
  readonly ids: Set<string>;
}

const idOf = (value: unknown): string =>
  value instanceof Uint8Array
    ? toHex(value)
    : JSON.stringify(value, (_, inner: unknown) =>
        inner instanceof Uint8Array
          ? toHex(inner)
          : typeof inner === 'bigint'
            ? `${inner}n`
            : inner,
      );

export function createSeen(
  prng: Prng,
  contents: Readonly<Record<string, Shape<unknown>>> = {},
): Seen {
  const byShape = new Map<Shape<unknown>, Store<unknown>>();
  const byLength = new Map<number, Store<Uint8Array>>();

  function put<T>(store: Store<T>, value: T): void {
    const id = idOf(value);
    if (store.ids.has(id)) return;
    if (store.items.length >= kept) {
      const at = prng.below(kept);
      store.ids.delete(idOf(store.items[at]));
      store.items[at] = value;
    } else store.items.push(value);
    store.ids.add(id);
  }

  function storeFor<K, T>(map: Map<K, Store<T>>, key: K): Store<T> {
    const store = map.get(key) ?? { items: [], ids: new Set() };
    map.set(key, store);
    return store;
  }

  function note(shape: Shape<unknown>, value: unknown, path = ''): void {
    const { outline } = shape;
    const inside = value instanceof Uint8Array ? atPath(contents, path) : undefined;
    const opened = inside === undefined ? undefined : decodeCbor(value as Uint8Array);
    if (inside !== undefined && opened?.ok === true && inside(opened.value) !== undefined)
      note(inside, opened.value, path);
    put(storeFor(byShape, shape), value);
    if (value instanceof Uint8Array) put(storeFor(byLength, value.length), value);
    switch (outline?.kind) {
      case 'list':
        for (const item of value as readonly unknown[]) note(outline.item, item, path);
        return;
      case 'record':
        for (const [name, field] of Object.entries(outline.fields)) {
          note(field, (value as Record<string, unknown>)[name], join(path, name));
        }
        return;
      case 'union': {
        const { kind, ...rest } = value as { readonly kind: string };
        const inner = outline.cases[kind];
        if (inner !== undefined) note(inner, rest, join(path, kind));
        return;
      }
      case 'nullable':
        if (value !== null) note(outline.inner, value, path);
        return;
      default:
    }
  }

  return {
    note,
    like: (chance, shape) => {
      const items = byShape.get(shape)?.items ?? [];
      return items.length === 0 ? undefined : items[chance.below(items.length)];
    },
    ofLength: (chance, length) => {
      const items = byLength.get(length)?.items ?? [];
      return items.length === 0 ? undefined : items[chance.below(items.length)];
    },
  };
}
