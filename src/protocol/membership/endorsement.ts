/** How an elder endorses an act: the only place where local observations enter (N7). */
import { Writer } from '#core/codec/bytes.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import type { SectionState } from '#protocol/section/index.ts';
import type { Act, ActBody, Endorsement } from './acts.ts';
import { actId } from './codec.ts';
import { isMember } from './state-queries.ts';

/**
 * What an elder signs. It names the generation to be decided, so an endorsement is void in the
 * next.
 * @param state the sealed state that the generation builds on.
 */
export const endorsementBytes = ({ authority }: SectionState, body: ActBody): Uint8Array =>
  new Writer()
    .label('safe/v1/endorsement')
    .fixed(authority.networkId, 32)
    .fixed(authority.key, 96)
    .u64(authority.epoch)
    .u64(authority.generation + 1n)
    .fixed(actId(body), 32)
    .finish();

/** @param elder 1…7: the signer's index. @param seed its identity's secret. */
export const endorse = (
  identity: IdentitySuite,
  state: SectionState,
  elder: number,
  seed: Uint8Array,
  body: ActBody,
): Endorsement => ({ elder, signature: identity.sign(seed, endorsementBytes(state, body)) });

/** MEMBERSHIP-B2: signed by an elder that is still a member. One ed25519 verification. */
export function verifyEndorsement(
  identity: IdentitySuite,
  state: SectionState,
  body: ActBody,
  { elder, signature }: Endorsement,
): boolean {
  const name = state.authority.elders[elder - 1]?.name;
  if (name === undefined || !isMember(state, name)) return false;
  return identity.verify(name, endorsementBytes(state, body), signature);
}

/** The act with these endorsements added: sorted, one per elder, the first one kept. */
export function withEndorsements(act: Act, more: readonly Endorsement[]): Act {
  const byElder = new Map<number, Endorsement>();
  for (const each of [...act.endorsements, ...more]) {
    if (!byElder.has(each.elder)) byElder.set(each.elder, each);
  }
  return {
    body: act.body,
    endorsements: [...byElder.values()].sort((a, b) => a.elder - b.elder),
  };
}
