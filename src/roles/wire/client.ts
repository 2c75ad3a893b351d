/**
 * The client protocol: what a light client may ask an elder (or the bootstrap node), and the
 * answers. Payloads of the money and section protocols travel as bytes and are opened by their own
 * codecs, so this door knows sizes and names and nothing else.
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
import { refusalShape } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';

/** A sealed piece: 1 MiB of plain bytes and the 16-byte tag of its cipher. */
export const maxChunkBytes = 1024 * 1024 + 16;
/** A pointer record: 64 KiB of ciphertext with its fixed fields (wire.md). */
export const maxPointerBytes = 64 * 1024 + 512;
/** A transaction of 8 inputs and 16 outputs with the proofs of its inputs. */
export const maxMoneyMessageBytes = 128 * 1024;
/** One registered output with its transaction and the certificates of eight inputs. */
export const maxOutputEntryBytes = 16 * 1024;
/** One page of the list of registered outputs: a frame of the largest entries. */
export const maxOutputsPerPage = 64;
/** The largest request, with room for its name and tags. */
export const maxInnerRequestBytes = maxChunkBytes + 256;
/** A section authority with its chain: one page of links. */
export const maxAuthorityBytes = 64 * 1024;
/** Elders answer for seven holders at the most. */
export const maxHolders = 7;

/** CBOR items of the longest request, a read that avoids seven holders, with room to spare. */
const maxRequestItems = 64;
/** Of the longest reply: a page of outputs, or the receipts of seven holders. */
const maxReplyItems = 256;

const name = bytesOf(32);
const signature = bytesOf(64);

export const clientRequestShape = union({
  /** Who are you, and of which network? */
  hello: record({}),
  /** The newest signed section authority, from genesis on. */
  authority: record({}),
  /** Node-signed address records of the elders. */
  addresses: record({}),
  putChunk: record({ name, bytes: bytesUpTo(maxChunkBytes) }),
  /** `avoid`: holders that answered wrongly or not at all. */
  getChunk: record({ name, avoid: listOf(name, maxHolders) }),
  putPointer: record({ record: bytesUpTo(maxPointerBytes) }),
  getPointer: record({ address: name }),
  /** PREPARE and COMMIT of one spentbook slot (protocol/spentbook). */
  slot: record({ slot: name, message: bytesUpTo(maxMoneyMessageBytes) }),
  /** REGISTER of one output (protocol/mint). */
  output: record({ key: name, message: bytesUpTo(maxMoneyMessageBytes) }),
  /** This elder's list of registered outputs, oldest first, from a position on. */
  outputs: record({ after: intBetween(0, 2 ** 48), limit: intBetween(1, maxOutputsPerPage) }),
});

export type ClientRequest = ShapeOf<typeof clientRequestShape>;

export const coverShape = union({
  /**
   * What follows this key on the way to the section of this name: a page of links, and the authority
   * if the page reaches it. Answered by `proof`.
   */
  section: record({ name, from: bytesOf(96) }),
  /**
   * A request as one under this key (N30, N41), generation as the client knows it. Under another
   * key, or for a name of another section, it is refused by `retry` or `redirect` with the proof.
   */
  under: record({ key: bytesOf(96), generation: u64, request: bytesUpTo(maxInnerRequestBytes) }),
});

/** What the door itself looks at, before anything of it reaches an elder's work. */
export type Cover = ShapeOf<typeof coverShape>;

const receipt = record({ holder: name, signature });
/** Which sealed state of which section: hash of its key, and generation (N41). */
export const stampShape = record({ keyHash: bytesOf(32), generation: u64 });

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
    /** Where the elders of the section it ends at can be dialled, as far as the node knows. */
    records: listOf(bytesUpTo(4096), 16),
  }),
  addresses: record({ records: listOf(bytesUpTo(4096), 16) }),
  /** Signed by the holders under this stamp (data/receipt.ts). */
  stored: record({ stamp: stampShape, receipts: listOf(receipt, maxHolders) }),
  chunk: record({ bytes: bytesUpTo(maxChunkBytes), holder: name }),
  /** Signed acknowledgements of the holders that keep this version of a pointer record. */
  pointerStored: record({ stamp: stampShape, receipts: listOf(receipt, maxHolders) }),
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
export const encodeCover = (cover: Cover): Uint8Array => encodeCbor(cover);
export const encodeClientReply = (reply: ClientReply): Uint8Array => encodeCbor(reply);

export function decodeClientRequest(bytes: Uint8Array): Result<ClientRequest, 'malformed'> {
  const decoded = decodeCbor(bytes, maxRequestItems);
  if (!decoded.ok) return decoded;
  const request = clientRequestShape(decoded.value);
  return request === undefined ? err('malformed') : ok(request);
}

/** What may come through the client door: a request, or a cover. */
export function decodeDoorRequest(bytes: Uint8Array): Result<ClientRequest | Cover, 'malformed'> {
  const decoded = decodeCbor(bytes, maxRequestItems);
  if (!decoded.ok) return decoded;
  const request = clientRequestShape(decoded.value) ?? coverShape(decoded.value);
  return request === undefined ? err('malformed') : ok(request);
}

export function decodeClientReply(bytes: Uint8Array): Result<ClientReply, 'malformed'> {
  const decoded = decodeCbor(bytes, maxReplyItems);
  if (!decoded.ok) return decoded;
  const reply = clientReplyShape(decoded.value);
  return reply === undefined ? err('malformed') : ok(reply);
}

/** The name a request is about, whose section must answer; null when any elder may. */
export function destinationOf(request: ClientRequest): Uint8Array | null {
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
    case 'putPointer': // Its address follows from the record, which is opened later.
      return null;
  }
}
