/**
 * Values of real messages that an adversary has seen, by the shape that accepted them and by
 * length.
 */
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor } from '#core/codec/cbor.ts';
import type { Shape } from '#core/codec/shape.ts';
import type { Prng } from '../prng.ts';
import { atPath, joinPath } from './paths.ts';

/** Values kept per kind: when it is full, a new one replaces a random one. */
const kept = 32;

export interface SeenValues {
  readonly note: (shape: Shape<unknown>, value: unknown) => void;
  /** A value that this shape accepted before; undefined when there is none. */
  readonly like: (prng: Prng, shape: Shape<unknown>) => unknown;
  /** Bytes of this length from anywhere. */
  readonly ofLength: (prng: Prng, length: number) => Uint8Array | undefined;
}

interface Store<T> {
  readonly items: T[];
  readonly ids: Set<string>;
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array
    ? toHex(value)
    : JSON.stringify(value, (_, inner: unknown) =>
        inner instanceof Uint8Array
          ? toHex(inner)
          : typeof inner === 'bigint'
            ? `${inner}n`
            : inner,
      );

/** Messages never change, and the same one reaches many nodes. */
const knownTexts = new WeakMap<object, string>();

function idOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return textOf(value);
  const text = knownTexts.get(value) ?? textOf(value);
  knownTexts.set(value, text);
  return text;
}

export function createSeenValues(
  prng: Prng,
  contents: Readonly<Record<string, Shape<unknown>>> = {},
): SeenValues {
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
          note(field, (value as Record<string, unknown>)[name], joinPath(path, name));
        }
        return;
      case 'union': {
        const { kind, ...rest } = value as { readonly kind: string };
        const inner = outline.cases[kind];
        if (inner !== undefined) note(inner, rest, joinPath(path, kind));
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
