/**
 * Requests between nodes: the data protocol (elder to adult), address exchange, and `deliver`, which
 * carries the message of a machine with the name of its protocol.
 */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  listOf,
  oneOf,
  record,
  union,
  type ShapeOf,
} from '#core/codec/shape.ts';
import { refusalShape } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import { maxChunkBytes, maxPointerBytes, stateRefShape } from './client.ts';

const name = bytesOf(32);

/** One machine message in its envelope. A dealing with seven encrypted shares takes a few kB. */
export const maxSectionMessageBytes = 512 * 1024;

/** Address records in one greeting and in its reply; typical records take 40 KiB in all. */
export const maxRecordsPerRequest = 16;
export const maxRecordsPerReply = 64;
/** Names whose addresses one greeting may request. */
export const maxNamesRequested = 32;
const addressRecord = bytesUpTo(4096);
/** CBOR items of a full greeting or its reply, with a margin. */
const maxItems = 128;

export const nodeRequestShape = union({
  /** `stateRef`: reference of the sealed state by which the elder chose the holder (N41). */
  storeChunk: record({ stateRef: stateRefShape, name, bytes: bytesUpTo(maxChunkBytes) }),
  fetchChunk: record({ stateRef: stateRefShape, name }),
  storePointer: record({ stateRef: stateRefShape, record: bytesUpTo(maxPointerBytes) }),
  fetchPointer: record({ stateRef: stateRefShape, address: name }),
  /** One message of one machine. `accepted` confirms the receipt; the machine answers by messages of its own. */
  deliver: record({
    protocol: oneOf('genesis', 'section', 'replication'),
    message: bytesUpTo(maxSectionMessageBytes),
  }),
  /** The sender's own address record and others it knows (N28). Answered by `addresses`. */
  exchangeAddresses: record({
    records: listOf(addressRecord, maxRecordsPerRequest),
    /** Names without a usable address: their records come first in the reply. */
    wanted: listOf(name, maxNamesRequested),
  }),
});
export type NodeRequest = ShapeOf<typeof nodeRequestShape>;

export const nodeReplyShape = union({
  /** The holder's signature that it stored these bytes (see data/storage-receipt.ts). */
  receipt: record({ signature: bytesOf(64) }),
  chunk: record({ bytes: bytesUpTo(maxChunkBytes) }),
  pointer: record({ record: bytesUpTo(maxPointerBytes) }),
  accepted: record({}),
  addresses: record({ records: listOf(addressRecord, maxRecordsPerReply) }),
  refused: record({ refusal: refusalShape }),
});
export type NodeReply = ShapeOf<typeof nodeReplyShape>;

export const encodeNodeRequest = (request: NodeRequest): Uint8Array => encodeCbor(request);
export const encodeNodeReply = (reply: NodeReply): Uint8Array => encodeCbor(reply);

export function decodeNodeRequest(bytes: Uint8Array): Result<NodeRequest, 'malformed'> {
  const decoded = decodeCbor(bytes, maxItems);
  if (!decoded.ok) return decoded;
  const request = nodeRequestShape(decoded.value);
  return request === undefined ? err('malformed') : ok(request);
}

export function decodeNodeReply(bytes: Uint8Array): Result<NodeReply, 'malformed'> {
  const decoded = decodeCbor(bytes, maxItems);
  if (!decoded.ok) return decoded;
  const reply = nodeReplyShape(decoded.value);
  return reply === undefined ? err('malformed') : ok(reply);
}
