/** N41: which adults may sign the storage receipts of an answer, by the newest verified state. */
import { nameToId } from '#address/xor-name.ts';
import { checkStateRef, type StateRef } from '#data/storage-receipt.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { adultNamesOf } from '../holder-candidates.ts';

export type ReceiptSigners =
  | { readonly kind: 'known'; readonly signers: ReadonlySet<string> }
  /** The holders stored it under a newer state than we know: fetch that state, then check again. */
  | { readonly kind: 'behind' }
  /** Under another key, or a state older than the request's: no receipts. */
  | { readonly kind: 'outdated' };

/**
 * A key's elders never change, so an adult of the newest state that had joined by the answer's
 * generation was an adult then: no older state is needed to check receipts.
 * @param authority the newest verified state of the section responsible for the name
 * @param requestState the state under which the request was made
 * @param answerState the state that the answer names
 */
export function receiptSignersFor(
  authority: Pick<SectionAuthority, 'key' | 'generation' | 'elders' | 'members'>,
  requestState: StateRef,
  answerState: StateRef,
): ReceiptSigners {
  if (checkStateRef(requestState, answerState) === 'outdated') return { kind: 'outdated' };
  const verdict = checkStateRef(stateRefOf(authority), answerState);
  if (verdict === 'otherKey') return { kind: 'outdated' };
  if (verdict === 'newer') return { kind: 'behind' };
  const joined = new Map(authority.members.map((each) => [nameToId(each.name), each.joined]));
  const signers = adultNamesOf(authority)
    .map(nameToId)
    .filter((id) => (joined.get(id) ?? answerState.generation + 1n) <= answerState.generation);
  return { kind: 'known', signers: new Set(signers) };
}
