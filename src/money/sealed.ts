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

/** The path of every leaf that `wanted` names; the layers are hashed once for all of them. */
export function sealedPaths(
  leaves: readonly SealedLeaf[],
  wanted: (leaf: SealedLeaf) => boolean,
): readonly { readonly leaf: SealedLeaf; readonly path: SealedPath }[] {
  const layers = layersOf(leaves.map(sealedLeafHash));
  return leaves.flatMap((leaf, index) => {
    const { kind, body } = leaf;
    if (kind === 'output' || !wanted(leaf)) return [];
    const siblings: Uint8Array[] = [];
    for (let depth = 0, at = index; depth < layers.length - 1; depth++, at >>= 1) {
      const sibling = layers[depth]?.[at ^ 1];
      if (sibling !== undefined) siblings.push(sibling);
    }
    return [{ leaf, path: { kind, body, index, count: leaves.length, siblings } }];
  });
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
    const above: Uint8Array[] = [];
    for (let at = 0; at < layer.length; at += 2) {
      const left = layer[at];
      const right = layer[at + 1];
      assert(left !== undefined, 'a layer has no holes');
      above.push(right === undefined ? left : nodeHash(left, right));
    }
    layers.push(above);
    layer = above;
  }
  return layers;
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
