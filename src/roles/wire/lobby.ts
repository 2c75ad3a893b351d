/**
 * The lobby protocol: a node's requests to a join point before it knows the network, and how the
 * founders of a new network meet. It has its own protocol tag, not the network's.
 */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
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
import { sha256 } from '#crypto/hash.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import { maxAuthorityBytes } from '#protocol/section/index.ts';

/** Founding adults that one invitation may name. */
export const maxFoundingAdults = 64;
/** 71 address records of 4 KiB with their keys. */
export const maxInvitationBytes = 384 * 1024;
const maxRecordsOfNetwork = 64;
/** CBOR items of a request, of an invitation with 71 founders, and of a reply. */
const maxRequestItems = 32;
const maxInvitationItems = 512;
const maxReplyItems = 128;

/** The network id in address records that are signed before there is a network. */
export const lobbyId: Uint8Array = sha256(utf8('safe/v1/lobby'));

const addressRecord = bytesUpTo(4096);

/** One founder: its address record, and the key its shares are encrypted to (N12). */
const founderShape = record({ record: addressRecord, sharingKey: bytesOf(32) });
export type FounderEntry = ShapeOf<typeof founderShape>;

export const invitationShape = record({
  networkName: textUpTo(64),
  /** 32 random bytes, fresh for each attempt. */
  nonce: bytesOf(32),
  elders: listOf(founderShape, ELDER_COUNT, ELDER_COUNT),
  adults: listOf(founderShape, maxFoundingAdults),
  genesisOutput: nullable(record({ oneTimeKey: bytesOf(32), amount: u64 })),
});
/** Identical for all founders; otherwise their shares do not combine. */
export type Invitation = ShapeOf<typeof invitationShape>;

export const lobbyRequestShape = union({
  /** Asks to be a founder. Sent again while the reply is `waiting`. */
  enlist: founderShape,
  /** The sender holds its share of this authority's key. */
  keyReady: record({ authority: bytesUpTo(maxAuthorityBytes) }),
  /** Asks for the network file and addresses of its nodes. */
  describe: record({}),
});
export type LobbyRequest = ShapeOf<typeof lobbyRequestShape>;

export const lobbyReplyShape = union({
  waiting: record({ enlisted: intBetween(0, 1024), wanted: intBetween(0, 1024) }),
  founding: record({ invitation: bytesUpTo(maxInvitationBytes) }),
  network: record({
    /** The network file without addresses, as JSON. */
    file: textUpTo(4096),
    records: listOf(addressRecord, maxRecordsOfNetwork),
  }),
  /** Number of founders that sent `keyReady` with the same key. */
  counted: record({ count: intBetween(0, ELDER_COUNT) }),
  refused: record({ refusal: refusalShape }),
});
export type LobbyReply = ShapeOf<typeof lobbyReplyShape>;

export const encodeInvitation = (invitation: Invitation): Uint8Array => encodeCbor(invitation);
export const encodeLobbyRequest = (request: LobbyRequest): Uint8Array => encodeCbor(request);
export const encodeLobbyReply = (reply: LobbyReply): Uint8Array => encodeCbor(reply);

export const decodeInvitation = (bytes: Uint8Array): Result<Invitation, 'malformed'> =>
  decoded(bytes, invitationShape, maxInvitationBytes, maxInvitationItems);
export const decodeLobbyRequest = (bytes: Uint8Array): Result<LobbyRequest, 'malformed'> =>
  decoded(bytes, lobbyRequestShape, 2 * maxAuthorityBytes, maxRequestItems);
export const decodeLobbyReply = (bytes: Uint8Array): Result<LobbyReply, 'malformed'> =>
  decoded(bytes, lobbyReplyShape, 2 * maxInvitationBytes, maxReplyItems);

function decoded<T>(
  bytes: Uint8Array,
  shape: (value: unknown) => T | undefined,
  max: number,
  maxItems: number,
): Result<T, 'malformed'> {
  if (bytes.length > max) return err('malformed');
  const value = decodeCbor(bytes, maxItems);
  if (!value.ok) return value;
  const shaped = shape(value.value);
  return shaped === undefined ? err('malformed') : ok(shaped);
}
