/**
 * Well-formed values by shape: anything a codec accepts, of every legal length, filled with real
 * values, values that may be confused with them, or random ones. No code here knows a message; the
 * shape of its codec is enough to cover a new one.
 */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import type { Outline, Shape } from '#core/codec/shape.ts';
import type { Prng } from '../prng.ts';
import { atPath, joinPath } from './paths.ts';
import type { SeenValues } from './seen-values.ts';

/** Creates the content of a field whose shape is only "bytes" or has its own rule. */
export type Filling = (making: Making, shape: Shape<unknown>) => unknown;

export type Contents = Readonly<Record<string, Shape<unknown>>>;

export interface Making {
  readonly prng: Prng;
  readonly seen: SeenValues;
  /** By path, for bytes that hold another codec's CBOR (`agreement.message`). */
  readonly contents: Contents;
  /** By path for other bytes with contents, by name for refined shapes. */
  readonly fillings: Readonly<Record<string, Filling>>;
  /** Limits for lists and bytes where a shape allows more; the longest ones cost seconds. */
  readonly most: { readonly items: number; readonly bytes: number };
  /** Kinds that this run prefers: spread over all kinds, no attack gets far. */
  readonly favoured?: ReadonlySet<string>;
}

const outlineOf = (shape: Shape<unknown>, path: string): Outline => {
  if (shape.outline === undefined) throw new Error(`${path}: a shape without an outline`);
  return shape.outline;
};

/** One value that the shape accepts. @param path its location: union case and field, by dots. */
export function make(making: Making, shape: Shape<unknown>, path = ''): unknown {
  const { prng, seen } = making;
  const outline = outlineOf(shape, path);
  // Whole parts of real messages in other places: of another session, voter or generation.
  const isPart = outline.kind === 'record' || outline.kind === 'nullable' || outline.kind === 'int';
  if (isPart && prng.chance(0.3)) {
    const known = seen.like(prng, shape);
    if (known !== undefined) return known;
  }
  switch (outline.kind) {
    case 'bytes':
      return outline.min === outline.max
        ? exactly(making, shape, outline.max)
        : filled(making, shape, path, () => upTo(making, shape, outline));
    case 'text':
      return filled(making, shape, path, () => 'x'.repeat(lengthOf(making, outline, 64)));
    case 'int':
      return intOf(making, outline);
    case 'u64':
      return numberOf(making, shape);
    case 'bool':
      return prng.chance(0.5);
    case 'oneOf':
      return prng.pick(outline.allowed);
    case 'nullable':
      return prng.chance(0.25) ? null : make(making, outline.inner, path);
    case 'list':
      return listOf(making, shape, outline, path);
    case 'record':
      return Object.fromEntries(
        Object.entries(outline.fields).map(([name, field]) => [
          name,
          make(making, field, joinPath(path, name)),
        ]),
      );
    case 'union':
      return makeCase(making, shape, caseOf(making, Object.keys(outline.cases)), path);
    case 'either':
      return make(making, prng.pick(outline.options), path);
    case 'refined':
      return refined(making, shape, outline, path);
  }
}

/** One of these kinds: half of the time a favoured one, if there is one. */
export function caseOf<K extends string>({ prng, favoured }: Making, kinds: readonly K[]): K {
  const liked = kinds.filter((kind) => favoured?.has(kind) === true);
  return liked.length > 0 && prng.chance(0.6) ? prng.pick(liked) : prng.pick(kinds);
}

/** A value of one case of a union. */
export function makeCase(
  making: Making,
  shape: Shape<unknown>,
  kind: string,
  path = '',
): { readonly kind: string } {
  const outline = outlineOf(shape, path);
  const inner = outline.kind === 'union' ? outline.cases[kind] : undefined;
  if (inner === undefined) throw new Error(`${path}: no case ${kind}`);
  return { kind, ...(make(making, inner, joinPath(path, kind)) as object) };
}

/**
 * The value with one part changed: one field replaced by another legal value, or one list
 * shortened, lengthened, duplicated or reordered.
 */
export function mutateValue(
  making: Making,
  shape: Shape<unknown>,
  value: unknown,
  path = '',
): unknown {
  const { prng } = making;
  const outline = outlineOf(shape, path);
  switch (outline.kind) {
    case 'record': {
      const fields = Object.entries(outline.fields);
      if (fields.length === 0) return value;
      const [name, field] = prng.pick(fields);
      const before = value as Record<string, unknown>;
      return { ...before, [name]: mutateValue(making, field, before[name], joinPath(path, name)) };
    }
    case 'union': {
      const { kind, ...rest } = value as { readonly kind: string };
      const inner = outline.cases[kind];
      if (inner === undefined) return make(making, shape, path);
      return { kind, ...(mutateValue(making, inner, rest, joinPath(path, kind)) as object) };
    }
    case 'nullable':
      if (value === null || prng.chance(0.2)) return make(making, shape, path);
      return mutateValue(making, outline.inner, value, path);
    case 'list':
      return otherList(making, shape, outline, value as readonly unknown[], path);
    default: {
      const inside = value instanceof Uint8Array ? atPath(making.contents, path) : undefined;
      const opened = inside === undefined ? undefined : decodeCbor(value as Uint8Array);
      return inside === undefined || opened?.ok !== true || inside(opened.value) === undefined
        ? make(making, shape, path)
        : encodeCbor(mutateValue(making, inside, opened.value, path));
    }
  }
}

function otherList(
  making: Making,
  shape: Shape<unknown>,
  outline: Outline & { readonly kind: 'list' },
  items: readonly unknown[],
  path: string,
): unknown {
  const { prng } = making;
  if (items.length === 0) return make(making, shape, path);
  const at = prng.below(items.length);
  const most = Math.min(outline.max, Math.max(making.most.items, outline.min));
  const changes: (() => readonly unknown[])[] = [
    () => items.map((item, n) => (n === at ? mutateValue(making, outline.item, item, path) : item)),
    () => items.map((item, n) => (n === at ? mutateValue(making, outline.item, item, path) : item)),
    () => [...items].reverse(),
  ];
  if (items.length > outline.min) {
    changes.push(
      () => items.filter((_, n) => n !== at),
      () => items.slice(0, outline.min),
    );
  }
  if (items.length < most) {
    changes.push(
      () => [...items, items[at]],
      () => Array.from({ length: most }, (_, n) => items[n % items.length]),
      () => [
        ...items,
        ...Array.from({ length: most - items.length }, () => make(making, outline.item, path)),
      ],
    );
  }
  return prng.pick(changes)();
}

function exactly({ prng, seen }: Making, shape: Shape<unknown>, length: number): Uint8Array {
  if (prng.chance(0.6)) {
    const known = seen.like(prng, shape);
    if (known instanceof Uint8Array) return known;
  }
  if (prng.chance(0.6)) {
    const known = seen.ofLength(prng, length);
    if (known !== undefined) return known;
  }
  return prng.chance(0.3) ? new Uint8Array(length) : prng.bytes(length);
}

function filled(
  making: Making,
  shape: Shape<unknown>,
  path: string,
  otherwise: () => unknown,
): unknown {
  const { prng, seen, fillings } = making;
  const known = prng.chance(0.3) ? seen.like(prng, shape) : undefined;
  if (known !== undefined) return known;
  const inside = atPath(making.contents, path);
  if (inside !== undefined) return encodeCbor(make(making, inside, path));
  const filling = atPath(fillings, path);
  return filling === undefined || prng.chance(0.05) ? otherwise() : filling(making, shape);
}

function upTo(
  making: Making,
  _shape: Shape<unknown>,
  outline: Outline & { readonly kind: 'bytes' | 'text' },
): Uint8Array {
  return making.prng.bytes(lengthOf(making, outline, making.most.bytes));
}

/** The minimum, the maximum, one, or a length between. */
function lengthOf(
  { prng }: Making,
  { min, max }: { readonly min: number; readonly max: number },
  bound: number,
): number {
  const most = Math.max(min, Math.min(max, bound));
  const few = Math.min(most, min + 1);
  return prng.pick([min, few, most, min + prng.below(most - min + 1)]);
}

function intOf({ prng }: Making, { min, max }: { readonly min: number; readonly max: number }) {
  const near = Math.min(max, min + prng.below(8));
  const far = Math.max(min, max - prng.below(2));
  return prng.pick([min, near, near, near, far]);
}

function numberOf({ prng, seen }: Making, shape: Shape<unknown>): bigint {
  const known = seen.like(prng, shape);
  const base = typeof known === 'bigint' ? known : BigInt(prng.below(4));
  const near = prng.pick([base, base, base + 1n, base - 1n, 0n, (1n << 64n) - 1n]);
  return near < 0n || near >= 1n << 64n ? 0n : near;
}

function listOf(
  making: Making,
  shape: Shape<unknown>,
  outline: Outline & { readonly kind: 'list' },
  path: string,
): readonly unknown[] {
  const { prng, seen } = making;
  const known = prng.chance(0.15) ? seen.like(prng, shape) : undefined;
  if (Array.isArray(known)) return known;
  const length = lengthOf(making, outline, Math.max(making.most.items, outline.min));
  const items = Array.from({ length }, () => make(making, outline.item, path));
  return prng.chance(0.7) ? inOrder(items) : items;
}

/**
 * Numbers the entries of lists with one entry per elder, voter or candidate: receivers check the
 * order.
 */
function inOrder(items: readonly unknown[]): readonly unknown[] {
  const [first] = items;
  if (typeof first !== 'object' || first === null) return items;
  const name = ['voter', 'elder', 'candidate', 'dealer'].find((each) => each in first);
  if (name === undefined) return items;
  return items.map((item, at) => ({
    ...(item as object),
    [name]: name === 'voter' ? at % 7 : (at % 7) + 1,
  }));
}

/** Attempts before a refined shape is reported to need a filling of its own. */
const maxTries = 40;

function refined(
  making: Making,
  shape: Shape<unknown>,
  outline: Outline & { readonly kind: 'refined' },
  path: string,
): unknown {
  const filling = making.fillings[outline.name];
  for (let n = 0; n < maxTries; n++) {
    const value = filling?.(making, shape) ?? make(making, outline.inner, path);
    if (shape(value) !== undefined) return value;
  }
  throw new Error(`${path}: nothing made fits ${outline.name}`);
}

/** Paths of all fields of bytes with contents that their shape does not describe. */
export function opaqueFields(shape: Shape<unknown>, path = ''): readonly string[] {
  const outline = outlineOf(shape, path);
  switch (outline.kind) {
    case 'bytes':
      return outline.min === outline.max ? [] : [path];
    case 'nullable':
      return opaqueFields(outline.inner, path);
    case 'list':
      return opaqueFields(outline.item, path);
    case 'record':
      return Object.entries(outline.fields).flatMap(([name, field]) =>
        opaqueFields(field, joinPath(path, name)),
      );
    case 'union':
      return Object.entries(outline.cases).flatMap(([kind, inner]) =>
        opaqueFields(inner, joinPath(path, kind)),
      );
    case 'either':
      return outline.options.flatMap((each) => opaqueFields(each, path));
    case 'refined':
      return opaqueFields(outline.inner, path);
    default:
      return [];
  }
}
