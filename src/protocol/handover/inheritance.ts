/** HANDOVER-R6: the slots and outputs that a new epoch inherits from the earlier ones. */
import { matches, type Prefix } from '#address/prefix.ts';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { ok, type Result } from '#core/result.ts';
import { proofPathsInRange, merkleLeafHash, type InclusionProof } from '#money/inclusion-proof.ts';
import {
  verifyPage,
  entryAddress,
  merkleLeafOf,
  type SnapshotEntry,
  type ProvenPage,
} from '#money/snapshot.ts';
import type { Registration } from '#protocol/mint/index.ts';
import type { InheritedSlot } from '#protocol/spentbook/index.ts';

export interface Inheritance {
  /** By hex of the slot. */
  readonly slots: ReadonlyMap<string, InheritedSlot>;
  /** By hex of the one-time key, in the order of the epochs. */
  readonly outputs: ReadonlyMap<string, Registration>;
}

/** The slots and outputs of one archive page under a prefix. */
export interface InheritedPage {
  readonly slots: readonly {
    readonly entry: SnapshotEntry & { readonly kind: 'bound' | 'decided' };
    readonly path: InclusionProof;
  }[];
  readonly outputs: readonly Registration[];
}

/**
 * Slow, so it runs in a worker thread. Each page is verified and hashed alone, whatever the list's
 * length.
 */
export function inheritPage(
  root: Uint8Array,
  page: ProvenPage,
  prefix: Prefix,
): Result<InheritedPage, 'malformed' | 'otherRoot'> {
  const opened = verifyPage(root, page);
  if (!opened.ok) return opened;
  const { start, count, siblings } = page;
  const leaves = opened.value.map(merkleLeafOf);
  const paths = proofPathsInRange(start, count, leaves.map(merkleLeafHash), siblings);
  const slots: InheritedPage['slots'][number][] = [];
  const outputs: Registration[] = [];
  for (const [at, entry] of opened.value.entries()) {
    if (!matches(prefix, entryAddress(entry))) continue;
    if (entry.kind === 'output') {
      const { key, txid, transaction, certificates, index } = entry;
      outputs.push({ key, txid, transaction, certificates, index });
      continue;
    }
    const body = leaves[at]?.body;
    const beside = paths[at];
    assert(body !== undefined && beside !== undefined, 'every entry of a page has a path');
    const { kind } = entry;
    slots.push({ entry, path: { kind, body, index: start + at, count, siblings: beside } });
  }
  return ok({ slots, outputs });
}

/** Adds one page of an epoch to the earlier epochs' entries; pages of one epoch in any order. */
export function addPage(
  slots: Map<string, InheritedSlot>,
  outputs: Map<string, Registration>,
  epoch: bigint,
  page: InheritedPage,
): void {
  for (const registration of page.outputs) {
    const name = toHex(registration.key);
    if (!outputs.has(name)) outputs.set(name, registration);
  }
  for (const { entry, path } of page.slots) {
    const name = toHex(entry.slot);
    slots.set(name, withInclusion(slots.get(name), entry, epoch, path));
  }
}

function withInclusion(
  before: InheritedSlot | undefined,
  entry: SnapshotEntry & { readonly kind: 'bound' | 'decided' },
  epoch: bigint,
  path: InclusionProof,
): InheritedSlot {
  const inclusions = [...(before?.inclusions ?? []), { epoch, path }];
  // SPENTBOOK-R7: nothing replaces a decision, and a bound slot can only be decided for the same transaction.
  if (before?.kind === 'decided') return { ...before, inclusions };
  const { txid, transaction } = before ?? entry;
  if (entry.kind === 'bound') return { kind: 'bound', txid, transaction, inclusions };
  const certificate = { ...entry.certificate, inclusion: path };
  return { kind: 'decided', txid, transaction, inclusions, certificate };
}
