/** N41: by which sealed state a light client judges storage receipts, and who may have signed them. */
import { nameToId } from '#address/xor-name.ts';
import { judgeStamp, type ReceiptStamp } from '#data/receipt.ts';
import { stampOf } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { adultsOf } from '../placement.ts';

export type StampedSigners =
  | { readonly kind: 'known'; readonly signers: ReadonlySet<string> }
  /** The holders stored it under a newer state than we know: ask for it, then look again. */
  | { readonly kind: 'behind' }
  /** Under another key, or an older state than the one we asked by: no receipts. */
  | { readonly kind: 'outdated' };

/**
 * Elders are the same for the life of a key, so an adult of the newest state that had joined by
 * the stamp's generation was an adult then: no older state has to be kept to judge receipts.
 * @param authority the newest verified state of the section that answers for the name
 * @param asked the stamp of the state by which the request was made
 * @param told the stamp that the answer names
 */
export function signersUnder(
  authority: Pick<SectionAuthority, 'key' | 'generation' | 'elders' | 'members'>,
  asked: ReceiptStamp,
  told: ReceiptStamp,
): StampedSigners {
  if (judgeStamp(asked, told) === 'outdated') return { kind: 'outdated' };
  const verdict = judgeStamp(stampOf(authority), told);
  if (verdict === 'otherKey') return { kind: 'outdated' };
  if (verdict === 'newer') return { kind: 'behind' };
  const joined = new Map(authority.members.map((each) => [nameToId(each.name), each.joined]));
  const signers = adultsOf(authority)
    .map(nameToId)
    .filter((id) => (joined.get(id) ?? told.generation + 1n) <= told.generation);
  return { kind: 'known', signers: new Set(signers) };
}
