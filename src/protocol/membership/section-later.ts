/** Stand-ins until the section folder has them. */
import { Writer } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { Charter, Moving, SessionChild } from '#protocol/section/state.ts';

export const placementOf = (name: Uint8Array, churnId: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/placement', name, churnId);

export const ticketBytes = (networkId: Uint8Array, moving: Moving): Uint8Array =>
  new Writer()
    .label('safe/v1/ticket')
    .fixed(networkId, 32)
    .fixed(moving.name, 32)
    .u8(moving.age)
    .fixed(moving.destination, 32)
    .u64(moving.generation)
    .u8(moving.reason === 'reward' ? 0 : 1)
    .finish();

export const ticketId = (networkId: Uint8Array, moving: Moving): Uint8Array =>
  labelledHash('safe/v1/ticket-id', ticketBytes(networkId, moving));

export const charterHash = (charter: Charter): Uint8Array => {
  const writer = new Writer()
    .label('safe/v1/charter')
    .fixed(charter.networkId, 32)
    .u8(charter.prefix.bitCount)
    .fixed(charter.prefix.bits, 32)
    .fixed(charter.key, 96)
    .u64(charter.epoch);
  for (const { name, publicShare } of charter.elders) writer.fixed(name, 32).fixed(publicShare, 96);
  return labelledHash('safe/v1/charter-hash', writer.finish());
};

export const sessionIdOf = (
  networkId: Uint8Array,
  key: Uint8Array,
  epoch: bigint,
  plan: { readonly opened: bigint; readonly children: readonly SessionChild[] },
): Uint8Array => {
  const writer = new Writer().label('safe/v1/s').fixed(networkId, 32).fixed(key, 96).u64(epoch);
  writer.u64(plan.opened).u8(plan.children.length);
  for (const { prefix, candidates } of plan.children) {
    writer.u8(prefix.bitCount).fixed(prefix.bits, 32);
    for (const name of candidates) writer.fixed(name, 32);
  }
  return labelledHash('safe/v1/session-id', writer.finish());
};
