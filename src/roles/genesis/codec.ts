/** Codecs for messages and facts of the genesis machine. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import { bytesOf, bytesUpTo, intBetween, record, union, type Shape } from '#core/codec/shape.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  agreementFactShape,
  agreementMessageShape,
  maxAgreementMessageBytes,
} from '#protocol/agreement/index.ts';
import { dkgFactShape, dkgMessageShape, maxDkgMessageBytes } from '#protocol/dkg/index.ts';
import {
  decodeSignedAuthority,
  ELDER_COUNT,
  encodeSignedAuthority,
  maxAuthorityBytes,
} from '#protocol/section/index.ts';
import type { GenesisMessage } from './messages.ts';
import type { GenesisFact } from './state.ts';

/** The larger limit of the two inner machines, plus the envelope. */
export const maxGenesisMessageBytes = Math.max(maxDkgMessageBytes, maxAgreementMessageBytes) + 1024;

const sessionId = bytesOf(32);
const signature = bytesOf(48);

export const genesisMessageShape: Shape<GenesisMessage> = union({
  dkg: record({ message: dkgMessageShape }),
  agreement: record({ message: agreementMessageShape }),
  share: record({ sessionId, signature }),
  request: record({ sessionId }),
  complete: record({ sessionId, signature }),
});

export const genesisFactShape = union({
  dkg: record({ fact: dkgFactShape }),
  agreement: record({ fact: agreementFactShape }),
  complete: record({
    signed: bytesUpTo(maxAuthorityBytes),
    secretShare: bytesOf(32),
    index: intBetween(1, ELDER_COUNT),
  }),
});

export const encodeGenesisMessage = (message: GenesisMessage): Uint8Array => encodeCbor(message);

export function decodeGenesisMessage(bytes: Uint8Array): Result<GenesisMessage, 'malformed'> {
  if (bytes.length > maxGenesisMessageBytes) return err('malformed');
  const decoded = decodeCbor(bytes);
  if (!decoded.ok) return decoded;
  const message = genesisMessageShape(decoded.value);
  return message === undefined ? err('malformed') : ok(message);
}

export function encodeGenesisFact(fact: GenesisFact): Uint8Array {
  if (fact.kind !== 'complete') return encodeCbor(fact);
  return encodeCbor({ ...fact, signed: encodeSignedAuthority(fact.signed) });
}

export function decodeGenesisFact(bytes: Uint8Array): Result<GenesisFact, 'malformed'> {
  const decoded = decodeCbor(bytes);
  if (!decoded.ok) return decoded;
  const fact = genesisFactShape(decoded.value);
  if (fact === undefined) return err('malformed');
  if (fact.kind !== 'complete') return ok(fact);
  const signed = decodeSignedAuthority(fact.signed);
  return signed.ok ? ok({ ...fact, signed: signed.value }) : signed;
}
