/** The proofs of a wallet's coins as they are written: every different one once. */
import { assert } from '#core/assert.ts';
import { compareBytes, toHex, Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { encodeCommitted, type CommittedTransaction, type Source } from '#money/certificate.ts';

interface EncodedProof {
  /** Equal for equal proofs. */
  readonly text: string;
  readonly bytes: Uint8Array;
}

interface Proven {
  readonly source: Source | null;
}

export interface ProofTable {
  readonly list: readonly Uint8Array[];
  readonly placeOf: (source: CommittedTransaction) => number;
}

/** Coins of one transaction, and the wallets of every change, share these objects: few are encoded. */
const encoded = new WeakMap<
  CommittedTransaction['certificates'],
  WeakMap<Uint8Array, EncodedProof>
>();

function encodeProof({ transaction, certificates }: CommittedTransaction): EncodedProof {
  const known = encoded.get(certificates) ?? new WeakMap<Uint8Array, EncodedProof>();
  encoded.set(certificates, known);
  const before = known.get(transaction);
  if (before !== undefined) return before;
  const bytes = encodeCommitted(new Writer(), { transaction, certificates }).finish();
  const proof = { text: toHex(labelledHash('safe/v1/wallet/proof', bytes)), bytes };
  known.set(transaction, proof);
  return proof;
}

export const sameProof = (a: CommittedTransaction, b: CommittedTransaction): boolean =>
  (a.transaction === b.transaction && a.certificates === b.certificates) ||
  encodeProof(a).text === encodeProof(b).text;

/** By their text. */
export function proofsOf(coins: Iterable<Proven>): ReadonlyMap<string, Uint8Array> {
  const proofs = new Map<string, Uint8Array>();
  for (const { source } of coins) {
    if (source?.kind !== 'committed') continue;
    const { text, bytes } = encodeProof(source);
    if (!proofs.has(text)) proofs.set(text, bytes);
  }
  return proofs;
}

/** Every different proof, in the order of their bytes. */
export function proofTable(coins: Iterable<Proven>): ProofTable {
  const ordered = [...proofsOf(coins)].sort(([, a], [, b]) => compareBytes(a, b));
  const places = new Map(ordered.map(([text], place) => [text, place]));
  return {
    list: ordered.map(([, bytes]) => bytes),
    placeOf: (source) => {
      const place = places.get(encodeProof(source).text);
      assert(place !== undefined, 'every proof has its place');
      return place;
    },
  };
}
