/** The Safe's index on the network: in its pointer record, or in chunks named there. */
import { fromHex } from '#core/codec/bytes.ts';
import { assert } from '#core/assert.ts';
import { decodeVerifiedPointer, pointerAddress, type PointerRecord } from '#data/pointer-record.ts';
import { pieceRange, pieceCount } from '#data/self-encryption.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { decryptPiece, encryptPiece } from '#runtime/jobs/encrypt-pieces.ts';
import { fitsInline, type IndexLocation } from '#safe/index/index-envelope.ts';
import { decodeIndex, type SafeIndex } from '#safe/index/index-set.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { VaultFailure } from '../failure.ts';
import type { VaultPorts } from '../ports.ts';
import { RpcFailure, type WorkerRpc } from '../network/worker-rpc.ts';

export function pinnedNetworkId(network: PinnedNetwork): Uint8Array {
  const id = fromHex(network.networkId);
  assert(id.ok && id.value.length === 32, 'a pinned network has an id of 32 bytes');
  return id.value;
}

/** @returns the newest record of this owner, checked; `null` when the network has none. */
export async function fetchRecord(
  rpc: WorkerRpc,
  networkId: Uint8Array,
  owner: Uint8Array,
): Promise<PointerRecord | null> {
  const address = pointerAddress(networkId, owner);
  const bytes = await rpc('pointer/get', { address }).catch((error: unknown) => {
    if (error instanceof RpcFailure && error.kind === 'notFound') return null;
    throw error;
  });
  if (bytes === null) return null;
  const opened = decodeVerifiedPointer(networkId, address, bytes);
  if (opened.ok) return opened.value;
  throw damaged('The network gave a record of your Safe that you never signed.');
}

/** Reads the index at its location, from chunks when it is too large for the record. */
export async function readIndex(rpc: WorkerRpc, location: IndexLocation): Promise<SafeIndex> {
  const bytes = location.kind === 'inline' ? location.index : await readChunks(rpc, location);
  const index = decodeIndex(bytes);
  if (index.ok) return index.value;
  throw damaged('The list of what is in your Safe cannot be read by this version of the app.');
}

/** Stores a large index as chunks under a new secret; a small one stays in the record. */
export async function storeIndex(
  ports: Pick<VaultPorts, 'randomBytes'>,
  rpc: WorkerRpc,
  index: Uint8Array,
): Promise<IndexLocation> {
  if (fitsInline(index)) return { kind: 'inline', index };
  const secret = ports.randomBytes(32);
  const pieces = Array.from({ length: pieceCount(index.length) }, (_, i) => {
    const { from, to } = pieceRange(index.length, i);
    return index.slice(from, to);
  });
  const plainHashes = await Promise.all(pieces.map(sha256Fast));
  const entries = [];
  for (const [i, plainHash] of plainHashes.entries()) {
    const sealed = await encryptPiece(secret, plainHashes, i, pieces[i] ?? new Uint8Array());
    assert(sealed.ok, 'the index does not change while it is sealed');
    await rpc('chunk/put', sealed.value.bytes);
    entries.push({ plainHash, chunkName: sealed.value.name });
  }
  return { kind: 'chunks', secret, map: { size: index.length, entries } };
}

async function readChunks(
  rpc: WorkerRpc,
  { secret, map }: Extract<IndexLocation, { kind: 'chunks' }>,
): Promise<Uint8Array> {
  const whole = new Uint8Array(map.size);
  for (const [i, { chunkName }] of map.entries.entries()) {
    const piece = await decryptPiece(secret, map, i, await rpc('chunk/get', { name: chunkName }));
    if (!piece.ok) throw damaged('A piece of the list of what is in your Safe was altered.');
    whole.set(piece.value, pieceRange(map.size, i).from);
  }
  return whole;
}

const damaged = (what: string): VaultFailure =>
  new VaultFailure('networkRefused', `${what} Nothing was changed; try again later.`);
