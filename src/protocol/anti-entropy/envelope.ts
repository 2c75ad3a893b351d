/**
 * The cover of every message between nodes: for whom, under which key, and signed as one with what
 * is inside (N32), so that nobody can send a stranger's words to another address.
 */
import { toXorName, type XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { IdentitySuite } from '#money/identity.ts';

export interface Envelope {
  readonly networkId: Uint8Array;
  /** Who says it: the key that signs. */
  readonly source: XorName;
  /** The name it is about: a node's, a chunk's, a slot's. Its section answers. */
  readonly destinationName: XorName;
  /** 96 bytes: that section's key as the sender knows it; zeros when it knows none. */
  readonly destinationKey: Uint8Array;
  /** The newest generation the sender knows under that key. */
  readonly generation: bigint;
  /** 16 bytes, chosen by the sender; a reply carries it instead of the message. */
  readonly messageId: Uint8Array;
  /** 16 bytes the receiver once gave out, echoed; zeros for none (N31). */
  readonly token: Uint8Array;
  readonly payload: Uint8Array;
}

export interface SignedEnvelope extends Envelope {
  /** 64 bytes by `source`. */
  readonly signature: Uint8Array;
}

export const MESSAGE_ID_BYTES = 16;
export const TOKEN_BYTES = 16;
/** The largest section message. */
export const maxPayloadBytes = 384 * 1024;
/** Label, fields and signature. */
export const maxEnvelopeBytes = maxPayloadBytes + 512;

export const noToken = new Uint8Array(TOKEN_BYTES);
export const noKey = new Uint8Array(96);

/** @param seed of the name in `source`. */
export function signEnvelope(
  identity: IdentitySuite,
  seed: Uint8Array,
  envelope: Envelope,
): SignedEnvelope {
  assert(envelope.payload.length <= maxPayloadBytes, 'a payload has a limit');
  return { ...envelope, signature: identity.sign(seed, envelopeBytes(envelope)) };
}

/** N32: everything but the signature is signed. */
export const verifyEnvelope = (
  identity: IdentitySuite,
  networkId: Uint8Array,
  signed: SignedEnvelope,
): boolean =>
  equalBytes(signed.networkId, networkId) &&
  identity.verify(signed.source, envelopeBytes(signed), signed.signature);

export const encodeEnvelope = (signed: SignedEnvelope): Uint8Array =>
  new Writer().sized(envelopeBytes(signed)).fixed(signed.signature, 64).finish();

export function decodeEnvelope(bytes: Uint8Array): Result<SignedEnvelope, 'malformed'> {
  if (bytes.length > maxEnvelopeBytes) return err('malformed');
  const outer = new Reader(bytes);
  const body = outer.sized(maxEnvelopeBytes);
  const signature = outer.fixed(64);
  if (!outer.finish()) return err('malformed');
  const reader = new Reader(body);
  reader.sized(64); // The label: compared by encoding again below.
  const signed: SignedEnvelope = {
    networkId: reader.fixed(32),
    source: toXorName(reader.fixed(32)),
    destinationName: toXorName(reader.fixed(32)),
    destinationKey: reader.fixed(96),
    generation: reader.u64(),
    messageId: reader.fixed(MESSAGE_ID_BYTES),
    token: reader.fixed(TOKEN_BYTES),
    payload: reader.sized(maxPayloadBytes),
    signature,
  };
  if (!reader.finish()) return err('malformed');
  return equalBytes(envelopeBytes(signed), body) ? ok(signed) : err('malformed');
}

/** The one encoding: what is signed, and what travels. */
export const envelopeBytes = (envelope: Envelope): Uint8Array =>
  new Writer()
    .label('safe/v1/envelope')
    .fixed(envelope.networkId, 32)
    .fixed(envelope.source, 32)
    .fixed(envelope.destinationName, 32)
    .fixed(envelope.destinationKey, 96)
    .u64(envelope.generation)
    .fixed(envelope.messageId, MESSAGE_ID_BYTES)
    .fixed(envelope.token, TOKEN_BYTES)
    .sized(envelope.payload)
    .finish();
