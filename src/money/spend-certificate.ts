/** Spend certificates: combined signatures of five of a slot's seven elders (MONEY-C1). */
import { matches, type Prefix } from '#address/prefix.ts';
import { Reader, Writer, equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  maxProofSiblings,
  readInclusionProof,
  verifyInclusion,
  writeInclusionProof,
  type InclusionProof,
} from './inclusion-proof.ts';
import {
  SLOT_GENERATION,
  decodeTransaction,
  maxInputs,
  maxOutputs,
  maxTransactionBytes,
  slotName,
  txidOf,
  type Transaction,
} from './transaction.ts';

/** One section key, as money uses it. */
export interface SectionKey {
  readonly prefix: Prefix;
  /** 96 bytes. */
  readonly key: Uint8Array;
  /** Number of handovers before this key. */
  readonly epoch: bigint;
}

/** The part of a section's authority that money uses; `SectionAuthority` extends it. */
export interface MoneySection extends SectionKey {
  readonly networkId: Uint8Array;
  /** The network's first coin; null in every section but the first. */
  readonly genesisOutput: GenesisOutput | null;
}

/** The network's first coin: its one-time key and the whole supply. */
export interface GenesisOutput {
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
}

/** A key with a successor record: its signatures also need an inclusion proof (N34). */
export interface SupersededKey extends SectionKey {
  /** 32 bytes, from its successor record. */
  readonly sealedRoot: Uint8Array;
}

/** Every section key a verifier knows, current and superseded. */
export interface SectionKeys {
  readonly networkId: Uint8Array;
  readonly genesisOutput: GenesisOutput | null;
  readonly current: readonly SectionKey[];
  readonly superseded: readonly SupersededKey[];
}

/** The view of a verifier that knows one section and no history. */
export const singleSectionKeys = (section: MoneySection): SectionKeys => ({
  networkId: section.networkId,
  genesisOutput: section.genesisOutput,
  current: [section],
  superseded: [],
});

/** PREPARE: an elder votes for this txid in the slot. COMMIT: the slot is spent by it. */
export type SpendPhase = 'PREPARE' | 'COMMIT';

/** The content of a signature share and of a certificate. */
export interface SpendStatement {
  readonly keyImage: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
}

export interface SpendCertificate {
  /** The epoch of the signing section: slot and epoch identify the key. */
  readonly epoch: bigint;
  /** Above 0 after recovery (SPENTBOOK-R3); shares of different ballots never combine (SPENTBOOK-R4). */
  readonly ballot: number;
  /** 48 bytes. */
  readonly signature: Uint8Array;
  /** N34: after the epoch, the proof that its sealed root contains this txid. */
  readonly inclusion: InclusionProof | null;
}

export const SIGNATURE_BYTES = 48;

export type SpendStatementScope = Pick<MoneySection, 'networkId' | 'prefix' | 'key' | 'epoch'>;

/** Identifies a key in requests and signed statements, 32 bytes. */
export const sectionKeyHash = (key: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/section-key', key);

/** The signed bytes; the phase is the signature's purpose and not in the bytes. */
export function spendStatementBytes(
  section: SpendStatementScope,
  statement: SpendStatement,
): Uint8Array {
  return new Writer()
    .label('safe/v1/spentbook/statement')
    .fixed(section.networkId, 32)
    .u8(section.prefix.bitCount)
    .fixed(section.prefix.bits, 32)
    .fixed(sectionKeyHash(section.key), 32)
    .u64(section.epoch)
    .fixed(statement.keyImage, 32)
    .u64(SLOT_GENERATION)
    .u64(BigInt(statement.ballot))
    .fixed(statement.txid, 32)
    .finish();
}

/** Did this section sign the statement, and is it responsible for the slot? */
export function verifySpendCertificate(
  section: SpendStatementScope,
  suite: ThresholdSuite,
  phase: SpendPhase,
  statement: SpendStatement,
  certificate: SpendCertificate,
): boolean {
  if (certificate.ballot !== statement.ballot || certificate.epoch !== section.epoch) return false;
  if (!matches(section.prefix, slotName(statement.keyImage))) return false;
  return suite.verify(
    section.key,
    phase,
    spendStatementBytes(section, statement),
    certificate.signature,
  );
}

/**
 * `requireInclusion`: certificates of superseded epochs need their inclusion proof (N34).
 * `anyKnownKey`: any known key may have signed, current or superseded.
 */
export type EpochCheck = 'requireInclusion' | 'anyKnownKey';

export type CertificateProblem =
  /** Not one per input, or the inclusion proof fails: found without any pairing. */
  | 'badCertificate'
  /** The known key did not sign this: no honest program forwards it. */
  | 'forgedCertificate'
  /** No key is known for this slot and epoch: the verifier may be behind. */
  | 'unknownKey'
  /** The epoch ended and the inclusion proof is missing: the sender may be behind. */
  | 'needsInclusionProof';

/** The known key that signed for this slot in this epoch. */
export function signingKeyFor(
  keys: SectionKeys,
  slot: Uint8Array,
  epoch: bigint,
): { readonly key: SectionKey; readonly sealedRoot: Uint8Array | null } | undefined {
  const fits = (key: SectionKey): boolean => key.epoch === epoch && matches(key.prefix, slot);
  const old = keys.superseded.find(fits);
  if (old !== undefined) return { key: old, sealedRoot: old.sealedRoot };
  const key = keys.current.find(fits);
  return key === undefined ? undefined : { key, sealedRoot: null };
}

/** One certificate of this phase for every input, in order and for this txid. */
export function verifySpendCertificates(
  keys: SectionKeys,
  suite: ThresholdSuite,
  phase: SpendPhase,
  transaction: Transaction,
  certificates: readonly SpendCertificate[],
  epochCheck: EpochCheck = 'requireInclusion',
): Result<true, CertificateProblem> {
  if (certificates.length !== transaction.inputs.length) return err('badCertificate');
  const txid = txidOf(transaction);
  const all = transaction.inputs.flatMap(({ keyImage }, index) => {
    const certificate = certificates[index];
    return certificate === undefined ? [] : [{ keyImage, certificate }];
  });
  // Report unverifiable certificates before invalid ones, so that no sender is blamed for being
  // ahead.
  for (const { keyImage, certificate } of all) {
    const reason = unverifiableReason(keys, slotName(keyImage), certificate, epochCheck);
    if (reason !== null) return err(reason);
  }
  for (const { keyImage, certificate } of all) {
    const statement = { keyImage, ballot: certificate.ballot, txid };
    const known = verifyAnyEpoch(keys, suite, phase, statement, certificate, epochCheck);
    if (!known.ok) return known;
  }
  return ok(true);
}

/** Verifies one certificate of any known section and epoch (N34). */
export function verifyAnyEpoch(
  keys: SectionKeys,
  suite: ThresholdSuite,
  phase: SpendPhase,
  statement: SpendStatement,
  certificate: SpendCertificate,
  epochCheck: EpochCheck = 'requireInclusion',
): Result<true, CertificateProblem> {
  const slot = slotName(statement.keyImage);
  const reason = unverifiableReason(keys, slot, certificate, epochCheck);
  if (reason !== null) return err(reason);
  const signer = signingKeyFor(keys, slot, certificate.epoch);
  if (signer === undefined) return err('unknownKey');
  const { key, sealedRoot } = signer;
  const { inclusion } = certificate;
  if (sealedRoot !== null && epochCheck === 'requireInclusion') {
    const included =
      inclusion !== null && verifyInclusion(sealedRoot, slot, statement.txid, inclusion);
    if (!included) return err('badCertificate');
  }
  const section = { ...key, networkId: keys.networkId };
  return verifySpendCertificate(section, suite, phase, statement, certificate)
    ? ok(true)
    : err('forgedCertificate');
}

/** Why the certificate cannot be verified with these keys; null when it can. */
function unverifiableReason(
  keys: SectionKeys,
  slot: Uint8Array,
  { epoch, inclusion }: SpendCertificate,
  epochCheck: EpochCheck,
): 'unknownKey' | 'needsInclusionProof' | null {
  const signer = signingKeyFor(keys, slot, epoch);
  if (signer === undefined) return 'unknownKey';
  const lacksProof = signer.sealedRoot !== null && inclusion === null;
  return lacksProof && epochCheck === 'requireInclusion' ? 'needsInclusionProof' : null;
}

/** Indexes of the certificates that need an inclusion proof (N34). */
export const missingInclusionProofs = (
  keys: SectionKeys,
  transaction: Transaction,
  certificates: readonly SpendCertificate[],
): readonly number[] =>
  transaction.inputs.flatMap(({ keyImage }, index) => {
    const certificate = certificates[index];
    if (certificate === undefined) return [];
    const reason = unverifiableReason(keys, slotName(keyImage), certificate, 'requireInclusion');
    return reason === 'needsInclusionProof' ? [index] : [];
  });

/** The keys these certificates need, as small as possible: a job receives a copy. */
export function keysForCertificates(
  keys: SectionKeys,
  certificates: readonly Pick<SpendCertificate, 'epoch'>[],
): SectionKeys {
  const epochs = new Set(certificates.map(({ epoch }) => epoch));
  return { ...keys, superseded: keys.superseded.filter(({ epoch }) => epochs.has(epoch)) };
}

/** A final transaction: its bytes and the commit certificate of every input slot. */
export interface CommittedTransaction {
  readonly transaction: Uint8Array;
  readonly certificates: readonly SpendCertificate[];
}

/** One output of a final transaction: a registry record, and the proof of an input. */
export interface RegistryEntry extends CommittedTransaction {
  /** Index in the transaction's sorted outputs. */
  readonly index: number;
}

/** How a payer proves that a coin exists. */
export type InputSource =
  { readonly kind: 'genesis' } | ({ readonly kind: 'committed' } & RegistryEntry);

/** An output proven to exist. */
export interface ProvenOutput {
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  /** Null for the network's first coin. */
  readonly txid: Uint8Array | null;
}

export type ProofProblem = 'malformed' | 'wrongNetwork' | 'noSuchOutput' | CertificateProblem;

export function verifyCommitted(
  keys: SectionKeys,
  suite: ThresholdSuite,
  committed: CommittedTransaction,
  epochCheck: EpochCheck = 'requireInclusion',
): Result<Transaction, ProofProblem> {
  const decoded = decodeTransaction(committed.transaction);
  if (!decoded.ok) return err('malformed');
  if (!equalBytes(decoded.value.networkId, keys.networkId)) return err('wrongNetwork');
  // Five elders signed the txid; input signatures are outside it and prove nothing more.
  const { certificates } = committed;
  const body = decoded.value;
  const verified = verifySpendCertificates(keys, suite, 'COMMIT', body, certificates, epochCheck);
  return verified.ok ? decoded : verified;
}

export function verifyInputSource(
  keys: SectionKeys,
  suite: ThresholdSuite,
  source: InputSource,
): Result<ProvenOutput, ProofProblem> {
  if (source.kind === 'genesis') {
    if (keys.genesisOutput === null) return err('noSuchOutput');
    return ok({ ...keys.genesisOutput, txid: null });
  }
  const committed = verifyCommitted(keys, suite, source);
  if (!committed.ok) return committed;
  const output = committed.value.outputs[source.index];
  if (output === undefined) return err('noSuchOutput');
  const { oneTimeKey, amount } = output;
  return ok({ oneTimeKey, amount, txid: txidOf(committed.value) });
}

const entryVersion = 2;
const maxPathBytes = 1 + 32 + 4 + 4 + 1 + maxProofSiblings * 32;
const maxCertificateBytes = 8 + 8 + SIGNATURE_BYTES + 1 + maxPathBytes;
/** The longest transaction, and eight certificates with the longest inclusion proofs. */
export const maxCommittedBytes = 4 + maxTransactionBytes + 1 + maxInputs * maxCertificateBytes;
/** Preceded by version and index. */
export const maxEntryBytes = 2 + maxCommittedBytes;

export function encodeCommitted(writer: Writer, committed: CommittedTransaction): Writer {
  writer.sized(committed.transaction);
  return writeSpendCertificates(writer, committed.certificates);
}

/** @returns undefined when the reader failed or a number is out of range. */
export function decodeCommitted(reader: Reader): CommittedTransaction | undefined {
  const transaction = reader.sized(maxTransactionBytes);
  const certificates = readSpendCertificates(reader);
  return certificates && { transaction, certificates };
}

export function writeSpendCertificates(
  writer: Writer,
  certificates: readonly SpendCertificate[],
): Writer {
  writer.u8(certificates.length);
  for (const { epoch, ballot, signature, inclusion } of certificates) {
    writer.u64(epoch).u64(BigInt(ballot)).fixed(signature, SIGNATURE_BYTES);
    if (inclusion === null) writer.u8(0);
    else writeInclusionProof(writer.u8(1), inclusion);
  }
  return writer;
}

export function readSpendCertificates(reader: Reader): readonly SpendCertificate[] | undefined {
  const count = reader.u8();
  if (count < 1 || count > maxInputs) return undefined;
  const certificates: SpendCertificate[] = [];
  for (let i = 0; i < count; i++) {
    const epoch = reader.u64();
    const ballot = reader.u64();
    const signature = reader.fixed(SIGNATURE_BYTES);
    const flag = reader.u8();
    const inclusion = flag === 1 ? readInclusionProof(reader) : null;
    if (flag > 1 || inclusion === undefined) return undefined;
    if (ballot > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    certificates.push({ epoch, ballot: Number(ballot), signature, inclusion });
  }
  return certificates;
}

/** One registered output: below 6 kB without inclusion proofs. */
export const encodeRegistryEntry = (entry: RegistryEntry): Uint8Array =>
  encodeCommitted(new Writer().u8(entryVersion).u8(entry.index), entry).finish();

export function decodeRegistryEntry(bytes: Uint8Array): Result<RegistryEntry, 'malformed'> {
  if (bytes.length > maxEntryBytes) return err('malformed');
  const reader = new Reader(bytes);
  if (reader.u8() !== entryVersion) return err('malformed');
  const index = reader.u8();
  const committed = decodeCommitted(reader);
  if (committed === undefined || !reader.finish() || index >= maxOutputs) return err('malformed');
  return ok({ ...committed, index });
}

/** Decodes a registry entry and verifies it against the known keys. */
export function openRegistryEntry(
  keys: SectionKeys,
  suite: ThresholdSuite,
  bytes: Uint8Array,
  epochCheck: EpochCheck = 'requireInclusion',
): Result<
  ProvenOutput & { readonly entry: RegistryEntry; readonly transaction: Transaction },
  ProofProblem
> {
  const entry = decodeRegistryEntry(bytes);
  if (!entry.ok) return entry;
  const committed = verifyCommitted(keys, suite, entry.value, epochCheck);
  if (!committed.ok) return committed;
  const output = committed.value.outputs[entry.value.index];
  if (output === undefined) return err('noSuchOutput');
  const { oneTimeKey, amount } = output;
  const txid = txidOf(committed.value);
  return ok({ oneTimeKey, amount, txid, entry: entry.value, transaction: committed.value });
}
