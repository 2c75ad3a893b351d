/**
 * Snapshots: the entries one elder had written when its section froze, and the merge of five
 * snapshots (HANDOVER-R6). They cover one epoch; entries of earlier epochs are under earlier roots.
 */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { Reader, Writer, compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  readSpendCertificates,
  verifySpendCertificate,
  verifySpendCertificates,
  writeSpendCertificates,
  type SpendCertificate,
  type MoneySection,
  type SectionKeys,
} from './spend-certificate.ts';
import {
  merkleLeafHash,
  rangeProofs,
  merkleRoot,
  rangeProofFrom,
  verifyRangeProof,
  type MerkleLeaf,
} from './inclusion-proof.ts';
import {
  decodeTransaction,
  inputAt,
  maxOutputs,
  maxTransactionBytes,
  txidOf,
} from './transaction.ts';
import { verifyInputSignatures } from './verify-transaction.ts';

export type SnapshotEntry =
  /** Its COMMIT may have begun: the next epoch may only write this transaction. */
  | {
      readonly kind: 'bound';
      readonly slot: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      /** The prepare certificate of every input, without inclusion proofs. */
      readonly prepared: readonly SpendCertificate[];
    }
  | {
      readonly kind: 'decided';
      readonly slot: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      /** The commit certificate of this slot. */
      readonly certificate: SpendCertificate;
    }
  /** A registered output. */
  | {
      readonly kind: 'output';
      readonly key: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      readonly certificates: readonly SpendCertificate[];
      readonly index: number;
    };

/** A transaction, eight certificates and a name. */
export const maxSnapshotEntryBytes = 8 * 1024;
/** Maximum size of a page; an entry always fits. */
export const maxSnapshotPageBytes = 256 * 1024;
const kinds = ['bound', 'decided', 'output'] as const;

export const entryName = (entry: SnapshotEntry): Uint8Array =>
  entry.kind === 'output' ? entry.key : entry.slot;

/** The address that decides which child of a split stores the entry. */
export const entryAddress = (entry: SnapshotEntry): Uint8Array =>
  entry.kind === 'output' ? labelledHash('safe/v1/output', entry.key) : entry.slot;

export function encodeSnapshotEntry(entry: SnapshotEntry): Uint8Array {
  const writer = new Writer()
    .u8(kinds.indexOf(entry.kind))
    .fixed(entryName(entry), 32)
    .sized(entry.transaction);
  switch (entry.kind) {
    case 'bound':
      return writeSpendCertificates(writer, entry.prepared).finish();
    case 'decided':
      return writeSpendCertificates(writer, [entry.certificate]).finish();
    case 'output':
      return writeSpendCertificates(writer, entry.certificates).u8(entry.index).finish();
    default:
      return assertNever(entry);
  }
}

/** Checks the layout only; certificates must have no inclusion proofs: one encoding per entry. */
export function decodeSnapshotEntry(bytes: Uint8Array): Result<SnapshotEntry, 'malformed'> {
  if (bytes.length > maxSnapshotEntryBytes) return err('malformed');
  const reader = new Reader(bytes);
  const kind = kinds[reader.u8()];
  const name = reader.fixed(32);
  const transaction = reader.sized(maxTransactionBytes);
  const certificates = readSpendCertificates(reader);
  const index = kind === 'output' ? reader.u8() : 0;
  if (kind === undefined || certificates === undefined || !reader.finish()) return err('malformed');
  if (certificates.some(({ inclusion }) => inclusion !== null)) return err('malformed');
  const decoded = decodeTransaction(transaction);
  const [certificate] = certificates;
  if (!decoded.ok || certificate === undefined) return err('malformed');
  const txid = txidOf(decoded.value);
  if (kind === 'output') {
    if (index >= maxOutputs) return err('malformed');
    return ok({ kind, key: name, txid, transaction, certificates, index });
  }
  if (kind === 'bound') return ok({ kind, slot: name, txid, transaction, prepared: certificates });
  if (certificates.length !== 1) return err('malformed');
  return ok({ kind, slot: name, txid, transaction, certificate });
}

export const merkleLeafOf = (entry: SnapshotEntry): MerkleLeaf => ({
  kind: entry.kind,
  name: entryName(entry),
  txid: entry.txid,
  body: labelledHash('safe/v1/sealed/body', encodeSnapshotEntry(entry)),
});

/** @returns 32 bytes: the root of a snapshot, or of merged snapshots. */
export const snapshotRoot = (entries: readonly SnapshotEntry[]): Uint8Array =>
  merkleRoot(entries.map((entry) => merkleLeafHash(merkleLeafOf(entry))));

/** Slots first, then outputs, each by name: the canonical order of entries. */
export const sortSnapshotEntries = (entries: readonly SnapshotEntry[]): readonly SnapshotEntry[] =>
  [...entries].sort(compareEntries);

const isOutput = (entry: SnapshotEntry): number => (entry.kind === 'output' ? 1 : 0);

const compareEntries = (a: SnapshotEntry, b: SnapshotEntry): number =>
  isOutput(a) - isOutput(b) || compareBytes(entryName(a), entryName(b));

/** Each name once, in order. */
export const areEntriesSorted = (entries: readonly SnapshotEntry[]): boolean =>
  entries.every((entry, at) => {
    const before = entries[at - 1];
    return before === undefined || compareEntries(before, entry) < 0;
  });

/** The same entries as pages of bounded size; at least one page. */
function splitIntoPages(
  entries: readonly SnapshotEntry[],
  maxBytes: number,
): readonly (readonly Uint8Array[])[] {
  const pages: Uint8Array[][] = [[]];
  let size = 0;
  for (const bytes of entries.map(encodeSnapshotEntry)) {
    if (size > 0 && size + bytes.length + 4 > maxBytes) {
      pages.push([]);
      size = 0;
    }
    pages.at(-1)?.push(bytes);
    size += bytes.length + 4;
  }
  return pages;
}

/** A page with its own proof, so a receiver need not trust it until the last page arrives. */
export interface ProvenPage {
  /** Index of its first entry, and the number of entries in the list. */
  readonly start: number;
  readonly count: number;
  /** Sibling hashes of its entries, up to the root. */
  readonly siblings: readonly Uint8Array[];
  /** Encoded entries, in order. */
  readonly entries: readonly Uint8Array[];
}

/** @param maxBytes of a page; simulations use less, so that small lists have several pages. */
export function provenPages(
  entries: readonly SnapshotEntry[],
  maxBytes: number = maxSnapshotPageBytes,
): readonly ProvenPage[] {
  const count = entries.length;
  const pages = splitIntoPages(entries, maxBytes);
  let next = 0;
  const ranges = pages.map(({ length }) => {
    const start = next;
    next += length;
    return { start, length };
  });
  const leaves = entries.map((entry) => merkleLeafHash(merkleLeafOf(entry)));
  const proofs = rangeProofs(leaves, ranges);
  return pages.map((page, at) => ({
    start: ranges[at]?.start ?? 0,
    count,
    siblings: proofs[at] ?? [],
    entries: page,
  }));
}

/**
 * A page that is not the last and has room for any further entry. `provenPages` makes none, but
 * `restOfPage` does, for a peer that has the first entries already.
 */
export function isShortPage({ start, count, entries }: ProvenPage): boolean {
  const size = entries.reduce((sum, { length }) => sum + length + 4, 0);
  const isLast = start + entries.length === count;
  return !isLast && size + maxSnapshotEntryBytes + 4 <= maxSnapshotPageBytes;
}

/** The rest of a page, with its own proof. @param from the index of one of its entries. */
export function restOfPage(page: ProvenPage, from: number): ProvenPage | null {
  const { start, count, siblings, entries } = page;
  if (from < start || from >= start + entries.length) return null;
  const leaves: Uint8Array[] = [];
  for (const bytes of entries) {
    const entry = decodeSnapshotEntry(bytes);
    if (!entry.ok) return null;
    leaves.push(merkleLeafHash(merkleLeafOf(entry.value)));
  }
  return {
    start: from,
    count,
    siblings: rangeProofFrom(from, start, count, leaves, siblings),
    entries: entries.slice(from - start),
  };
}

/** The entries of one page of the list with this root. */
export function verifyPage(
  root: Uint8Array,
  { start, count, siblings, entries: encoded }: ProvenPage,
): Result<readonly SnapshotEntry[], 'malformed' | 'otherRoot'> {
  const entries: SnapshotEntry[] = [];
  for (const bytes of encoded) {
    const entry = decodeSnapshotEntry(bytes);
    if (!entry.ok) return entry;
    entries.push(entry.value);
  }
  if (!areEntriesSorted(entries)) return err('malformed');
  const leaves = entries.map((entry) => merkleLeafHash(merkleLeafOf(entry)));
  return verifyRangeProof(root, start, count, leaves, siblings) ? ok(entries) : err('otherRoot');
}

/** Why an entry must not be in a snapshot of this section. `unknownKey`: update and retry. */
export type EntryProblem =
  'otherSection' | 'otherSpend' | 'badCertificate' | 'badSignature' | 'unknownKey';

/**
 * N23: is every entry proven? Certificates of other sections may be under any known key, current or
 * superseded, so that the result does not depend on later records this elder received.
 * @param known must contain this section's key, current or superseded.
 */
export function verifyEntries(
  section: MoneySection,
  known: SectionKeys,
  suite: ThresholdSuite,
  entries: readonly SnapshotEntry[],
): Result<true, EntryProblem> {
  for (const entry of entries) {
    const problem = problemOf(section, known, suite, entry);
    if (problem !== null) return err(problem);
  }
  return ok(true);
}

function problemOf(
  section: MoneySection,
  known: SectionKeys,
  suite: ThresholdSuite,
  entry: SnapshotEntry,
): EntryProblem | null {
  if (!matches(section.prefix, entryAddress(entry))) return 'otherSection';
  const decoded = decodeTransaction(entry.transaction);
  if (!decoded.ok || !equalBytes(decoded.value.networkId, section.networkId)) return 'otherSpend';
  const transaction = decoded.value;
  if (entry.kind === 'output') {
    const output = transaction.outputs[entry.index];
    if (!output || !equalBytes(output.oneTimeKey, entry.key)) return 'otherSpend';
    const { certificates } = entry;
    return toEntryProblem(
      verifySpendCertificates(known, suite, 'COMMIT', transaction, certificates, 'anyKnownKey'),
    );
  }
  const input = inputAt(transaction, entry.slot);
  if (input === undefined) return 'otherSpend';
  if (!verifyInputSignatures(transaction)) return 'badSignature';
  if (entry.kind === 'decided') {
    const { keyImage } = input;
    const { certificate, txid } = entry;
    const statement = { keyImage, ballot: certificate.ballot, txid };
    return verifySpendCertificate(section, suite, 'COMMIT', statement, certificate)
      ? null
      : 'badCertificate';
  }
  const own = entry.prepared[transaction.inputs.indexOf(input)];
  if (own?.epoch !== section.epoch) return 'badCertificate';
  return toEntryProblem(
    verifySpendCertificates(known, suite, 'PREPARE', transaction, entry.prepared, 'anyKnownKey'),
  );
}

const toEntryProblem = (proven: ReturnType<typeof verifySpendCertificates>): EntryProblem | null =>
  proven.ok ? null : proven.error === 'unknownKey' ? 'unknownKey' : 'badCertificate';

export interface Snapshot {
  /** 1…7. */
  readonly elder: number;
  readonly entries: readonly SnapshotEntry[];
}

export interface MergedSnapshots {
  readonly entries: readonly SnapshotEntry[];
  readonly sealedRoot: Uint8Array;
}

/** With fewer, a final payment might be in none of them: 5 + 5 − 7 − 2 = 1 honest witness. */
export const snapshotsRequired = 5;

/**
 * HANDOVER-R6: a decision wins, else the bundle with the highest ballot binds, else the slot is open. The
 * result does not depend on the order of the snapshots.
 */
export function mergeSnapshots(snapshots: readonly Snapshot[]): MergedSnapshots {
  const elders = new Set(snapshots.map(({ elder }) => elder));
  assert(elders.size === snapshots.length, 'one snapshot of each elder');
  assert(elders.size >= snapshotsRequired, 'five snapshots or more');
  const byName = new Map<string, SnapshotEntry[]>();
  for (const { entries } of snapshots) {
    for (const entry of entries) {
      const name = `${isOutput(entry)}${toHex(entryName(entry))}`;
      byName.set(name, [...(byName.get(name) ?? []), entry]);
    }
  }
  const entries = sortSnapshotEntries([...byName.values()].map(winningEntry));
  return { entries, sealedRoot: snapshotRoot(entries) };
}

function winningEntry(entries: readonly SnapshotEntry[]): SnapshotEntry {
  const witnesses = new Map<string, number>();
  for (const { txid } of entries) witnesses.set(toHex(txid), (witnesses.get(toHex(txid)) ?? 0) + 1);
  const weigh = (a: SnapshotEntry, b: SnapshotEntry): number =>
    rank(b) - rank(a) ||
    ballotOf(b) - ballotOf(a) ||
    // Only the payer can make two entries of one output: most witnesses win, then the lower txid.
    (witnesses.get(toHex(b.txid)) ?? 0) - (witnesses.get(toHex(a.txid)) ?? 0) ||
    compareBytes(a.txid, b.txid) ||
    compareBytes(encodeSnapshotEntry(a), encodeSnapshotEntry(b));
  const [first] = [...entries].sort(weigh);
  assert(first !== undefined, 'every name is in a snapshot');
  return first;
}

const rank = (entry: SnapshotEntry): number => (entry.kind === 'decided' ? 1 : 0);

/** The ballot of the slot's own prepare certificate. */
function ballotOf(entry: SnapshotEntry): number {
  if (entry.kind !== 'bound') return 0;
  const decoded = decodeTransaction(entry.transaction);
  if (!decoded.ok) return 0;
  const input = inputAt(decoded.value, entry.slot);
  return input === undefined
    ? 0
    : (entry.prepared[decoded.value.inputs.indexOf(input)]?.ballot ?? 0);
}
