/** R6: what earlier epochs left behind, as the slots and the list of the next epoch read it. */
import { matches, type Prefix } from '#address/prefix.ts';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { ok, type Result } from '#core/result.ts';
import { pathsInRange, sealedLeafHash, type SealedPath } from '#money/sealed.ts';
import {
  openSealedPage,
  sealedAddress,
  sealedLeafOf,
  type SealedEntry,
  type SealedPage,
} from '#money/snapshot.ts';
import type { Registration } from '#protocol/mint/index.ts';
import type { InheritedSlot } from '#protocol/spentbook/index.ts';

export interface Inheritance {
  /** By hex of the slot. */
  readonly slots: ReadonlyMap<string, InheritedSlot>;
  /** By hex of the one-time key, in the order of the epochs. */
  readonly outputs: ReadonlyMap<string, Registration>;
}

/** What one page of an archive says of the slots and outputs under a prefix. */
export interface InheritedPage {
  readonly slots: readonly {
    readonly entry: SealedEntry & { readonly kind: 'bound' | 'decided' };
    readonly path: SealedPath;
  }[];
  readonly outputs: readonly Registration[];
}

/** The slow part, for a worker thread: a page is proven and hashed by itself, whatever the list holds. */
export function inheritPage(
  root: Uint8Array,
  page: SealedPage,
  prefix: Prefix,
): Result<InheritedPage, 'malformed' | 'otherRoot'> {
  const opened = openSealedPage(root, page);
  if (!opened.ok) return opened;
  const { start, count, siblings } = page;
  const leaves = opened.value.map(sealedLeafOf);
  const paths = pathsInRange(start, count, leaves.map(sealedLeafHash), siblings);
  const slots: InheritedPage['slots'][number][] = [];
  const outputs: Registration[] = [];
  for (const [at, entry] of opened.value.entries()) {
    if (!matches(prefix, sealedAddress(entry))) continue;
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

/** Adds one page of an epoch to what the epochs before it left; pages of one epoch in any order. */
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
    slots.set(name, withWord(slots.get(name), entry, epoch, path));
  }
}

function withWord(
  before: InheritedSlot | undefined,
  entry: SealedEntry & { readonly kind: 'bound' | 'decided' },
  epoch: bigint,
  path: SealedPath,
): InheritedSlot {
  const words = [...(before?.words ?? []), { epoch, path }];
  // R7: nothing replaces a decision, and a bound slot can only be decided for the same transaction.
  if (before?.kind === 'decided') return { ...before, words };
  const { txid, transaction } = before ?? entry;
  if (entry.kind === 'bound') return { kind: 'bound', txid, transaction, words };
  const certificate = { ...entry.certificate, sealed: path };
  return { kind: 'decided', txid, transaction, words, certificate };
}
