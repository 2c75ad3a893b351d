/**
 * Inclusion proofs in the sealed root of an epoch: a Merkle root over every entry its section had
 * written at the freeze. After that, a certificate of that epoch needs such a proof (N34).
 */
import { assert } from '#core/assert.ts';
import { Writer, equalBytes, type Reader } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';

/** `bound`: the next epoch may only write this transaction. `decided`: it is final. */
export type LeafKind = 'bound' | 'decided' | 'output';

/** One leaf: this name maps to this transaction. */
export interface MerkleLeaf {
  readonly kind: LeafKind;
  /** 32 bytes: a slot, or the one-time key of an output. */
  readonly name: Uint8Array;
  readonly txid: Uint8Array;
  /** 32 bytes: hash of the whole entry, so that the root covers every byte of it. */
  readonly body: Uint8Array;
}

/** Proves that a sealed root contains a slot as bound or decided; the caller adds slot and txid. */
export interface InclusionProof {
  readonly kind: 'bound' | 'decided';
  readonly body: Uint8Array;
  /** Index of the leaf and number of leaves: together they fix the shape of the proof. */
  readonly index: number;
  readonly count: number;
  /** From the leaf upwards. */
  readonly siblings: readonly Uint8Array[];
}

/** Enough for 2³² entries. */
export const maxProofSiblings = 32;

const kinds = ['bound', 'decided', 'output'] as const;
const hashBytes = 32;

/** @returns 32 bytes. */
export const merkleLeafHash = ({ kind, name, txid, body }: MerkleLeaf): Uint8Array =>
  labelledHash('safe/v1/sealed/leaf', Uint8Array.of(kinds.indexOf(kind)), name, txid, body);

/** @returns 32 bytes: the root of these leaves in this order. */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const top = layersOf(leaves).at(-1)?.[0] ?? new Uint8Array(hashBytes);
  return rootHash(top, leaves.length);
}

/** The siblings of runs of adjacent leaves, from the leaves upwards, left before right. */
export function rangeProofs(
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
 * The `rangeProofs` siblings for the part of a run from `from` on, computed from the run's leaves
 * and siblings: with one page of a list, any later part of it can be proven.
 */
export function rangeProofFrom(
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
    row = parentLayer(row);
    low >>= 1;
    at >>= 1;
  }
  return found;
}

/** For each leaf of a proven run: its own siblings up to the root. */
export function proofPathsInRange(
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
    for (const [at, proof] of paths.entries()) {
      const sibling = row[(((start + at) >> depth) ^ 1) - low];
      if (sibling !== undefined) proof.push(sibling);
    }
    row = parentLayer(row);
    low >>= 1;
  }
  return paths;
}

/** Are these the leaves from `start` on, of `count` in all, under this root? */
export function verifyRangeProof(
  root: Uint8Array,
  start: number,
  count: number,
  leaves: readonly Uint8Array[],
  siblings: readonly Uint8Array[],
): boolean {
  if (siblings.length > 2 * maxProofSiblings || start + leaves.length > count) return false;
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
    row = parentLayer(row);
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
export function verifyInclusion(
  sealedRoot: Uint8Array,
  slot: Uint8Array,
  txid: Uint8Array,
  proof: InclusionProof,
): boolean {
  const { kind, body, index, count, siblings } = proof;
  if (index >= count || siblings.length > maxProofSiblings) return false;
  let hash = merkleLeafHash({ kind, name: slot, txid, body });
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
    layer = parentLayer(layer);
    layers.push(layer);
  }
  return layers;
}

/** The next layer; an unpaired last node moves up unchanged. */
function parentLayer(layer: readonly Uint8Array[]): Uint8Array[] {
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

export function writeInclusionProof(writer: Writer, proof: InclusionProof): Writer {
  writer
    .u8(kinds.indexOf(proof.kind))
    .fixed(proof.body, hashBytes)
    .u32(proof.index)
    .u32(proof.count)
    .u8(proof.siblings.length);
  for (const sibling of proof.siblings) writer.fixed(sibling, hashBytes);
  return writer;
}

/** @returns undefined when a number is out of range; `finish` reports a failed read. */
export function readInclusionProof(reader: Reader): InclusionProof | undefined {
  const kind = kinds[reader.u8()];
  const body = reader.fixed(hashBytes);
  const index = reader.u32();
  const count = reader.u32();
  const height = reader.u8();
  if ((kind !== 'bound' && kind !== 'decided') || height > maxProofSiblings) return undefined;
  const siblings = Array.from({ length: height }, () => reader.fixed(hashBytes));
  return { kind, body, index, count, siblings };
}
