/** The list of members in bytes: inside every authority, and as a hash in successor records. */
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

/** 32 bytes: what a successor record says about the members of the final generation. */
export const membersRoot = (members: readonly SectionMember[]): Uint8Array =>
  labelledHash('safe/v1/members', writeMembers(new Writer(), members).finish());

/** N37: where a member's data lie: decided by the chance of its admission, not by its name. */
export const placementOf = (name: Uint8Array, churnId: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/placement', name, churnId);
