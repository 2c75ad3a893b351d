/**
 * N42: an elder without a copy asks all holders of a name to hash it with one nonce, and pulls the
 * chunk only when their proofs differ. Pure functions: the role sends and fetches.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { challengeOf, openItem, possessionProof, type Item } from './items.ts';

export interface Audit {
  readonly item: Item;
  readonly nonce: Uint8Array;
  /** Nodes that must store the item, closest first. */
  readonly holders: readonly NodeId[];
  /** Answers to this elder's own challenge; `null` = the holder lacks it, no entry = no answer. */
  readonly proofs: ReadonlyMap<NodeId, Uint8Array | null>;
}

export type AuditVerdict =
  /** At least two proofs, all equal; `missing` and `unresponsive` list the other holders. */
  | {
      readonly kind: 'agreed';
      readonly unresponsive: readonly NodeId[];
      readonly missing: readonly NodeId[];
    }
  /** Pull the chunk from these in this order, then call {@link settleAudit}. */
  | { readonly kind: 'disputed'; readonly from: readonly NodeId[] }
  /** No holder sent a proof. */
  | { readonly kind: 'unanswered' };

export const startAudit = (item: Item, holders: readonly NodeId[], nonce: Uint8Array): Audit => ({
  item,
  nonce,
  holders,
  proofs: new Map(),
});

/** Adds a `confirmed` with verified signature, or a `missing`; each holder counts once. */
export function withProof(audit: Audit, from: NodeId, proof: Uint8Array | null): Audit {
  if (!audit.holders.includes(from) || audit.proofs.has(from)) return audit;
  return { ...audit, proofs: new Map(audit.proofs).set(from, proof) };
}

/** REPLICATION-A1. Call it when all holders answered or the elder's timeout is over. */
export function auditVerdict(audit: Audit): AuditVerdict {
  const given = [...audit.proofs].flatMap(([id, proof]) => (proof === null ? [] : [{ id, proof }]));
  const [first] = given;
  if (first === undefined) return { kind: 'unanswered' };
  // A single proof has nothing to be compared with: pull the chunk.
  if (given.length < 2 || given.some(({ proof }) => !equalBytes(proof, first.proof))) {
    return { kind: 'disputed', from: given.map(({ id }) => id) };
  }
  return {
    kind: 'agreed',
    unresponsive: audit.holders.filter((id) => !audit.proofs.has(id)),
    missing: audit.holders.filter((id) => audit.proofs.get(id) === null),
  };
}

/**
 * @param bytes received from a holder.
 * @returns `undefined` when they are not the chunk (that holder is faulty: try the next), else the
 *   holders whose proof does not match the chunk.
 */
export function settleAudit(
  networkId: Uint8Array,
  elder: Uint8Array,
  audit: Audit,
  bytes: Uint8Array,
): readonly NodeId[] | undefined {
  if (openItem(networkId, audit.item, bytes) === undefined) return undefined;
  const challenge = challengeOf(networkId, elder, audit.nonce);
  const expected = possessionProof(challenge, audit.item.kind, bytes);
  return [...audit.proofs].flatMap(([id, proof]) =>
    proof !== null && !equalBytes(proof, expected) ? [id] : [],
  );
}
