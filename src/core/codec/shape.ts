/**
 * Shapes: bounded checks that turn a decoded CBOR value into a typed one, or `undefined`.
 *
 * A shape lists every field and rejects any other, so bytes are validated once, where they become
 * values (docs/style.md, rule 7). Its outline describes the accepted values as data, so that tests can generate
 * them.
 */
export interface Shape<T> {
  (value: unknown): T | undefined;
  readonly outline?: Outline;
}

export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

/** The accepted values of a shape, as data. */
export type Outline =
  | { readonly kind: 'bytes' | 'text'; readonly min: number; readonly max: number }
  | { readonly kind: 'int'; readonly min: number; readonly max: number }
  | { readonly kind: 'u64' | 'bool' }
  | { readonly kind: 'oneOf'; readonly allowed: readonly (string | number)[] }
  | { readonly kind: 'nullable'; readonly inner: Shape<unknown> }
  | {
      readonly kind: 'list';
      readonly item: Shape<unknown>;
      readonly min: number;
      readonly max: number;
    }
  | { readonly kind: 'record'; readonly fields: Readonly<Record<string, Shape<unknown>>> }
  | { readonly kind: 'union'; readonly cases: Readonly<Record<string, Shape<object>>> }
  | { readonly kind: 'either'; readonly options: readonly Shape<unknown>[] }
  /** A subset of the values `inner` accepts, possibly transformed. */
  | { readonly kind: 'refined'; readonly name: string; readonly inner: Shape<unknown> };

const outlined = <T>(outline: Outline, check: (value: unknown) => T | undefined): Shape<T> =>
  Object.assign(check, { outline });

/** Exactly `length` bytes. */
export const bytesOf = (length: number): Shape<Uint8Array> =>
  outlined({ kind: 'bytes', min: length, max: length }, (value) =>
    value instanceof Uint8Array && value.length === length ? value : undefined,
  );

/** At most `max` bytes, and at least `min`. */
export const bytesUpTo = (max: number, min = 0): Shape<Uint8Array> =>
  outlined({ kind: 'bytes', min, max }, (value) =>
    value instanceof Uint8Array && value.length <= max && value.length >= min ? value : undefined,
  );

/** At most `max` UTF-16 units. */
export const textUpTo = (max: number): Shape<string> =>
  outlined({ kind: 'text', min: 0, max }, (value) =>
    typeof value === 'string' && value.length <= max ? value : undefined,
  );

/** A whole number in [min, max]. */
export const intBetween = (min: number, max: number): Shape<number> =>
  outlined({ kind: 'int', min, max }, (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : undefined,
  );

/** An unsigned 64-bit number, as bigint whatever its size on the wire. */
export const u64: Shape<bigint> = outlined({ kind: 'u64' }, (value) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === 'bigint' && value >= 0n && value < 1n << 64n) return value;
  return undefined;
});

export const bool: Shape<boolean> = outlined({ kind: 'bool' }, (value) =>
  typeof value === 'boolean' ? value : undefined,
);

export const literal = <const T extends string | number>(expected: T): Shape<T> =>
  outlined({ kind: 'oneOf', allowed: [expected] }, (value) =>
    value === expected ? expected : undefined,
  );

export const oneOf = <const T extends string>(...allowed: readonly T[]): Shape<T> =>
  outlined({ kind: 'oneOf', allowed }, (value) => allowed.find((each) => each === value));

/** `null` on the wire represents "none". */
export const nullable = <T>(inner: Shape<T>): Shape<T | null> =>
  outlined({ kind: 'nullable', inner }, (value) => (value === null ? null : inner(value)));

/** The first of two shapes that accepts the value. */
export const either = <A, B>(first: Shape<A>, second: Shape<B>): Shape<A | B> =>
  outlined<A | B>(
    { kind: 'either', options: [first, second] },
    (value) => first(value) ?? second(value),
  );

/** A shape with an additional condition. @param name identifies the condition to tests. */
export const refined = <T, U>(
  name: string,
  inner: Shape<T>,
  check: (value: T) => U | undefined,
): Shape<U> =>
  outlined({ kind: 'refined', name, inner }, (value) => {
    const shaped = inner(value);
    return shaped === undefined ? undefined : check(shaped);
  });

/** A list of at most `max` items. */
export const listOf = <T>(item: Shape<T>, max: number, min = 0): Shape<readonly T[]> =>
  outlined({ kind: 'list', item, min, max }, (value) => {
    if (!Array.isArray(value) || value.length > max || value.length < min) return undefined;
    const items: T[] = [];
    for (const each of value) {
      const shaped = item(each);
      if (shaped === undefined) return undefined;
      items.push(shaped);
    }
    return items;
  });

/** An object with exactly these fields. */
export const record = <Fields extends Readonly<Record<string, Shape<unknown>>>>(
  fields: Fields,
): Shape<{ readonly [Name in keyof Fields]: ShapeOf<Fields[Name]> }> =>
  outlined({ kind: 'record', fields }, (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) || value instanceof Uint8Array) return undefined;
    const names = Object.keys(fields);
    if (Object.keys(value).length !== names.length) return undefined;
    const shaped: Record<string, unknown> = {};
    for (const name of names) {
      if (!Object.hasOwn(value, name)) return undefined;
      const field = fields[name]?.((value as Record<string, unknown>)[name]);
      if (field === undefined) return undefined;
      shaped[name] = field;
    }
    return shaped as { readonly [Name in keyof Fields]: ShapeOf<Fields[Name]> };
  });

type UnionOf<Cases extends Readonly<Record<string, Shape<object>>>> = {
  readonly [Kind in keyof Cases & string]: { readonly kind: Kind } & ShapeOf<Cases[Kind]>;
}[keyof Cases & string];

/** A union distinguished by its field `kind`; each case lists the other fields. */
export const union = <Cases extends Readonly<Record<string, Shape<object>>>>(
  cases: Cases,
): Shape<UnionOf<Cases>> =>
  outlined<UnionOf<Cases>>({ kind: 'union', cases }, (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    const { kind, ...rest } = value as { kind?: unknown };
    if (typeof kind !== 'string' || !Object.hasOwn(cases, kind)) return undefined;
    const inner = cases[kind]?.(rest);
    return inner === undefined ? undefined : ({ kind, ...inner } as never);
  });
