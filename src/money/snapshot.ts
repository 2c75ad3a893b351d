/**
 * What a section had written when it stopped: one elder's snapshot, and what five of them merge to
 * (ecash f.6). Snapshots hold one epoch; what lies before it stands in earlier sealed roots.
 */
import { matches } from '#address/prefix.ts';
import { assert, assertNever } from '#core/assert.ts';
import { Reader, Writer, compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  readCertificates,
  verifyCertificate,
  verifyCertificates,
  writeCertificates,
  type Certificate,
  type MoneySection,
  type SectionKeys,
} from './certificate.ts';
import {
  sealedLeafHash,
  sealedRanges,
  sealedRootOf,
  siblingsFrom,
  verifyRange,
  type SealedLeaf,
} from './sealed.ts';
import {
  decodeTransaction,
  inputAt,
  maxOutputs,
  maxTransactionBytes,
  txidOf,
} from './transaction.ts';
import { signaturesHold } from './verify.ts';

export type SealedEntry =
  /** Its COMMIT may have begun: the next epoch may write this transaction alone. */
  | {
      readonly kind: 'bound';
      readonly slot: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      /** The prepared certificate of every input, without paths. */
      readonly prepared: readonly Certificate[];
    }
  | {
      readonly kind: 'decided';
      readonly slot: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      /** The commit certificate of this slot. */
      readonly certificate: Certificate;
    }
  /** A line of the list of registered outputs. */
  | {
      readonly kind: 'output';
      readonly key: Uint8Array;
      readonly txid: Uint8Array;
      readonly transaction: Uint8Array;
      readonly certificates: readonly Certificate[];
      readonly index: number;
    };

/** Transaction, eight certificates, a name. */
export const maxSealedEntryBytes = 8 * 1024;
/** What one page of a snapshot carries at most; an entry always fits. */
export const maxSnapshotPageBytes = 256 * 1024;
const kinds = ['bound', 'decided', 'output'] as const;

export const sealedName = (entry: SealedEntry): Uint8Array =>
  entry.kind === 'output' ? entry.key : entry.slot;

/** The address that decides which child of a split keeps the entry. */
export const sealedAddress = (entry: SealedEntry): Uint8Array =>
  entry.kind === 'output' ? labelledHash('safe/v1/output', entry.key) : entry.slot;

export function encodeSealedEntry(entry: SealedEntry): Uint8Array {
  const writer = new Writer()
    .u8(kinds.indexOf(entry.kind))
    .fixed(sealedName(entry), 32)
    .sized(entry.transaction);
  switch (entry.kind) {
    case 'bound':
      return writeCertificates(writer, entry.prepared).finish();
    case 'decided':
      return writeCertificates(writer, [entry.certificate]).finish();
    case 'output':
      return writeCertificates(writer, entry.certificates).u8(entry.index).finish();
    default:
      return assertNever(entry);
  }
}

/** Shape only, and certificates without paths: one encoding per entry. */
export function decodeSealedEntry(bytes: Uint8Array): Result<SealedEntry, 'malformed'> {
  if (bytes.length > maxSealedEntryBytes) return err('malformed');
  const reader = new Reader(bytes);
  const kind = kinds[reader.u8()];
  const name = reader.fixed(32);
  const transaction = reader.sized(maxTransactionBytes);
  const certificates = readCertificates(reader);
  const index = kind === 'output' ? reader.u8() : 0;
  if (kind === undefined || certificates === undefined || !reader.finish()) return err('malformed');
  if (certificates.some(({ sealed }) => sealed !== null)) return err('malformed');
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

export const sealedLeafOf = (entry: SealedEntry): SealedLeaf => ({
  kind: entry.kind,
  name: sealedName(entry),
  txid: entry.txid,
  body: labelledHash('safe/v1/sealed/body', encodeSealedEntry(entry)),
});

/** @returns 32 bytes: the root of a snapshot, or of what snapshots merged to. */
export const entriesRoot = (entries: readonly SealedEntry[]): Uint8Array =>
  sealedRootOf(entries.map((entry) => sealedLeafHash(sealedLeafOf(entry))));

/** Slots first, then outputs, each by name: the one order of entries. */
export const sortEntries = (entries: readonly SealedEntry[]): readonly SealedEntry[] =>
  [...entries].sort(compareEntries);

const isOutput = (entry: SealedEntry): number => (entry.kind === 'output' ? 1 : 0);

const compareEntries = (a: SealedEntry, b: SealedEntry): number =>
  isOutput(a) - isOutput(b) || compareBytes(sealedName(a), sealedName(b));

/** Each name once, in order. */
export const entriesAscend = (entries: readonly SealedEntry[]): boolean =>
  entries.every((entry, at) => {
    const before = entries[at - 1];
    return before === undefined || compareEntries(before, entry) < 0;
  });

/** The same entries as pages of bounded size; at least one page. */
function snapshotPages(
  entries: readonly SealedEntry[],
  maxBytes: number,
): readonly (readonly Uint8Array[])[] {
  const pages: Uint8Array[][] = [[]];
  let size = 0;
  for (const bytes of entries.map(encodeSealedEntry)) {
    if (size > 0 && size + bytes.length + 4 > maxBytes) {
      pages.push([]);
      size = 0;
    }
    pages.at(-1)?.push(bytes);
    size += bytes.length + 4;
  }
  return pages;
}

/** A page with what proves it by itself: nobody has to believe a page until the last one came. */
export interface SealedPage {
  /** Place of its first entry, and how many entries the whole list has. */
  readonly start: number;
  readonly count: number;
  /** Hashes beside its entries, up to the root. */
  readonly siblings: readonly Uint8Array[];
  /** Encoded entries, in order. */
  readonly entries: readonly Uint8Array[];
}

/** @param maxBytes of a page; simulations take less, so that small lists have several. */
export function sealedPages(
  entries: readonly SealedEntry[],
  maxBytes: number = maxSnapshotPageBytes,
): readonly SealedPage[] {
  const count = entries.length;
  const pages = snapshotPages(entries, maxBytes);
  let next = 0;
  const ranges = pages.map(({ length }) => {
    const start = next;
    next += length;
    return { start, length };
  });
  const leaves = entries.map((entry) => sealedLeafHash(sealedLeafOf(entry)));
  const proofs = sealedRanges(leaves, ranges);
  return pages.map((page, at) => ({
    start: ranges[at]?.start ?? 0,
    count,
    siblings: proofs[at] ?? [],
    entries: page,
  }));
}

/**
 * A page that is not the last and has room for any further entry. Nobody divides a list like that, but
 * it is what remains of a page for a peer that has its first entries already.
 */
export function isShortPage({ start, count, entries }: SealedPage): boolean {
  const size = entries.reduce((sum, { length }) => sum + length + 4, 0);
  const isLast = start + entries.length === count;
  return !isLast && size + maxSealedEntryBytes + 4 <= maxSnapshotPageBytes;
}

/** The rest of a page of ours, with its own proof. @param from the place of one of its entries. */
export function restOfPage(page: SealedPage, from: number): SealedPage | null {
  const { start, count, siblings, entries } = page;
  if (from < start || from >= start + entries.length) return null;
  const leaves: Uint8Array[] = [];
  for (const bytes of entries) {
    const entry = decodeSealedEntry(bytes);
    if (!entry.ok) return null;
    leaves.push(sealedLeafHash(sealedLeafOf(entry.value)));
  }
  return {
    start: from,
    count,
    siblings: siblingsFrom(from, start, count, leaves, siblings),
    entries: entries.slice(from - start),
  };
}

/** The entries of one page of the list with this root. */
export function openSealedPage(
  root: Uint8Array,
  { start, count, siblings, entries: encoded }: SealedPage,
): Result<readonly SealedEntry[], 'malformed' | 'otherRoot'> {
  const entries: SealedEntry[] = [];
  for (const bytes of encoded) {
    const entry = decodeSealedEntry(bytes);
    if (!entry.ok) return entry;
    entries.push(entry.value);
  }
  if (!entriesAscend(entries)) return err('malformed');
  const leaves = entries.map((entry) => sealedLeafHash(sealedLeafOf(entry)));
  return verifyRange(root, start, count, leaves, siblings) ? ok(entries) : err('otherRoot');
}

/** Why an entry may not stand in a snapshot of this section. `unknownKey`: ask for news, retry. */
export type EntryProblem =
  'otherSection' | 'otherSpend' | 'badCertificate' | 'badSignature' | 'unknownKey';

/**
 * N23: is every entry proven? Certificates of other sections count if their key ever spoke, so that
 * the answer does not hang on what this elder has heard since.
 * @param known must list this section's key, current or superseded.
 */
export function checkEntries(
  section: MoneySection,
  known: SectionKeys,
  suite: ThresholdSuite,
  entries: readonly SealedEntry[],
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
  entry: SealedEntry,
): EntryProblem | null {
  if (!matches(section.prefix, sealedAddress(entry))) return 'otherSection';
  const decoded = decodeTransaction(entry.transaction);
  if (!decoded.ok || !equalBytes(decoded.value.networkId, section.networkId)) return 'otherSpend';
  const transaction = decoded.value;
  if (entry.kind === 'output') {
    const output = transaction.outputs[entry.index];
    if (!output || !equalBytes(output.oneTimeKey, entry.key)) return 'otherSpend';
    const { certificates } = entry;
    return judged(verifyCertificates(known, suite, 'COMMIT', transaction, certificates, 'ever'));
  }
  const input = inputAt(transaction, entry.slot);
  if (input === undefined) return 'otherSpend';
  if (!signaturesHold(transaction)) return 'badSignature';
  if (entry.kind === 'decided') {
    const { keyImage } = input;
    const { certificate, txid } = entry;
    const statement = { keyImage, ballot: certificate.ballot, txid };
    return verifyCertificate(section, suite, 'COMMIT', statement, certificate)
      ? null
      : 'badCertificate';
  }
  const own = entry.prepared[transaction.inputs.indexOf(input)];
  if (own?.epoch !== section.epoch) return 'badCertificate';
  return judged(verifyCertificates(known, suite, 'PREPARE', transaction, entry.prepared, 'ever'));
}

const judged = (proven: ReturnType<typeof verifyCertificates>): EntryProblem | null =>
  proven.ok ? null : proven.error === 'unknownKey' ? 'unknownKey' : 'badCertificate';

export interface Snapshot {
  /** 1…7. */
  readonly elder: number;
  readonly entries: readonly SealedEntry[];
}

export interface MergedSnapshots {
  readonly entries: readonly SealedEntry[];
  readonly sealedRoot: Uint8Array;
}

/** Fewer, and a final payment might stand in none of them: 5 + 5 − 7 − 2 = 1 honest witness. */
export const snapshotsRequired = 5;

/**
 * f.6: decisions add up, else the highest bundle binds, else the slot is open. Whatever the order
 * of the snapshots, the result is the same.
 */
export function mergeSnapshots(snapshots: readonly Snapshot[]): MergedSnapshots {
  const elders = new Set(snapshots.map(({ elder }) => elder));
  assert(elders.size === snapshots.length, 'one snapshot of each elder');
  assert(elders.size >= snapshotsRequired, 'five snapshots or more');
  const byName = new Map<string, SealedEntry[]>();
  for (const { entries } of snapshots) {
    for (const entry of entries) {
      const name = `${isOutput(entry)}${toHex(sealedName(entry))}`;
      byName.set(name, [...(byName.get(name) ?? []), entry]);
    }
  }
  const entries = sortEntries([...byName.values()].map(strongest));
  return { entries, sealedRoot: entriesRoot(entries) };
}

function strongest(entries: readonly SealedEntry[]): SealedEntry {
  const votes = new Map<string, number>();
  for (const { txid } of entries) votes.set(toHex(txid), (votes.get(toHex(txid)) ?? 0) + 1);
  const weigh = (a: SealedEntry, b: SealedEntry): number =>
    rank(b) - rank(a) ||
    ballotOf(b) - ballotOf(a) ||
    // Twins of one output are the payer's own deed: most witnesses, then the lower name.
    (votes.get(toHex(b.txid)) ?? 0) - (votes.get(toHex(a.txid)) ?? 0) ||
    compareBytes(a.txid, b.txid) ||
    compareBytes(encodeSealedEntry(a), encodeSealedEntry(b));
  const [first] = [...entries].sort(weigh);
  assert(first !== undefined, 'a name stands in some snapshot');
  return first;
}

const rank = (entry: SealedEntry): number => (entry.kind === 'decided' ? 1 : 0);

/** The ballot of the slot's own prepared certificate. */
function ballotOf(entry: SealedEntry): number {
  if (entry.kind !== 'bound') return 0;
  const decoded = decodeTransaction(entry.transaction);
  if (!decoded.ok) return 0;
  const input = inputAt(decoded.value, entry.slot);
  return input === undefined
    ? 0
    : (entry.prepared[decoded.value.inputs.indexOf(input)]?.ballot ?? 0);
}
