/**
 * The sealed root of an epoch: a Merkle root over everything its section had written when it
 * stopped. A certificate of that epoch counts afterwards only with a path to this root (N34).
 */
import { assert } from '#core/assert.ts';
import { Writer, equalBytes, type Reader } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';

/** `bound`: the next epoch may write this transaction alone. `decided`: it is final. */
export type SealedKind = 'bound' | 'decided' | 'output';

/** What one leaf says: under this name stands this transaction. */
export interface SealedLeaf {
  readonly kind: SealedKind;
  /** 32 bytes: a slot, or the one-time key of an output. */
  readonly name: Uint8Array;
  readonly txid: Uint8Array;
  /** 32 bytes: hash of the whole entry, so that the root vouches for every byte of it. */
  readonly body: Uint8Array;
}

/** Shows that a slot is bound or decided in a sealed root; slot and txid come from elsewhere. */
export interface SealedPath {
  readonly kind: 'bound' | 'decided';
  readonly body: Uint8Array;
  /** Place of the leaf, and how many there are: together they fix the shape of the path. */
  readonly index: number;
  readonly count: number;
  /** From the leaf upwards. */
  readonly siblings: readonly Uint8Array[];
}

/** Enough for 2³² entries. */
export const maxSealedSiblings = 32;

const kinds = ['bound', 'decided', 'output'] as const;
const hashBytes = 32;

/** @returns 32 bytes. */
export const sealedLeafHash = ({ kind, name, txid, body }: SealedLeaf): Uint8Array =>
  labelledHash('safe/v1/sealed/leaf', Uint8Array.of(kinds.indexOf(kind)), name, txid, body);

/** @returns 32 bytes: the root of these leaves in this order. */
export function sealedRootOf(leaves: readonly Uint8Array[]): Uint8Array {
  const top = layersOf(leaves).at(-1)?.[0] ?? new Uint8Array(hashBytes);
  return rootHash(top, leaves.length);
}

/** Hashes beside a run of neighbouring leaves, from the leaves upwards: left before right. */
export function sealedRanges(
  leaves: readonly Uint8Array[],
  ranges: readonly { readonly start: number; readonly length: number }[],
): readonly (readonly Uint8Array[])[] {
  const layers = layersOf(leaves);
  return ranges.map(({ start, length }) => {
    const siblings: Uint8Array[] = [];
    let [low, high] = [start, start + length];
    for (const layer of length === 0 ? [] : layers.slice(0, -1)) {
      const left = low % 2 === 1 ? layer[low - 1] : undefined;
      const right = high % 2 === 1 ? layer[high] : undefined;
      if (left !== undefined) siblings.push(left);
      if (right !== undefined) siblings.push(right);
      low >>= 1;
      high = (high + 1) >> 1;
    }
    return siblings;
  });
}

/**
 * What `sealedRanges` gives for the part of a run that begins at `from`, out of the run's own leaves
 * and siblings: whoever holds one page of a list can prove any later part of it.
 */
export function siblingsFrom(
  from: number,
  start: number,
  count: number,
  leaves: readonly Uint8Array[],
  siblings: readonly Uint8Array[],
): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  let used = 0;
  let row = [...leaves];
  let [low, at] = [start, from];
  for (let width = count; width > 1; width = (width + 1) >> 1) {
    if (low % 2 === 1) {
      row = [siblings[used++] ?? new Uint8Array(hashBytes), ...row];
      low -= 1;
    }
    const left = at % 2 === 1 ? row[at - 1 - low] : undefined;
    if (left !== undefined) found.push(left);
    if (row.length % 2 === 1 && low + row.length < width) {
      const right = siblings[used++] ?? new Uint8Array(hashBytes);
      row = [...row, right];
      found.push(right);
    }
    row = pairsOf(row);
    low >>= 1;
    at >>= 1;
  }
  return found;
}

/** Of a run that is proven: the siblings of each leaf alone, up to the root. */
export function pathsInRange(
  start: number,
  count: number,
  leaves: readonly Uint8Array[],
  siblings: readonly Uint8Array[],
): readonly (readonly Uint8Array[])[] {
  const paths = leaves.map((): Uint8Array[] => []);
  let used = 0;
  let row = [...leaves];
  let low = start;
  for (let [width, depth] = [count, 0]; width > 1; width = (width + 1) >> 1, depth++) {
    const left = low % 2 === 1 ? siblings[used++] : undefined;
    if (left !== undefined) {
      row = [left, ...row];
      low -= 1;
    }
    const right = row.length % 2 === 1 && low + row.length < width ? siblings[used++] : undefined;
    if (right !== undefined) row = [...row, right];
    for (const [at, path] of paths.entries()) {
      const beside = row[(((start + at) >> depth) ^ 1) - low];
      if (beside !== undefined) path.push(beside);
    }
    row = pairsOf(row);
    low >>= 1;
  }
  return paths;
}

/** Are these the leaves from `start` on, of `count` in all, under this root? */
export function verifyRange(
  root: Uint8Array,
  start: number,
  count: number,
  leaves: readonly Uint8Array[],
  siblings: readonly Uint8Array[],
): boolean {
  if (siblings.length > 2 * maxSealedSiblings || start + leaves.length > count) return false;
  if (leaves.length === 0) {
    const isEmpty = count === 0 && start === 0 && siblings.length === 0;
    return isEmpty && equalBytes(rootHash(new Uint8Array(hashBytes), 0), root);
  }
  let used = 0;
  let row = [...leaves];
  let low = start;
  for (let width = count; width > 1; width = (width + 1) >> 1) {
    if (low % 2 === 1) {
      const left = siblings[used++];
      if (left === undefined) return false;
      row = [left, ...row];
      low -= 1;
    }
    if (row.length % 2 === 1 && low + row.length < width) {
      const right = siblings[used++];
      if (right === undefined) return false;
      row = [...row, right];
    }
    row = pairsOf(row);
    low >>= 1;
  }
  const [top] = row;
  return (
    row.length === 1 &&
    top !== undefined &&
    used === siblings.length &&
    equalBytes(rootHash(top, count), root)
  );
}

/** N34: was this slot bound to, or decided by, this transaction when the epoch was sealed? */
export function verifySealed(
  sealedRoot: Uint8Array,
  slot: Uint8Array,
  txid: Uint8Array,
  path: SealedPath,
): boolean {
  const { kind, body, index, count, siblings } = path;
  if (index >= count || siblings.length > maxSealedSiblings) return false;
  let hash = sealedLeafHash({ kind, name: slot, txid, body });
  let used = 0;
  for (let at = index, width = count; width > 1; at >>= 1, width = (width + 1) >> 1) {
    if ((at ^ 1) >= width) continue; // The odd one out rises unchanged.
    const sibling = siblings[used++];
    if (sibling === undefined) return false;
    hash = at % 2 === 0 ? nodeHash(hash, sibling) : nodeHash(sibling, hash);
  }
  return used === siblings.length && equalBytes(rootHash(hash, count), sealedRoot);
}

function layersOf(leaves: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const layers: (readonly Uint8Array[])[] = [leaves];
  for (let layer = leaves; layer.length > 1;) {
    layer = pairsOf(layer);
    layers.push(layer);
  }
  return layers;
}

/** The layer above: the odd one out rises unchanged. */
function pairsOf(layer: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let at = 0; at < layer.length; at += 2) {
    const left = layer[at];
    const right = layer[at + 1];
    assert(left !== undefined, 'a layer has no holes');
    above.push(right === undefined ? left : nodeHash(left, right));
  }
  return above;
}

const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/sealed/node', left, right);

const rootHash = (top: Uint8Array, count: number): Uint8Array =>
  labelledHash('safe/v1/sealed/root', top, new Writer().u32(count).finish());

export function writeSealedPath(writer: Writer, path: SealedPath): Writer {
  writer
    .u8(kinds.indexOf(path.kind))
    .fixed(path.body, hashBytes)
    .u32(path.index)
    .u32(path.count)
    .u8(path.siblings.length);
  for (const sibling of path.siblings) writer.fixed(sibling, hashBytes);
  return writer;
}

/** @returns undefined when a number is out of range; whether the reader failed says `finish`. */
export function readSealedPath(reader: Reader): SealedPath | undefined {
  const kind = kinds[reader.u8()];
  const body = reader.fixed(hashBytes);
  const index = reader.u32();
  const count = reader.u32();
  const height = reader.u8();
  if ((kind !== 'bound' && kind !== 'decided') || height > maxSealedSiblings) return undefined;
  const siblings = Array.from({ length: height }, () => reader.fixed(hashBytes));
  return { kind, body, index, count, siblings };
}
