/**
 * Between nodes: the data protocol (an elder asks an adult) and the section protocol (machines'
 * messages, each wrapped with the name of the protocol it belongs to).
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
import { maxChunkBytes, maxPointerBytes, stampShape } from './client.ts';

const name = bytesOf(32);

/** A dealing with its commitments and seven sealed shares is a few kB; leave room for issue B's. */
export const maxSectionMessageBytes = 512 * 1024;

/** Address records in one greeting, and in the answer to it: 40 KiB of usual records. */
export const maxRecordsGiven = 16;
export const maxRecordsTold = 64;
/** Names whose addresses are asked for at once. */
export const maxNamesWanted = 32;
const addressRecord = bytesUpTo(4096);
/** CBOR items of a greeting that is full, or its answer, with room to spare. */
const maxItems = 128;

export const nodeRequestShape = union({
  /** `stamp`: the sealed state by which the asker chose the holder (N41). */
  storeChunk: record({ stamp: stampShape, name, bytes: bytesUpTo(maxChunkBytes) }),
  fetchChunk: record({ stamp: stampShape, name }),
  storePointer: record({ stamp: stampShape, record: bytesUpTo(maxPointerBytes) }),
  fetchPointer: record({ stamp: stampShape, address: name }),
  /** One message of one machine; answered by `taken`, its effects come as messages of their own. */
  deliver: record({
    protocol: oneOf('genesis', 'section', 'replication'),
    message: bytesUpTo(maxSectionMessageBytes),
  }),
  /** "I am here": the asker's own address record and some it knows (N28). Answered by `known`. */
  greet: record({
    records: listOf(addressRecord, maxRecordsGiven),
    /** Names the asker cannot dial: their records come first in the answer. */
    wanted: listOf(name, maxNamesWanted),
  }),
});
export type NodeRequest = ShapeOf<typeof nodeRequestShape>;

export const nodeReplyShape = union({
  /** The holder's signature that it stored these bytes (see data/receipt.ts). */
  receipt: record({ signature: bytesOf(64) }),
  chunk: record({ bytes: bytesUpTo(maxChunkBytes) }),
  pointer: record({ record: bytesUpTo(maxPointerBytes) }),
  taken: record({}),
  known: record({ records: listOf(addressRecord, maxRecordsTold) }),
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
