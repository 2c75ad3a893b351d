/** The distinct proofs of a wallet's coins, each written once. */
import { assert } from '#core/assert.ts';
import { compareBytes, toHex, Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  encodeCommitted,
  type CommittedTransaction,
  type InputSource,
} from '#money/spend-certificate.ts';

interface EncodedProof {
  /** Equal for equal proofs. */
  readonly text: string;
  readonly bytes: Uint8Array;
}

interface ProvenCoin {
  readonly source: InputSource | null;
}

export interface ProofTable {
  readonly list: readonly Uint8Array[];
  readonly proofIndexOf: (source: CommittedTransaction) => number;
}

/** Coins of one transaction, and successive wallets, share these objects: few are encoded. */
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

/** By text. */
export function proofsOf(coins: Iterable<ProvenCoin>): ReadonlyMap<string, Uint8Array> {
  const proofs = new Map<string, Uint8Array>();
  for (const { source } of coins) {
    if (source?.kind !== 'committed') continue;
    const { text, bytes } = encodeProof(source);
    if (!proofs.has(text)) proofs.set(text, bytes);
  }
  return proofs;
}

/** Every distinct proof, sorted by bytes. */
export function proofTable(coins: Iterable<ProvenCoin>): ProofTable {
  const ordered = [...proofsOf(coins)].sort(([, a], [, b]) => compareBytes(a, b));
  const places = new Map(ordered.map(([text], index) => [text, index]));
  return {
    list: ordered.map(([, bytes]) => bytes),
    proofIndexOf: (source) => {
      const index = places.get(encodeProof(source).text);
      assert(index !== undefined, 'every proof has its place');
      return index;
    },
  };
}
