/**
 * The signed envelope of a message between two nodes' machines. The signature covers the receiver, the
 * sender's knowledge of the receiver's section and the payload (N32), so no peer can replay the message
 * to another node or under another key.
 */
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { maxSectionMessageBytes } from './node-requests.ts';

export interface NodeEnvelope {
  /** 32 bytes each. */
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  /** 96 bytes: the receiver's section key as the sender knows it; the genesis key when it knows no other. */
  readonly key: Uint8Array;
  /** The newest generation under that key that the sender knows. */
  readonly generation: bigint;
  /** Message id: 16 random bytes. */
  readonly id: Uint8Array;
  readonly payload: Uint8Array;
}

/** Label, fixed fields and signature. */
const envelopeBytes = 512;
export const maxEnvelopePayloadBytes = maxSectionMessageBytes - envelopeBytes;

export type EnvelopeFault = 'malformed' | 'notForUs' | 'wrongSender' | 'wrongSignature';

function signingBytes(networkId: Uint8Array, envelope: NodeEnvelope): Uint8Array {
  return new Writer()
    .label('safe/v1/node-envelope')
    .fixed(networkId, 32)
    .fixed(envelope.from, 32)
    .fixed(envelope.to, 32)
    .fixed(envelope.key, 96)
    .u64(envelope.generation)
    .fixed(envelope.id, 16)
    .sized(envelope.payload)
    .finish();
}

/** @param sign ed25519 signature by the sender's identity key, 64 bytes. */
export function signEnvelope(
  networkId: Uint8Array,
  envelope: NodeEnvelope,
  sign: (bytes: Uint8Array) => Uint8Array,
): Uint8Array {
  const body = signingBytes(networkId, envelope);
  return new Writer().sized(body).fixed(sign(body), 64).finish();
}

/**
 * @param self our own name, and @param from the name that the connection authenticated.
 * @param verify checks the ed25519 signature of `name` over `body`.
 */
export function openEnvelope(
  networkId: Uint8Array,
  self: Uint8Array,
  from: Uint8Array,
  bytes: Uint8Array,
  verify: (name: Uint8Array, body: Uint8Array, signature: Uint8Array) => boolean,
): Result<NodeEnvelope, EnvelopeFault> {
  if (bytes.length > maxSectionMessageBytes) return err('malformed');
  const outer = new Reader(bytes);
  const body = outer.sized(maxSectionMessageBytes);
  const signature = outer.fixed(64);
  if (!outer.finish()) return err('malformed');
  const reader = new Reader(body);
  reader.sized(64); // The label: checked below by re-encoding.
  const network = reader.fixed(32);
  const envelope: NodeEnvelope = {
    from: reader.fixed(32),
    to: reader.fixed(32),
    key: reader.fixed(96),
    generation: reader.u64(),
    id: reader.fixed(16),
    payload: reader.sized(maxEnvelopePayloadBytes),
  };
  if (!reader.finish() || !equalBytes(network, networkId)) return err('malformed');
  if (!equalBytes(signingBytes(networkId, envelope), body)) return err('malformed');
  if (!equalBytes(envelope.to, self)) return err('notForUs');
  if (!equalBytes(envelope.from, from)) return err('wrongSender');
  return verify(from, body, signature) ? ok(envelope) : err('wrongSignature');
}
