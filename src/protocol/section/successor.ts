/** The link of a section chain: the one record in which a key names its successor (N20). */
import { child, parent, samePrefix, type Prefix } from '#address/prefix.ts';
import { Reader, Writer, equalBytes } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import { membersRoot } from './member-list.ts';
import { charterHash } from './charter.ts';
import type { SupersededKey } from '#money/spend-certificate.ts';
import type { SectionState, SignedSuccessor, SuccessorRecord } from './state.ts';

/** Label, fixed fields, two children and the signature stay below. */
export const maxSuccessorBytes = 1024;

/** What the parent key signs, purpose SUCCESSOR. */
export function successorBytes(record: SuccessorRecord): Uint8Array {
  const writer = new Writer()
    .label('safe/v1/successor')
    .fixed(record.networkId, 32)
    .fixed(record.parentKey, 96)
    .u64(record.epoch)
    .u64(record.finalGeneration)
    .fixed(record.membersRoot, 32)
    .fixed(record.sealedRoot, 32)
    .u8(record.children.length);
  for (const { prefix, key, charterHash: charter } of record.children) {
    writer.u8(prefix.bitCount).fixed(prefix.bits, 32).fixed(key, 96).fixed(charter, 32);
  }
  return writer.finish();
}

/** 32 bytes: identifies a key's successor record. */
export const successorHash = (record: SuccessorRecord): Uint8Array =>
  labelledHash('safe/v1/successor-hash', successorBytes(record));

/** @returns ≤ {@link maxSuccessorBytes} bytes. */
export const encodeSuccessor = ({ record, signature }: SignedSuccessor): Uint8Array =>
  new Writer().sized(successorBytes(record)).fixed(signature, 48).finish();

/** The shape only; trust comes from the parent key. */
export function decodeSuccessor(bytes: Uint8Array): Result<SignedSuccessor, 'malformed'> {
  if (bytes.length > maxSuccessorBytes) return err('malformed');
  const outer = new Reader(bytes);
  const body = outer.sized(maxSuccessorBytes);
  const signature = outer.fixed(48);
  if (!outer.finish()) return err('malformed');
  const reader = new Reader(body);
  reader.sized(64); // The label: checked below by encoding again.
  const networkId = reader.fixed(32);
  const parentKey = reader.fixed(96);
  const epoch = reader.u64();
  const finalGeneration = reader.u64();
  const root = reader.fixed(32);
  const sealedRoot = reader.fixed(32);
  const count = reader.u8();
  if (count < 1 || count > 2) return err('malformed');
  const children = Array.from({ length: count }, () => ({
    prefix: { bitCount: reader.u8(), bits: reader.fixed(32) },
    key: reader.fixed(96),
    charterHash: reader.fixed(32),
  }));
  if (!reader.finish()) return err('malformed');
  const record: SuccessorRecord = {
    networkId,
    parentKey,
    epoch,
    finalGeneration,
    membersRoot: root,
    sealedRoot,
    children,
  };
  return equalBytes(successorBytes(record), body) ? ok({ record, signature }) : err('malformed');
}

/**
 * The parent's prefix, derived from its children: one child has the same, two are its halves.
 * Undefined for anything else.
 */
export function parentPrefixOf({ children }: SuccessorRecord): Prefix | undefined {
  const [first, second] = children;
  if (first === undefined || children.length > 2) return undefined;
  if (second === undefined) return first.prefix;
  const above = parent(first.prefix);
  if (above === undefined || !samePrefix(child(above, 0), first.prefix)) return undefined;
  return samePrefix(child(above, 1), second.prefix) ? above : undefined;
}

/** The one record that follows from a sealed state; undefined in every other phase. */
export function successorRecordOf({
  authority,
  ledger,
}: SectionState): SuccessorRecord | undefined {
  const { phase } = ledger;
  if (phase.kind !== 'sealed') return undefined;
  return {
    networkId: authority.networkId,
    parentKey: authority.key,
    epoch: authority.epoch,
    // The set was sealed one generation after the final one.
    finalGeneration: authority.generation - 1n,
    membersRoot: membersRoot(authority.members),
    sealedRoot: phase.sealedRoot,
    children: phase.charters.map((charter) => ({
      prefix: charter.prefix,
      key: charter.key,
      charterHash: charterHash(charter),
    })),
  };
}

/** N34: the prefix, epoch and sealed root of the key that this verified record supersedes. */
export function supersededKeyOf(record: SuccessorRecord): SupersededKey | undefined {
  const prefix = parentPrefixOf(record);
  if (prefix === undefined) return undefined;
  const { parentKey: key, epoch, sealedRoot } = record;
  return { prefix, key, epoch, sealedRoot };
}
