/** Bytes ⇄ messages and facts: strict CBOR with every list and field bounded. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  intBetween,
  listOf,
  nullable,
  record,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import { sealedShareBytes } from './jobs.ts';
import type { DkgMessage } from './messages.ts';
import type { DkgFact } from './state.ts';

/** Seven complaints with a dealing of 2 kB each, and all other parts: 40 kB. */
export const maxDkgMessageBytes = 64 * 1024;

const index = intBetween(1, ELDER_COUNT);
const bits = intBetween(0, 2 ** ELDER_COUNT - 1);
const hash = bytesOf(32);
const signature = bytesOf(64);
const seven = <T>(item: Shape<T>): Shape<readonly T[]> => listOf(item, ELDER_COUNT, ELDER_COUNT);
const upToSeven = <T>(item: Shape<T>): Shape<readonly T[]> => listOf(item, ELDER_COUNT);

const signedKey = record({ candidate: index, boxKey: bytesOf(32), signature });

const signedDealing = record({
  dealer: index,
  keys: seven(signedKey),
  commitment: listOf(bytesOf(96), SHARES_REQUIRED, SHARES_REQUIRED),
  sealedShares: seven(bytesOf(sealedShareBytes)),
  signature,
});

const signedAck = record({ candidate: index, dealings: seven(hash), signature });

const signedComplaint = record({
  candidate: index,
  dealing: signedDealing,
  boxSecret: bytesOf(32),
  signature,
});

/** Also the shape of a DKG message inside another protocol's envelope. */
export const dkgMessageShape: Shape<DkgMessage> = union({
  parts: record({
    sessionId: hash,
    keys: upToSeven(signedKey),
    dealings: upToSeven(signedDealing),
    acks: upToSeven(signedAck),
    complaints: upToSeven(signedComplaint),
  }),
  status: record({ sessionId: hash, keys: bits, dealings: seven(nullable(hash)), acks: bits }),
});

const keyShareSet = record({
  key: bytesOf(96),
  publicShares: seven(bytesOf(96)),
  secretShare: bytesOf(32),
  index,
});

export const dkgFactShape: Shape<DkgFact> = union({
  announced: record({ boxSecret: bytesOf(32), key: signedKey }),
  dealt: record({ dealing: signedDealing }),
  accepted: record({ dealing: signedDealing, share: bytesOf(32) }),
  acked: record({ ack: signedAck }),
  keyed: record({ result: keyShareSet }),
  failed: record({ complaint: signedComplaint }),
});

export const encodeDkgMessage = (message: DkgMessage): Uint8Array => encodeCbor(message);
export const encodeDkgFact = (fact: DkgFact): Uint8Array => encodeCbor(fact);

export function decodeDkgMessage(bytes: Uint8Array): Result<DkgMessage, 'malformed'> {
  if (bytes.length > maxDkgMessageBytes) return err('malformed');
  return decodeAs(dkgMessageShape, bytes);
}

export const decodeDkgFact = (bytes: Uint8Array): Result<DkgFact, 'malformed'> =>
  decodeAs(dkgFactShape, bytes);

function decodeAs<T>(shape: Shape<T>, bytes: Uint8Array): Result<T, 'malformed'> {
  const decoded = decodeCbor(bytes);
  if (!decoded.ok) return decoded;
  const value = shape(decoded.value);
  return value === undefined ? err('malformed') : ok(value);
}
