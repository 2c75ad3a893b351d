/**
 * Bytes ⇄ acts: one fixed layout, so that a body has one encoding to hash and sign. Bytes that do
 * not re-encode identically are rejected.
 */
import { toXorName, type XorName } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { DealingList, ReadinessProof } from '#protocol/dkg/index.ts';
import { ELDER_COUNT, SHARES_REQUIRED, type RelocationDetails } from '#protocol/section/index.ts';
import type { Act, ActBody, Endorsement, RelocationCertificate } from './acts.ts';

/** Two readiness proofs of 1.4 kB, which no endorsements follow. */
export const maxActBytes = 4096;
/** More joiners than this would make a section of their own. */
export const maxVacancies = 64;

const label = 'safe/v1/act';
const certificateLabel = 'safe/v1/ticket-proof';
const nameBytes = 32;
const hashBytes = 32;
const keyBytes = 96;
const signatureBytes = 64;
const thresholdSignatureBytes = 48;

const tags = { join: 1, leave: 2, demote: 3, vacancies: 4, handover: 5, sealedSet: 6 } as const;
const reasons = ['reward', 'demotion'] as const;

/** The body that endorsements sign; equal bodies are the same act. */
export function actBodyBytes(body: ActBody): Uint8Array {
  const writer = new Writer().label(label).u8(tags[body.kind]);
  switch (body.kind) {
    case 'join':
      writer.fixed(body.name, nameBytes).fixed(body.sharingKey, 32);
      if (body.certificate === null) return writer.u8(0).finish();
      return writeCertificate(writer.u8(1), body.certificate).finish();
    case 'leave':
    case 'demote':
      return writer.fixed(body.name, nameBytes).finish();
    case 'vacancies':
      return writer.u8(body.count).finish();
    case 'handover':
      writer.fixed(body.sessionId, hashBytes).u8(body.ready.length);
      for (const ready of body.ready) writeReady(writer, ready);
      return writer.finish();
    case 'sealedSet':
      writer.u8(body.snapshots.length);
      for (const { elder, root, signature } of body.snapshots) {
        writer.u8(elder).fixed(root, hashBytes).fixed(signature, signatureBytes);
      }
      return writer.fixed(body.sealedRoot, hashBytes).finish();
    default:
      return assertNever(body);
  }
}

/**
 * @returns 32 bytes: hash of the body, independent of endorsements. A handover is hashed without
 * its signatures: they have many valid forms, and none may change its rank.
 */
export const actId = (body: ActBody): Uint8Array => labelledHash('safe/v1/act-id', idBytes(body));

function idBytes(body: ActBody): Uint8Array {
  if (body.kind !== 'handover') return actBodyBytes(body);
  const writer = new Writer().label(label).u8(tags.handover).fixed(body.sessionId, hashBytes);
  for (const { list, key } of body.ready) writeList(writer, list).fixed(key, keyBytes);
  return writer.finish();
}

/** @returns ≤ {@link maxActBytes} bytes: a proposal to the agreement. */
export function encodeAct(act: Act): Uint8Array {
  assert(act.endorsements.length <= ELDER_COUNT, 'an elder endorses an act once');
  const writer = new Writer().sized(actBodyBytes(act.body)).u8(act.endorsements.length);
  for (const { elder, signature } of act.endorsements) {
    writer.u8(elder).fixed(signature, signatureBytes);
  }
  return writer.finish();
}

/** The shape only; `validateAct` decides whether the act may be decided. */
export function decodeAct(bytes: Uint8Array): Result<Act, 'malformed'> {
  if (bytes.length > maxActBytes) return err('malformed');
  const reader = new Reader(bytes);
  const body = decodeActBody(reader.sized(maxActBytes));
  const count = reader.u8();
  if (!body.ok || count > ELDER_COUNT) return err('malformed');
  const endorsements: readonly Endorsement[] = Array.from({ length: count }, () => ({
    elder: reader.u8(),
    signature: reader.fixed(signatureBytes),
  }));
  if (!reader.finish() || !eachElderOnce(endorsements)) return err('malformed');
  return ok({ body: body.value, endorsements });
}

export function decodeActBody(bytes: Uint8Array): Result<ActBody, 'malformed'> {
  if (bytes.length > maxActBytes) return err('malformed');
  const reader = new Reader(bytes);
  reader.sized(64); // The label: checked below by encoding again.
  const body = readBody(reader);
  if (body === undefined || !reader.finish()) return err('malformed');
  return equalBytes(actBodyBytes(body), bytes) ? ok(body) : err('malformed');
}

/** The certificate that a relocating node sends with its join request. @returns about 0.4 kB. */
export const encodeRelocationCertificate = (certificate: RelocationCertificate): Uint8Array =>
  writeCertificate(new Writer().label(certificateLabel), certificate).finish();

/** The shape only. */
export function decodeRelocationCertificate(
  bytes: Uint8Array,
): Result<RelocationCertificate, 'malformed'> {
  if (bytes.length > maxActBytes) return err('malformed');
  const reader = new Reader(bytes);
  reader.sized(64);
  const certificate = readCertificate(reader);
  if (certificate === undefined || !reader.finish()) return err('malformed');
  return equalBytes(encodeRelocationCertificate(certificate), bytes)
    ? ok(certificate)
    : err('malformed');
}

function readBody(reader: Reader): ActBody | undefined {
  switch (reader.u8()) {
    case tags.join:
      return readJoin(reader);
    case tags.leave:
      return { kind: 'leave', name: readName(reader) };
    case tags.demote:
      return { kind: 'demote', name: readName(reader) };
    case tags.vacancies: {
      const count = reader.u8();
      return count > maxVacancies ? undefined : { kind: 'vacancies', count };
    }
    case tags.handover:
      return readHandover(reader);
    case tags.sealedSet:
      return readSealedSet(reader);
    default:
      return undefined;
  }
}

function readJoin(reader: Reader): ActBody | undefined {
  const name = readName(reader);
  const sharingKey = reader.fixed(32);
  const flag = reader.u8();
  if (flag === 0) return { kind: 'join', name, sharingKey, certificate: null };
  const certificate = readCertificate(reader);
  return certificate === undefined ? undefined : { kind: 'join', name, sharingKey, certificate };
}

function readHandover(reader: Reader): ActBody | undefined {
  const sessionId = reader.fixed(hashBytes);
  const count = reader.u8();
  if (count < 1 || count > 2) return undefined;
  return {
    kind: 'handover',
    sessionId,
    ready: Array.from({ length: count }, () => readReady(reader)),
  };
}

function readSealedSet(reader: Reader): ActBody | undefined {
  const count = reader.u8();
  if (count > ELDER_COUNT) return undefined;
  const snapshots = Array.from({ length: count }, () => ({
    elder: reader.u8(),
    root: reader.fixed(hashBytes),
    signature: reader.fixed(signatureBytes),
  }));
  if (!eachElderOnce(snapshots)) return undefined;
  return { kind: 'sealedSet', snapshots, sealedRoot: reader.fixed(hashBytes) };
}

const writeCertificate = (writer: Writer, certificate: RelocationCertificate): Writer =>
  writer
    .fixed(certificate.relocation.name, nameBytes)
    .u8(certificate.relocation.age)
    .fixed(certificate.relocation.destination, hashBytes)
    .u64(certificate.relocation.generation)
    .u8(reasons.indexOf(certificate.relocation.reason))
    .fixed(certificate.sourceKey, keyBytes)
    .u64(certificate.sourceEpoch)
    .fixed(certificate.signature, thresholdSignatureBytes)
    .fixed(certificate.nameSignature, signatureBytes);

function readCertificate(reader: Reader): RelocationCertificate | undefined {
  const name = readName(reader);
  const age = reader.u8();
  const destination = reader.fixed(hashBytes);
  const generation = reader.u64();
  const reason = reasons[reader.u8()];
  if (reason === undefined) return undefined;
  const relocation: RelocationDetails = { name, age, destination, generation, reason };
  return {
    relocation,
    sourceKey: reader.fixed(keyBytes),
    sourceEpoch: reader.u64(),
    signature: reader.fixed(thresholdSignatureBytes),
    nameSignature: reader.fixed(signatureBytes),
  };
}

function writeReady(writer: Writer, ready: ReadinessProof): void {
  assert(ready.list.length === ELDER_COUNT, 'a list has a place for every dealer');
  assert(ready.publicShares.length === ELDER_COUNT, 'seven hold shares of a key');
  assert(ready.vouchers.length === SHARES_REQUIRED, 'five vouch for a key');
  writeList(writer, ready.list).fixed(ready.key, keyBytes);
  for (const share of ready.publicShares) writer.fixed(share, keyBytes);
  writer.fixed(ready.signature, thresholdSignatureBytes);
  for (const { candidate, signature } of ready.vouchers) {
    writer.u8(candidate).fixed(signature, signatureBytes);
  }
}

function writeList(writer: Writer, list: DealingList): Writer {
  for (const hash of list) {
    if (hash === null) writer.u8(0);
    else writer.u8(1).fixed(hash, hashBytes);
  }
  return writer;
}

const readReady = (reader: Reader): ReadinessProof => ({
  list: seven(() => (reader.u8() === 0 ? null : reader.fixed(hashBytes))),
  key: reader.fixed(keyBytes),
  publicShares: seven(() => reader.fixed(keyBytes)),
  signature: reader.fixed(thresholdSignatureBytes),
  vouchers: Array.from({ length: SHARES_REQUIRED }, () => ({
    candidate: reader.u8(),
    signature: reader.fixed(signatureBytes),
  })),
});

const seven = <T>(read: () => T): readonly T[] => Array.from({ length: ELDER_COUNT }, read);

const readName = (reader: Reader): XorName => toXorName(reader.fixed(nameBytes));

const eachElderOnce = (list: readonly { readonly elder: number }[]): boolean =>
  list.every(({ elder }, at) => {
    const before = list[at - 1]?.elder ?? 0;
    return elder > before && elder <= ELDER_COUNT;
  });
