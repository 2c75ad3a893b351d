/**
 * The client protocol: requests of a light client to an elder (or the bootstrap node), and the
 * replies. Payloads of the money and section protocols travel as bytes and are decoded by their own
 * codecs; this codec checks only their sizes and names.
 */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bool,
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  record,
  textUpTo,
  u64,
  union,
  type ShapeOf,
} from '#core/codec/shape.ts';
import { maxAuthorityBytes } from '#protocol/section/index.ts';
import { refusalShape } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';

/** An encrypted piece: 1 MiB of plaintext and its 16-byte authentication tag. */
export const maxChunkBytes = 1024 * 1024 + 16;
/** A pointer record: 64 KiB of ciphertext and its fixed fields. */
export const maxPointerBytes = 64 * 1024 + 512;
/** A transaction of 8 inputs and 16 outputs with the proofs of its inputs. */
export const maxMoneyMessageBytes = 128 * 1024;
/** One registered output with its transaction and the certificates of eight inputs. */
export const maxOutputEntryBytes = 16 * 1024;
/** One page of the list of registered outputs: a frame of the largest entries. */
export const maxOutputsPerPage = 64;
/** The largest request: a chunk, with 256 bytes for its name and CBOR tags. */
export const maxInnerRequestBytes = maxChunkBytes + 256;
/** Holders in one reply, at most. */
export const maxHolders = 7;

/** CBOR items of the longest request, a read that avoids seven holders, with a margin. */
const maxRequestItems = 64;
/** CBOR items of the longest reply: a page of outputs, or the receipts of seven holders. */
const maxReplyItems = 256;

const name = bytesOf(32);
const signature = bytesOf(64);

export const clientRequestShape = union({
  /** Asks for the node's name, role and network. */
  hello: record({}),
  /** The newest signed section authority, from genesis on. */
  authority: record({}),
  /** Node-signed address records of the elders. */
  addresses: record({}),
  putChunk: record({ name, bytes: bytesUpTo(maxChunkBytes) }),
  /** `avoid`: holders that answered wrongly or did not answer. */
  getChunk: record({ name, avoid: listOf(name, maxHolders) }),
  putPointer: record({ record: bytesUpTo(maxPointerBytes) }),
  getPointer: record({ address: name }),
  /** PREPARE, COMMIT, RECOVER and PROVE of one spentbook slot (protocol/spentbook). */
  slot: record({ slot: name, message: bytesUpTo(maxMoneyMessageBytes) }),
  /** REGISTER of one output (protocol/mint). */
  output: record({ key: name, message: bytesUpTo(maxMoneyMessageBytes) }),
  /** A page of this elder's registered outputs, oldest first, after a position. */
  outputs: record({ after: intBetween(0, 2 ** 48), limit: intBetween(1, maxOutputsPerPage) }),
});

export type ClientRequest = ShapeOf<typeof clientRequestShape>;

export const routingRequestShape = union({
  /**
   * The chain from this key to the section of this name: a page of links, with the authority if the
   * page reaches it. Answered by `proof`.
   */
  section: record({ name, from: bytesOf(96) }),
  /**
   * A request made under this key, with the generation the client knows (N30, N41). If the key is
   * another, or the name belongs to another section, the refusal is `retry` or `redirect` with a proof.
   */
  routed: record({ key: bytesOf(96), generation: u64, request: bytesUpTo(maxInnerRequestBytes) }),
});

/** Requests that the handler itself evaluates before any elder logic. */
export type RoutingRequest = ShapeOf<typeof routingRequestShape>;

const receipt = record({ holder: name, signature });
/** State reference: hash of the section key, and generation (N41). */
export const stateRefShape = record({ keyHash: bytesOf(32), generation: u64 });

export const clientReplyShape = union({
  hello: record({
    networkId: bytesOf(32),
    name,
    role: textUpTo(16),
    protocol: intBetween(0, 255),
    serving: bool,
  }),
  authority: record({ authority: bytesUpTo(maxAuthorityBytes) }),
  /** A section proof (protocol/anti-entropy, `decodeProof`). */
  proof: record({
    proof: bytesUpTo(maxAuthorityBytes),
    /** Address records of the elders of the section it ends at, as far as the node knows them. */
    records: listOf(bytesUpTo(4096), 16),
  }),
  addresses: record({ records: listOf(bytesUpTo(4096), 16) }),
  /** Receipts of the holders over this state reference (data/storage-receipt.ts). */
  stored: record({ stateRef: stateRefShape, receipts: listOf(receipt, maxHolders) }),
  chunk: record({ bytes: bytesUpTo(maxChunkBytes), holder: name }),
  /** Receipts of the holders that store this version of a pointer record. */
  pointerStored: record({ stateRef: stateRefShape, receipts: listOf(receipt, maxHolders) }),
  pointers: record({
    copies: listOf(
      record({ holder: name, record: nullable(bytesUpTo(maxPointerBytes)) }),
      maxHolders,
    ),
  }),
  money: record({ message: bytesUpTo(maxMoneyMessageBytes) }),
  outputs: record({
    entries: listOf(bytesUpTo(maxOutputEntryBytes), maxOutputsPerPage),
    /** Position after the last entry of this page. */
    next: intBetween(0, 2 ** 48),
    more: bool,
  }),
  refused: record({ refusal: refusalShape }),
});

export type ClientReply = ShapeOf<typeof clientReplyShape>;

export const encodeClientRequest = (request: ClientRequest): Uint8Array => encodeCbor(request);
export const encodeRoutingRequest = (request: RoutingRequest): Uint8Array => encodeCbor(request);
export const encodeClientReply = (reply: ClientReply): Uint8Array => encodeCbor(reply);

export function decodeClientRequest(bytes: Uint8Array): Result<ClientRequest, 'malformed'> {
  const decoded = decodeCbor(bytes, maxRequestItems);
  if (!decoded.ok) return decoded;
  const request = clientRequestShape(decoded.value);
  return request === undefined ? err('malformed') : ok(request);
}

/** Any request a client may send. */
export function decodeIncomingRequest(
  bytes: Uint8Array,
): Result<ClientRequest | RoutingRequest, 'malformed'> {
  const decoded = decodeCbor(bytes, maxRequestItems);
  if (!decoded.ok) return decoded;
  const request = clientRequestShape(decoded.value) ?? routingRequestShape(decoded.value);
  return request === undefined ? err('malformed') : ok(request);
}

export function decodeClientReply(bytes: Uint8Array): Result<ClientReply, 'malformed'> {
  const decoded = decodeCbor(bytes, maxReplyItems);
  if (!decoded.ok) return decoded;
  const reply = clientReplyShape(decoded.value);
  return reply === undefined ? err('malformed') : ok(reply);
}

/** The name whose section must answer the request; null when any elder may. */
export function requestTarget(request: ClientRequest): Uint8Array | null {
  switch (request.kind) {
    case 'putChunk':
    case 'getChunk':
      return request.name;
    case 'getPointer':
      return request.address;
    case 'slot':
      return request.slot;
    case 'output':
      return request.key;
    case 'hello':
    case 'authority':
    case 'addresses':
    case 'outputs':
    case 'putPointer': // Its address follows from the record, which is decoded later.
      return null;
  }
}
