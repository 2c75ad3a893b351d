/** Where a node can be dialled: a record the node signs itself, apart from the authority (N28). */
import { toXorName, type XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { equalBytes, Reader, utf8, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { ed25519PublicKey, signEd25519, verifyEd25519 } from '#crypto/ed25519.ts';

export interface AddressRecord {
  readonly networkId: Uint8Array;
  /** The node's name: its ed25519 public key, which signs the record. */
  readonly name: XorName;
  /** Increases with every change; of two records of one name the higher counter is valid. */
  readonly counter: bigint;
  /** Multiaddrs: printable ASCII, at most 8 of at most 256 characters. */
  readonly addresses: readonly string[];
  readonly signature: Uint8Array;
}

export type AddressFault = 'wrongNetwork' | 'wrongAddresses' | 'wrongSignature';

/** WebSocket, WebRTC, TCP, relayed: on two interfaces each. */
export const maxAddresses = 8;
/** A relayed WebRTC address with two peer ids has about 200 characters. */
export const maxAddressCharacters = 256;
/** Label, fixed fields and eight full addresses stay below. */
export const maxAddressRecordBytes = 4096;

/** @param seed the node's ed25519 seed; the record's name follows from it. */
export function signAddressRecord(
  seed: Uint8Array,
  networkId: Uint8Array,
  counter: bigint,
  addresses: readonly string[],
): AddressRecord {
  assert(addressesFit(addresses), 'at most 8 addresses of at most 256 printable characters');
  const unsigned = { networkId, name: toXorName(ed25519PublicKey(seed)), counter, addresses };
  return { ...unsigned, signature: signEd25519(seed, addressSigningBytes(unsigned)) };
}

/**
 * N28: checks network, bounds and the node's own signature.
 * @param isSigned the signature check: strict, unless a caller has a faster one.
 */
export function verifyAddressRecord(
  networkId: Uint8Array,
  record: AddressRecord,
  isSigned: typeof verifyEd25519 = verifyEd25519,
): Result<AddressRecord, AddressFault> {
  if (!equalBytes(record.networkId, networkId)) return err('wrongNetwork');
  if (!addressesFit(record.addresses)) return err('wrongAddresses');
  if (!isSigned(record.name, addressSigningBytes(record), record.signature)) {
    return err('wrongSignature');
  }
  return ok(record);
}

export const encodeAddressRecord = (record: AddressRecord): Uint8Array =>
  new Writer().sized(addressSigningBytes(record)).fixed(record.signature, 64).finish();

export function decodeAddressRecord(bytes: Uint8Array): Result<AddressRecord, 'malformed'> {
  if (bytes.length > maxAddressRecordBytes) return err('malformed');
  const outer = new Reader(bytes);
  const body = outer.sized(maxAddressRecordBytes);
  const signature = outer.fixed(64);
  if (!outer.finish()) return err('malformed');
  const reader = new Reader(body);
  reader.sized(64); // The label: checked below by encoding again.
  const networkId = reader.fixed(32);
  const name = toXorName(reader.fixed(32));
  const counter = reader.u64();
  const count = reader.u8();
  if (count > maxAddresses) return err('malformed');
  const addresses = Array.from({ length: count }, () =>
    String.fromCharCode(...reader.sized(maxAddressCharacters)),
  );
  if (!reader.finish() || !addressesFit(addresses)) return err('malformed');
  const record = { networkId, name, counter, addresses, signature };
  return equalBytes(addressSigningBytes(record), body) ? ok(record) : err('malformed');
}

function addressSigningBytes(record: Omit<AddressRecord, 'signature'>): Uint8Array {
  const writer = new Writer()
    .label('safe/v1/address-record')
    .fixed(record.networkId, 32)
    .fixed(record.name, 32)
    .u64(record.counter)
    .u8(record.addresses.length);
  for (const address of record.addresses) writer.sized(utf8(address));
  return writer.finish();
}

const addressesFit = (addresses: readonly string[]): boolean =>
  addresses.length <= maxAddresses &&
  addresses.every((text) => text.length <= maxAddressCharacters && /^[\x21-\x7e]+$/.test(text));
