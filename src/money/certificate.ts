/** Certificates: what five of seven elders of a slot's section signed together (ecash d.7). */
import { matches, type Prefix } from '#address/prefix.ts';
import { Reader, Writer, equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
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

/** What money needs to know of a section's authority; `SectionAuthority` is one of these. */
export interface MoneySection {
  readonly networkId: Uint8Array;
  readonly prefix: Prefix;
  /** The section key, 96 bytes. */
  readonly key: Uint8Array;
  /** The network's first coin; null in every section but the first. */
  readonly genesisOutput: { readonly oneTimeKey: Uint8Array; readonly amount: bigint } | null;
}

/** PREPARE: "this slot is written with this txid". COMMIT: "it is spent by it", the mint's word. */
export type Phase = 'PREPARE' | 'COMMIT';

/** What a share and a certificate say. */
export interface Statement {
  readonly keyImage: Uint8Array;
  readonly ballot: number;
  readonly txid: Uint8Array;
}

export interface Certificate {
  /** Always 0 until recovery (R3) exists; shares of different ballots never combine (R4). */
  readonly ballot: number;
  /** 48 bytes. */
  readonly signature: Uint8Array;
}

export const SIGNATURE_BYTES = 48;

/** The signed bytes; the phase is in the signature's purpose, never in the bytes. */
export function statementBytes(section: MoneySection, statement: Statement): Uint8Array {
  return new Writer()
    .label('safe/v1/spentbook/statement')
    .fixed(section.networkId, 32)
    .u8(section.prefix.bitCount)
    .fixed(section.prefix.bits, 32)
    .fixed(labelledHash('safe/v1/section-key', section.key), 32)
    .fixed(statement.keyImage, 32)
    .u64(SLOT_GENERATION)
    .u64(BigInt(statement.ballot))
    .fixed(statement.txid, 32)
    .finish();
}

/** Is it the section's word for this statement, and is the section responsible for the slot? */
export function verifyCertificate(
  section: MoneySection,
  suite: ThresholdSuite,
  phase: Phase,
  statement: Statement,
  certificate: Certificate,
): boolean {
  if (certificate.ballot !== statement.ballot) return false;
  if (!matches(section.prefix, slotName(statement.keyImage))) return false;
  return suite.verify(
    section.key,
    phase,
    statementBytes(section, statement),
    certificate.signature,
  );
}

/** One certificate of this phase for every input, in order and for this txid. */
export function verifyCertificates(
  section: MoneySection,
  suite: ThresholdSuite,
  phase: Phase,
  transaction: Transaction,
  certificates: readonly Certificate[],
): boolean {
  if (certificates.length !== transaction.inputs.length) return false;
  const txid = txidOf(transaction);
  return transaction.inputs.every(({ keyImage }, index) => {
    const certificate = certificates[index];
    if (certificate === undefined) return false;
    const statement = { keyImage, ballot: certificate.ballot, txid };
    return verifyCertificate(section, suite, phase, statement, certificate);
  });
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

export type ProofProblem = 'malformed' | 'wrongNetwork' | 'noSuchOutput' | 'badCertificate';

export function verifyCommitted(
  section: MoneySection,
  suite: ThresholdSuite,
  committed: CommittedTransaction,
): Result<Transaction, ProofProblem> {
  const decoded = decodeTransaction(committed.transaction);
  if (!decoded.ok) return err('malformed');
  if (!equalBytes(decoded.value.networkId, section.networkId)) return err('wrongNetwork');
  // The body is vouched for by five elders; input signatures are outside the txid and add nothing.
  return verifyCertificates(section, suite, 'COMMIT', decoded.value, committed.certificates)
    ? ok(decoded.value)
    : err('badCertificate');
}

export function verifySource(
  section: MoneySection,
  suite: ThresholdSuite,
  source: Source,
): Result<ProvenOutput, ProofProblem> {
  if (source.kind === 'genesis') {
    if (section.genesisOutput === null) return err('noSuchOutput');
    return ok({ ...section.genesisOutput, txid: null });
  }
  const committed = verifyCommitted(section, suite, source);
  if (!committed.ok) return committed;
  const output = committed.value.outputs[source.index];
  if (output === undefined) return err('noSuchOutput');
  const { oneTimeKey, amount } = output;
  return ok({ oneTimeKey, amount, txid: txidOf(committed.value) });
}

const entryVersion = 1;
/** Version, index, the longest transaction, eight certificates. */
export const maxEntryBytes = 2 + 4 + maxTransactionBytes + 1 + maxInputs * (8 + SIGNATURE_BYTES);

export function encodeCommitted(writer: Writer, committed: CommittedTransaction): Writer {
  writer.sized(committed.transaction).u8(committed.certificates.length);
  for (const { ballot, signature } of committed.certificates) {
    writer.u64(BigInt(ballot)).fixed(signature, SIGNATURE_BYTES);
  }
  return writer;
}

/** @returns undefined when the reader failed or a number is out of range. */
export function decodeCommitted(reader: Reader): CommittedTransaction | undefined {
  const transaction = reader.sized(maxTransactionBytes);
  const count = reader.u8();
  if (count < 1 || count > maxInputs) return undefined;
  const certificates: Certificate[] = [];
  for (let i = 0; i < count; i++) {
    const ballot = reader.u64();
    if (ballot > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    certificates.push({ ballot: Number(ballot), signature: reader.fixed(SIGNATURE_BYTES) });
  }
  return { transaction, certificates };
}

/** One line of the list of registered outputs, below 8 kB. */
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

/** Opens and checks a line of the registry against the section key alone. */
export function openRegistryEntry(
  section: MoneySection,
  suite: ThresholdSuite,
  bytes: Uint8Array,
): Result<
  ProvenOutput & { readonly entry: RegistryEntry; readonly transaction: Transaction },
  ProofProblem
> {
  const entry = decodeEntry(bytes);
  if (!entry.ok) return entry;
  const committed = verifyCommitted(section, suite, entry.value);
  if (!committed.ok) return committed;
  const output = committed.value.outputs[entry.value.index];
  if (output === undefined) return err('noSuchOutput');
  const { oneTimeKey, amount } = output;
  const txid = txidOf(committed.value);
  return ok({ oneTimeKey, amount, txid, entry: entry.value, transaction: committed.value });
}
