/**
 * How far each elder's list of registered outputs has been read. Stored together with the coins found
 * there, so that a position can neither run ahead of them nor outlive them.
 */
import { assert } from '#core/assert.ts';

/** Outputs left in the network because the wallet was large (growth-limits.ts). */
export interface SkippedOutputs {
  /** Rereading from here finds every skipped output. */
  readonly from: number;
  /** The largest amount among them. */
  readonly largest: bigint;
}

export interface ListPosition {
  /** Counts restarts of the list from an earlier position. */
  readonly generation: number;
  /** Everything up to it has been read. */
  readonly after: number;
  readonly skipped: SkippedOutputs | null;
}

/** By the elder's name in hex. */
export type ListPositions = ReadonlyMap<string, ListPosition>;

/** Above this many elders, lists are occasionally reread from the beginning, which is harmless. */
export const maxLists = 4096;
export const maxGeneration = 2 ** 32 - 1;
/** An elder numbers its outputs from 1; a larger number is false. */
export const maxListPosition = 2 ** 48;

export const startOfList: ListPosition = { generation: 0, after: 0, skipped: null };

/** Commutative, associative, idempotent. The coins of both sides are merged with it. */
export function mergeListPosition(a: ListPosition, b: ListPosition): ListPosition {
  if (a.generation !== b.generation) return a.generation > b.generation ? a : b;
  return {
    generation: a.generation,
    after: Math.max(a.after, b.after),
    skipped: mergeSkipped(a.skipped, b.skipped),
  };
}

/** The same join; which names are kept at the bound depends only on the names, so the laws hold. */
export function mergeListPositions(a: ListPositions, b: ListPositions): ListPositions {
  if (b.size === 0) return a;
  const merged = new Map(a);
  for (const [elder, theirs] of b) {
    const ours = merged.get(elder);
    merged.set(elder, ours === undefined ? theirs : mergeListPosition(ours, theirs));
  }
  return new Map([...merged].sort(([x], [y]) => (x < y ? -1 : 1)).slice(0, maxLists));
}

/** Marks an output as skipped. @param from the position before the page that contains it */
export const withSkipped = (
  position: ListPosition,
  from: number,
  amount: bigint,
): ListPosition => ({
  ...position,
  skipped: mergeSkipped(position.skipped, { from, largest: amount }),
});

/** Restarts from the first skipped output. */
export function rereadSkipped(position: ListPosition): ListPosition {
  assert(position.skipped !== null, 'a list is read again for what was left in it');
  const generation = Math.min(position.generation + 1, maxGeneration);
  return { generation, after: position.skipped.from, skipped: null };
}

function mergeSkipped(a: SkippedOutputs | null, b: SkippedOutputs | null): SkippedOutputs | null {
  if (a === null || b === null) return a ?? b;
  return {
    from: Math.min(a.from, b.from),
    largest: a.largest > b.largest ? a.largest : b.largest,
  };
}
