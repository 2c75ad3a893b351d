/** The encoded list of members: in every authority, and as a hash in successor records. */
import { Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { SectionMember } from './state.ts';

export function writeMembers(writer: Writer, members: readonly SectionMember[]): Writer {
  writer.u32(members.length);
  for (const { name, joined, placement, sharingKey } of members) {
    writer.fixed(name, 32).u64(joined).fixed(placement, 32).fixed(sharingKey, 32);
  }
  return writer;
}

/** 32 bytes: the hash of the final generation's members in a successor record. */
export const membersRoot = (members: readonly SectionMember[]): Uint8Array =>
  labelledHash('safe/v1/members', writeMembers(new Writer(), members).finish());

/** N37: a member's placement depends on the random churn id of its admission, not on its name alone. */
export const placementOf = (name: Uint8Array, churnId: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/placement', name, churnId);
