/** What the proofs inside acts sign: one fixed layout each, labelled and bound to the network. */
import type { XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { Writer } from '#core/codec/bytes.ts';
import type { DealingKeys } from '#crypto/dealing/dealing-suite.ts';
import {
  type Charter,
  type DkgSession,
  type RelocationDetails,
  type SectionState,
  charterHash,
  relocationId,
} from '#protocol/section/index.ts';

/** What a session's children inherit; a {@link SectionState} is one. */
export interface ParentState {
  readonly authority: Pick<SectionState['authority'], 'networkId' | 'epoch'>;
}

/**
 * The charter (the elder set of one key) of a child (N24, N28): all but the key follows from the
 * session. @param child 0, or 1 in a split.
 */
export function charterFor(
  { authority }: ParentState,
  session: DkgSession,
  child: number,
  { key, publicShares }: DealingKeys,
): Charter {
  const planned = session.children[child];
  assert(planned !== undefined, 'a session has this child');
  const { networkId, epoch } = authority;
  const elders = planned.candidates.map((name, at) => {
    const publicShare = publicShares[at];
    assert(publicShare !== undefined, 'a share for each candidate');
    return { name, publicShare, index: at + 1 };
  });
  return { networkId, prefix: planned.prefix, key, epoch: epoch + 1n, elders };
}

/**
 * What a new key signs, purpose READY, and five candidates vouch for: for `DkgConfig.readyBytes`.
 * @param list 32 bytes: the hash of the dealings that made the key.
 */
export const readyBytes = (
  state: ParentState,
  session: DkgSession,
  child: number,
  list: Uint8Array,
  keys: DealingKeys,
): Uint8Array =>
  new Writer()
    .label('safe/v1/ready')
    .fixed(state.authority.networkId, 32)
    .fixed(session.id, 32)
    .u8(child)
    .fixed(list, 32)
    .fixed(charterHash(charterFor(state, session, child, keys)), 32)
    .finish();

/**
 * An elder signs its snapshot root after it stopped signing money.
 * @param state the final one: its generation is named. @param elder 1…7.
 */
export const snapshotBytes = (
  { authority }: SectionState,
  elder: number,
  root: Uint8Array,
): Uint8Array =>
  new Writer()
    .label('safe/v1/snapshot-root')
    .fixed(authority.networkId, 32)
    .fixed(authority.key, 96)
    .u64(authority.epoch)
    .u64(authority.generation)
    .u8(elder)
    .fixed(root, 32)
    .finish();

/** What the old name signs to take the new name (N38). */
export const renameBytes = (
  networkId: Uint8Array,
  relocation: RelocationDetails,
  newName: XorName,
): Uint8Array =>
  new Writer()
    .label('safe/v1/new-name')
    .fixed(networkId, 32)
    .fixed(relocationId(networkId, relocation), 32)
    .fixed(newName, 32)
    .finish();
