/** What the proofs inside acts sign: one fixed layout each, labelled and bound to the network. */
import type { XorName } from '#address/xor-name.ts';
import { Writer } from '#core/codec/bytes.ts';
import { type Moving, type SectionState } from '#protocol/section/index.ts';
import { charterHash, ticketId } from './section-later.ts';
import type { ReadyProof } from './acts.ts';

/** A new key's word on itself, purpose READY (N13, N26). @param child 0, or 1 in a split. */
export const readyBytes = (
  sessionId: Uint8Array,
  child: number,
  { listHash, charter }: Pick<ReadyProof, 'listHash' | 'charter'>,
): Uint8Array =>
  new Writer()
    .label('safe/v1/ready')
    .fixed(charter.networkId, 32)
    .fixed(sessionId, 32)
    .u8(child)
    .fixed(listHash, 32)
    .fixed(charterHash(charter), 32)
    .finish();

/**
 * An elder's word on what it held when it stopped signing.
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

/** The old name's word that the new name is the same node's (N38). */
export const newNameBytes = (networkId: Uint8Array, moving: Moving, newName: XorName): Uint8Array =>
  new Writer()
    .label('safe/v1/new-name')
    .fixed(networkId, 32)
    .fixed(ticketId(networkId, moving), 32)
    .fixed(newName, 32)
    .finish();
