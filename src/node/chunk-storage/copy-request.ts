/** Asks a holder for its copy of an item. */
import type { StateRef } from '#data/storage-receipt.ts';
import type { Item } from '#protocol/replication/index.ts';
import type { NodeReply, NodeRequest } from '#roles/wire/node-requests.ts';

export type ItemRef = Pick<Item, 'kind' | 'name'>;

export const copyRequest = ({ kind, name }: ItemRef, stateRef: StateRef): NodeRequest =>
  kind === 'chunk'
    ? { kind: 'fetchChunk', stateRef, name }
    : { kind: 'fetchPointer', stateRef, address: name };

/** The bytes in a holder's reply; null when it has none. */
export function copyIn(reply: NodeReply): Uint8Array | null {
  if (reply.kind === 'chunk') return reply.bytes;
  return reply.kind === 'pointer' ? reply.record : null;
}
