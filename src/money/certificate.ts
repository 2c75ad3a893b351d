/** Certificates: what five of seven elders of a slot's section signed together (ecash d.7). */
import { matches, type Prefix } from '#address/prefix.ts';
import { Reader, Writer, equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  maxSealedSiblings,
  readSealedPath,
  verifySealed,
  writeSealedPath,
  type SealedPath,
} from './sealed.ts';
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

/** What money needs to know of one section key. */
export interface MoneyKey {
  readonly prefix: Prefix;
  /** 96 bytes. */
  readonly key: Uint8Array;
  /** How many handovers lie before this key. */
  readonly epoch: bigint;
}

/** What money needs to know of a section's authority; `SectionAuthority` is one of these. */
export interface MoneySection extends MoneyKey {
  readonly networkId: Uint8Array;
  /** The network's first coin; null in every section but the first. */
  readonly genesisOutput: GenesisOutput | null;
}

export interface GenesisOutput {
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
}

/** A key that signed who follows it: its word counts no longer by itself (N34). */
export interface SupersededKey extends MoneyKey {
  /** 32 bytes, from its successor record. */
  readonly sealedRoot: Uint8Array;
}

/** Every section key a verifier knows, and which of them still speak. */
export interface SectionKeys {
  readonly networkId: Uint8Array;
  readonly genesisOutput: GenesisOutput | null;
  readonly current: readonly MoneyKey[];
  readonly superseded: readonly SupersededKey[];
}

/** The view of who knows one section and no history. */
export const onlySection = (section: MoneySection): SectionKeys => ({
  networkId: section.networkId,
  genesisOutput: section.genesisOutput,
  current: [section],
  superseded: [],
});

/** PREPARE: "this slot is written with this txid". COMMIT: "it is spent by it", the mint's word. */
export type Phase = 'PREPARE' | 'COMMIT';

/** What a share and a certificate say. */
export interface Statement {
  readonly keyImage: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
}

export interface Certificate {
  /** The epoch of the section that signed: with the slot it names the key. */
  readonly epoch: bigint;
  /** Always 0 until recovery (R3) exists; shares of different ballots never combine (R4). */
  readonly ballot: number;
  /** 48 bytes. */
  readonly signature: Uint8Array;
  /** N34: once the epoch is over, what shows that its sealed root knows this txid. */
  readonly sealed: SealedPath | null;
}

export const SIGNATURE_BYTES = 48;

export type StatementSection = Pick<MoneySection, 'networkId' | 'prefix' | 'key' | 'epoch'>;

/** Names a key in requests and signed statements, 32 bytes. */
export const sectionKeyHash = (key: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/section-key', key);

/** The signed bytes; the phase is in the signature's purpose, never in the bytes. */
export function statementBytes(section: StatementSection, statement: Statement): Uint8Array {
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

/** Is it this section's word for this statement, and is the section responsible for the slot? */
export function verifyCertificate(
  section: StatementSection,
  suite: ThresholdSuite,
  phase: Phase,
  statement: Statement,
  certificate: Certificate,
): boolean {
  if (certificate.ballot !== statement.ballot || certificate.epoch !== section.epoch) return false;
  if (!matches(section.prefix, slotName(statement.keyImage))) return false;
  return suite.verify(
    section.key,
    phase,
    statementBytes(section, statement),
    certificate.signature,
  );
}

/**
 * `now`: certificates of superseded epochs need their path (N34). `ever`: it is enough that a key
 * this verifier knows signed once, which is no matter of what it has heard since.
 */
export type Reckoning = 'now' | 'ever';

export type CertificateProblem =
  /** Not one per input, or the path is not of this root: found by hashes alone. */
  | 'badCertificate'
  /** The key is known and did not sign this: no program that verifies certificates passes it on. */
  | 'forgedCertificate'
  /** No key is known for this slot and epoch: the verifier may be behind. */
  | 'unknownKey'
  /** The epoch is over and no path is there: the bearer may be behind. */
  | 'superseded';

/** The key that signed for this slot in this epoch, as far as it is known. */
export function keyAt(
  keys: SectionKeys,
  slot: Uint8Array,
  epoch: bigint,
): { readonly key: MoneyKey; readonly sealedRoot: Uint8Array | null } | undefined {
  const fits = (key: MoneyKey): boolean => key.epoch === epoch && matches(key.prefix, slot);
  const old = keys.superseded.find(fits);
  if (old !== undefined) return { key: old, sealedRoot: old.sealedRoot };
  const key = keys.current.find(fits);
  return key === undefined ? undefined : { key, sealedRoot: null };
}

/** One certificate of this phase for every input, in order and for this txid. */
export function verifyCertificates(
  keys: SectionKeys,
  suite: ThresholdSuite,
  phase: Phase,
  transaction: Transaction,
  certificates: readonly Certificate[],
  reckoning: Reckoning = 'now',
): Result<true, CertificateProblem> {
  if (certificates.length !== transaction.inputs.length) return err('badCertificate');
  const txid = txidOf(transaction);
  const all = transaction.inputs.flatMap(({ keyImage }, index) => {
    const certificate = certificates[index];
    return certificate === undefined ? [] : [{ keyImage, certificate }];
  });
  // What cannot be judged comes before what is wrong, so that nobody is blamed for being ahead.
  for (const { keyImage, certificate } of all) {
    const unjudged = unjudgeable(keys, slotName(keyImage), certificate, reckoning);
    if (unjudged !== null) return err(unjudged);
  }
  for (const { keyImage, certificate } of all) {
    const statement = { keyImage, ballot: certificate.ballot, txid };
    const known = verifyKnown(keys, suite, phase, statement, certificate, reckoning);
    if (!known.ok) return known;
  }
  return ok(true);
}

/** One certificate of any section and epoch that this verifier knows (N34). */
export function verifyKnown(
  keys: SectionKeys,
  suite: ThresholdSuite,
  phase: Phase,
  statement: Statement,
  certificate: Certificate,
  reckoning: Reckoning = 'now',
): Result<true, CertificateProblem> {
  const slot = slotName(statement.keyImage);
  const unjudged = unjudgeable(keys, slot, certificate, reckoning);
  if (unjudged !== null) return err(unjudged);
  const signer = keyAt(keys, slot, certificate.epoch);
  if (signer === undefined) return err('unknownKey');
  const { key, sealedRoot } = signer;
  const { sealed } = certificate;
  if (sealedRoot !== null && reckoning === 'now') {
    const included = sealed !== null && verifySealed(sealedRoot, slot, statement.txid, sealed);
    if (!included) return err('badCertificate');
  }
  const section = { ...key, networkId: keys.networkId };
  return verifyCertificate(section, suite, phase, statement, certificate)
    ? ok(true)
    : err('forgedCertificate');
}

/** Why nothing can be said about it here and now; null when something can. */
function unjudgeable(
  keys: SectionKeys,
  slot: Uint8Array,
  { epoch, sealed }: Certificate,
  reckoning: Reckoning,
): 'unknownKey' | 'superseded' | null {
  const signer = keyAt(keys, slot, epoch);
  if (signer === undefined) return 'unknownKey';
  const lacksPath = signer.sealedRoot !== null && sealed === null;
  return lacksPath && reckoning === 'now' ? 'superseded' : null;
}

/** Which of these certificates wait for a path (N34), by index. */
export const unsealedAt = (
  keys: SectionKeys,
  transaction: Transaction,
  certificates: readonly Certificate[],
): readonly number[] =>
  transaction.inputs.flatMap(({ keyImage }, index) => {
    const certificate = certificates[index];
    if (certificate === undefined) return [];
    const unjudged = unjudgeable(keys, slotName(keyImage), certificate, 'now');
    return unjudged === 'superseded' ? [index] : [];
  });

/** The same view with no more history than these certificates ask for: what a job takes along. */
export function onlyCited(
  keys: SectionKeys,
  certificates: readonly Pick<Certificate, 'epoch'>[],
): SectionKeys {
  const epochs = new Set(certificates.map(({ epoch }) => epoch));
  return { ...keys, superseded: keys.superseded.filter(({ epoch }) => epochs.has(epoch)) };
}

/** A final transaction: its bytes and the commit certificate of every input slot. */
export interface CommittedTransaction {
  readonly transaction: Uint8Array;
  readonly certificates: readonly Certificate[];
}

/** One output of a final transaction: what the registry lists, and how an input is proven. */
export interface RegistryEntry extends CommittedTransaction {
  /** Place in the transaction's sorted outputs. */
  readonly index: number;
}

/** How a payer shows that a coin exists. */
export type Source =
  { readonly kind: 'genesis' } | ({ readonly kind: 'committed' } & RegistryEntry);

/** An output somebody proved to exist. */
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
  reckoning: Reckoning = 'now',
): Result<Transaction, ProofProblem> {
  const decoded = decodeTransaction(committed.transaction);
  if (!decoded.ok) return err('malformed');
  if (!equalBytes(decoded.value.networkId, keys.networkId)) return err('wrongNetwork');
  // The body is vouched for by five elders; input signatures are outside the txid and add nothing.
  const { certificates } = committed;
  const body = decoded.value;
  const verified = verifyCertificates(keys, suite, 'COMMIT', body, certificates, reckoning);
  return verified.ok ? decoded : verified;
}

export function verifySource(
  keys: SectionKeys,
  suite: ThresholdSuite,
  source: Source,
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
const maxPathBytes = 1 + 32 + 4 + 4 + 1 + maxSealedSiblings * 32;
const maxCertificateBytes = 8 + 8 + SIGNATURE_BYTES + 1 + maxPathBytes;
/** The longest transaction, and eight certificates with the longest paths. */
export const maxCommittedBytes = 4 + maxTransactionBytes + 1 + maxInputs * maxCertificateBytes;
/** Version and index in front. */
export const maxEntryBytes = 2 + maxCommittedBytes;

export function encodeCommitted(writer: Writer, committed: CommittedTransaction): Writer {
  writer.sized(committed.transaction);
  return writeCertificates(writer, committed.certificates);
}

/** @returns undefined when the reader failed or a number is out of range. */
export function decodeCommitted(reader: Reader): CommittedTransaction | undefined {
  const transaction = reader.sized(maxTransactionBytes);
  const certificates = readCertificates(reader);
  return certificates && { transaction, certificates };
}

export function writeCertificates(writer: Writer, certificates: readonly Certificate[]): Writer {
  writer.u8(certificates.length);
  for (const { epoch, ballot, signature, sealed } of certificates) {
    writer.u64(epoch).u64(BigInt(ballot)).fixed(signature, SIGNATURE_BYTES);
    if (sealed === null) writer.u8(0);
    else writeSealedPath(writer.u8(1), sealed);
  }
  return writer;
}

export function readCertificates(reader: Reader): readonly Certificate[] | undefined {
  const count = reader.u8();
  if (count < 1 || count > maxInputs) return undefined;
  const certificates: Certificate[] = [];
  for (let i = 0; i < count; i++) {
    const epoch = reader.u64();
    const ballot = reader.u64();
    const signature = reader.fixed(SIGNATURE_BYTES);
    const flag = reader.u8();
    const sealed = flag === 1 ? readSealedPath(reader) : null;
    if (flag > 1 || sealed === undefined) return undefined;
    if (ballot > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    certificates.push({ epoch, ballot: Number(ballot), signature, sealed });
  }
  return certificates;
}

/** One line of the list of registered outputs: below 6 kB without paths. */
export const encodeEntry = (entry: RegistryEntry): Uint8Array =>
  encodeCommitted(new Writer().u8(entryVersion).u8(entry.index), entry).finish();

export function decodeEntry(bytes: Uint8Array): Result<RegistryEntry, 'malformed'> {
  if (bytes.length > maxEntryBytes) return err('malformed');
  const reader = new Reader(bytes);
  if (reader.u8() !== entryVersion) return err('malformed');
  const index = reader.u8();
  const committed = decodeCommitted(reader);
  if (committed === undefined || !reader.finish() || index >= maxOutputs) return err('malformed');
  return ok({ ...committed, index });
}

/** Opens and checks a line of the registry against the keys that are known. */
export function openRegistryEntry(
  keys: SectionKeys,
  suite: ThresholdSuite,
  bytes: Uint8Array,
  reckoning: Reckoning = 'now',
): Result<
  ProvenOutput & { readonly entry: RegistryEntry; readonly transaction: Transaction },
  ProofProblem
> {
  const entry = decodeEntry(bytes);
  if (!entry.ok) return entry;
  const committed = verifyCommitted(keys, suite, entry.value, reckoning);
  if (!committed.ok) return committed;
  const output = committed.value.outputs[entry.value.index];
  if (output === undefined) return err('noSuchOutput');
  const { oneTimeKey, amount } = output;
  const txid = txidOf(committed.value);
  return ok({ oneTimeKey, amount, txid, entry: entry.value, transaction: committed.value });
}
