/** Encoding of messages and facts: strict CBOR with every list and field bounded. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  record,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import { DEALING_BYTES } from '#crypto/dealing/dealing-layout.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { DealingList, DkgMessage } from './messages.ts';
import type { ReadinessProof } from './readiness-proof.ts';
import type { DkgFact } from './state.ts';

/** One dealing with its keys and the sender's inventory: 50 kB. */
export const maxDkgMessageBytes = 64 * 1024;
/** One list per candidate, and as many again for decisions. */
export const maxHeldLists = 14;
/** Any dealing of each dealer, and every dealing that seven lists can contain. */
export const maxWants = ELDER_COUNT + ELDER_COUNT * ELDER_COUNT;

const index = intBetween(1, ELDER_COUNT);
const bits = intBetween(0, 2 ** ELDER_COUNT - 1);
const hash = bytesOf(32);
const signature = bytesOf(64);
const seven = <T>(item: Shape<T>): Shape<readonly T[]> => listOf(item, ELDER_COUNT, ELDER_COUNT);

const signedKey = record({ candidate: index, sharingKey: bytesOf(32), signature });

const signedDealing = record({
  dealer: index,
  keys: seven(nullable(signedKey)),
  body: bytesUpTo(DEALING_BYTES),
  signature,
});

/** Also used inside another protocol's messages. */
export const dealingListShape: Shape<DealingList> = seven(nullable(hash));

const signedList = record({ candidate: index, dealings: dealingListShape, signature });

const readiness = record({
  candidate: index,
  list: hash,
  share: bytesOf(48),
  voucher: signature,
  signature,
});

const inventory = record({
  tick: intBetween(0, 2 ** 32 - 1),
  keys: bits,
  lists: bits,
  readiness: listOf(record({ list: hash, candidates: bits }), maxHeldLists),
});

/** Also used inside another protocol's envelope. */
export const dkgMessageShape: Shape<DkgMessage> = union({
  status: record({
    sessionId: hash,
    inventory,
    wants: listOf(record({ dealer: index, hash: nullable(hash) }), maxWants),
  }),
  parts: record({
    sessionId: hash,
    inventory,
    keys: listOf(signedKey, ELDER_COUNT),
    lists: listOf(signedList, ELDER_COUNT),
    readiness: listOf(readiness, maxHeldLists * ELDER_COUNT),
  }),
  dealing: record({ sessionId: hash, inventory, dealing: signedDealing }),
});

export const dkgFactShape: Shape<DkgFact> = union({
  announced: record({ sharingSecret: bytesOf(32), key: signedKey }),
  accepted: record({ dealing: signedDealing }),
  listProposed: record({ list: signedList }),
  ended: record({}),
});

/** The public result of a key generation (N13): below 2 kB. */
export const readinessProofShape: Shape<ReadinessProof> = record({
  list: dealingListShape,
  key: bytesOf(96),
  publicShares: seven(bytesOf(96)),
  signature: bytesOf(48),
  vouchers: listOf(record({ candidate: index, signature }), SHARES_REQUIRED, SHARES_REQUIRED),
});

export const encodeDkgMessage = (message: DkgMessage): Uint8Array => encodeCbor(message);
export const encodeDkgFact = (fact: DkgFact): Uint8Array => encodeCbor(fact);
export const encodeReadinessProof = (ready: ReadinessProof): Uint8Array => encodeCbor(ready);

export function decodeDkgMessage(bytes: Uint8Array): Result<DkgMessage, 'malformed'> {
  if (bytes.length > maxDkgMessageBytes) return err('malformed');
  return decodeAs(dkgMessageShape, bytes);
}

export const decodeDkgFact = (bytes: Uint8Array): Result<DkgFact, 'malformed'> =>
  decodeAs(dkgFactShape, bytes);

export function decodeReadinessProof(bytes: Uint8Array): Result<ReadinessProof, 'malformed'> {
  return bytes.length > maxDkgMessageBytes
    ? err('malformed')
    : decodeAs(readinessProofShape, bytes);
}

function decodeAs<T>(shape: Shape<T>, bytes: Uint8Array): Result<T, 'malformed'> {
  const decoded = decodeCbor(bytes);
  if (!decoded.ok) return decoded;
  const value = shape(decoded.value);
  return value === undefined ? err('malformed') : ok(value);
}
