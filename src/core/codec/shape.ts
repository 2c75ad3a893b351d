/**
 * Shapes: bounded checks that turn a decoded CBOR value into a typed one, or `undefined`.
 *
 * A shape names every field it knows and refuses any other, so there is one door at which bytes
 * become values (rule 7), and behind it nobody checks again.
 */
export type Shape<T> = (value: unknown) => T | undefined;

export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

/** Exactly `length` bytes. */
export const bytesOf =
  (length: number): Shape<Uint8Array> =>
  (value) =>
    value instanceof Uint8Array && value.length === length ? value : undefined;

/** At most `max` bytes. */
export const bytesUpTo =
  (max: number): Shape<Uint8Array> =>
  (value) =>
    value instanceof Uint8Array && value.length <= max ? value : undefined;

/** At most `max` UTF-16 units. */
export const textUpTo =
  (max: number): Shape<string> =>
  (value) =>
    typeof value === 'string' && value.length <= max ? value : undefined;

/** A whole number in [min, max]. */
export const intBetween =
  (min: number, max: number): Shape<number> =>
  (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : undefined;

/** An unsigned 64-bit number, as bigint whatever its size on the wire. */
export const u64: Shape<bigint> = (value) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === 'bigint' && value >= 0n && value < 1n << 64n) return value;
  return undefined;
};

export const bool: Shape<boolean> = (value) => (typeof value === 'boolean' ? value : undefined);

export const literal =
  <const T extends string | number>(expected: T): Shape<T> =>
  (value) =>
    value === expected ? expected : undefined;

export const oneOf =
  <const T extends string>(...allowed: readonly T[]): Shape<T> =>
  (value) =>
    allowed.find((each) => each === value);

/** `null` on the wire stands for "none". */
export const nullable =
  <T>(inner: Shape<T>): Shape<T | null> =>
  (value) =>
    value === null ? null : inner(value);

/** A list of at most `max` items. */
export const listOf =
  <T>(item: Shape<T>, max: number, min = 0): Shape<readonly T[]> =>
  (value) => {
    if (!Array.isArray(value) || value.length > max || value.length < min) return undefined;
    const items: T[] = [];
    for (const each of value) {
      const shaped = item(each);
      if (shaped === undefined) return undefined;
      items.push(shaped);
    }
    return items;
  };

/** An object with exactly these fields. */
export const record =
  <Fields extends Readonly<Record<string, Shape<unknown>>>>(
    fields: Fields,
  ): Shape<{ readonly [Name in keyof Fields]: ShapeOf<Fields[Name]> }> =>
  (value) => {
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
  };

/** A union told apart by its field `kind`; each case lists the other fields. */
export const union =
  <Cases extends Readonly<Record<string, Shape<object>>>>(
    cases: Cases,
  ): Shape<
    {
      readonly [Kind in keyof Cases & string]: { readonly kind: Kind } & ShapeOf<Cases[Kind]>;
    }[keyof Cases & string]
  > =>
  (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    const { kind, ...rest } = value as { kind?: unknown };
    if (typeof kind !== 'string' || !Object.hasOwn(cases, kind)) return undefined;
    const inner = cases[kind]?.(rest);
    return inner === undefined ? undefined : ({ kind, ...inner } as never);
  };
