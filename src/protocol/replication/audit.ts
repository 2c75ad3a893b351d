/**
 * N42: an elder that has no copy itself asks all holders of a name to hash it with one nonce, and
 * pulls the chunk only when they disagree. Values in, values out: the role sends and fetches.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { challengeOf, openItem, proofOf, type Item } from './items.ts';

export interface Audit {
  readonly item: Item;
  readonly nonce: Uint8Array;
  /** Who has to have it, closest first. */
  readonly holders: readonly NodeId[];
  /** Only an elder's own questions: `null` is "I lack it", silence has no entry. */
  readonly proofs: ReadonlyMap<NodeId, Uint8Array | null>;
}

export type AuditVerdict =
  /** All that answered say the same and at least two did; the silent ones are named. */
  | {
      readonly kind: 'agreed';
      readonly silent: readonly NodeId[];
      readonly lacking: readonly NodeId[];
    }
  /** Pull the chunk, from these in this order, and ask {@link settleAudit}. */
  | { readonly kind: 'disputed'; readonly from: readonly NodeId[] }
  /** Nobody has it any more, or nobody answers. */
  | { readonly kind: 'unanswered' };

export const startAudit = (item: Item, holders: readonly NodeId[], nonce: Uint8Array): Audit => ({
  item,
  nonce,
  holders,
  proofs: new Map(),
});

/** Takes in a `confirmed` (its signature verified) or a `lacking`; each holder counts once. */
export function withProof(audit: Audit, from: NodeId, proof: Uint8Array | null): Audit {
  if (!audit.holders.includes(from) || audit.proofs.has(from)) return audit;
  return { ...audit, proofs: new Map(audit.proofs).set(from, proof) };
}

/** When all have answered or the elder's patience is over. */
export function auditVerdict(audit: Audit): AuditVerdict {
  const given = [...audit.proofs].flatMap(([id, proof]) => (proof === null ? [] : [{ id, proof }]));
  const [first] = given;
  if (first === undefined) return { kind: 'unanswered' };
  // One answer alone agrees with nobody: it is checked by pulling.
  if (given.length < 2 || given.some(({ proof }) => !equalBytes(proof, first.proof))) {
    return { kind: 'disputed', from: given.map(({ id }) => id) };
  }
  return {
    kind: 'agreed',
    silent: audit.holders.filter((id) => !audit.proofs.has(id)),
    lacking: audit.holders.filter((id) => audit.proofs.get(id) === null),
  };
}

/**
 * @param bytes what a holder gave.
 * @returns `undefined` when they are not the chunk (that holder lied: ask the next), else the
 *   holders whose proof does not fit it.
 */
export function settleAudit(
  networkId: Uint8Array,
  elder: Uint8Array,
  audit: Audit,
  bytes: Uint8Array,
): readonly NodeId[] | undefined {
  if (openItem(networkId, audit.item, bytes) === undefined) return undefined;
  const challenge = challengeOf(networkId, elder, audit.nonce);
  const expected = proofOf(challenge, audit.item.kind, bytes);
  return [...audit.proofs].flatMap(([id, proof]) =>
    proof !== null && !equalBytes(proof, expected) ? [id] : [],
  );
}
