/**
 * How far each elder's list of registered outputs has been read. Kept with the coins that were found
 * there, so that a place can neither run ahead of them nor outlive them.
 */
import { assert } from '#core/assert.ts';

/** What was not taken in because the wallet was large (budget.ts); it stays in the network. */
export interface LeftOutputs {
  /** Reading again from here finds every output that was left. */
  readonly from: number;
  /** The largest amount among them. */
  readonly largest: bigint;
}

export interface ListPlace {
  /** Counts how often the list was begun again from an earlier place. */
  readonly generation: number;
  /** Everything before it has been read. */
  readonly after: number;
  readonly left: LeftOutputs | null;
}

/** By the elder's name in hex. */
export type ListPlaces = ReadonlyMap<string, ListPlace>;

/** A network of this many elders is read again from the beginning now and then, no worse. */
export const maxLists = 4096;
export const maxGeneration = 2 ** 32 - 1;
/** An elder numbers its outputs from 1; more than this is a lie. */
export const maxListPosition = 2 ** 48;

export const unreadList: ListPlace = { generation: 0, after: 0, left: null };

/** Commutative, associative, idempotent. The coins of both sides are merged with it. */
export function mergePlace(a: ListPlace, b: ListPlace): ListPlace {
  if (a.generation !== b.generation) return a.generation > b.generation ? a : b;
  return {
    generation: a.generation,
    after: Math.max(a.after, b.after),
    left: mergeLeft(a.left, b.left),
  };
}

/** The same join; which names stay beyond the bound depends on the names alone, so laws hold. */
export function mergePlaces(a: ListPlaces, b: ListPlaces): ListPlaces {
  if (b.size === 0) return a;
  const merged = new Map(a);
  for (const [elder, theirs] of b) {
    const ours = merged.get(elder);
    merged.set(elder, ours === undefined ? theirs : mergePlace(ours, theirs));
  }
  return new Map([...merged].sort(([x], [y]) => (x < y ? -1 : 1)).slice(0, maxLists));
}

/** Leaves an output where it is. @param from the place before the page that has it */
export const leaveAt = (place: ListPlace, from: number, amount: bigint): ListPlace => ({
  ...place,
  left: mergeLeft(place.left, { from, largest: amount }),
});

/** Begins again where something was left. */
export function readAgain(place: ListPlace): ListPlace {
  assert(place.left !== null, 'a list is read again for what was left in it');
  const generation = Math.min(place.generation + 1, maxGeneration);
  return { generation, after: place.left.from, left: null };
}

function mergeLeft(a: LeftOutputs | null, b: LeftOutputs | null): LeftOutputs | null {
  if (a === null || b === null) return a ?? b;
  return {
    from: Math.min(a.from, b.from),
    largest: a.largest > b.largest ? a.largest : b.largest,
  };
}
