/** The Safe while it is open: its keys, and the index as this tab knows it. */
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { StretchParameters } from '#crypto/stretch.ts';
import { openWithNonce, sealWithNonce } from '#runtime/jobs/ciphers.ts';
import { indexContext, wipeKeys, type RootKeys, type StrongKey } from '#safe/credentials/keys.ts';
import {
  decodeEnvelope,
  decodePlace,
  encodeEnvelope,
  encodePlace,
  type IndexPlace,
} from '#safe/index/envelope.ts';
import {
  decodeIndex,
  encodeIndex,
  MAX_INDEX_BYTES,
  mergeIndex,
  type MergeWallet,
  type SafeIndex,
} from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import type { VaultContext } from './context.ts';
import { safeIsLocked } from './failure.ts';
import type { VaultPorts, WalletPort } from './ports.ts';

/** Mutable on purpose: one object per unlocking, owned by the vault, dropped when it locks. */
export interface OpenSafe {
  readonly strong: StrongKey;
  readonly keys: RootKeys;
  readonly owner: string;
  /** 8 bytes that tell this device's changes from another's. */
  readonly device: Uint8Array;
  readonly parameters: StretchParameters;
  /** Fires when the Safe is locked: everything that runs for it stops. */
  readonly closed: AbortController;
  /** `null` when this device is not to remember the Safe. */
  readonly recordId: string | null;
  network: PinnedNetwork | null;
  index: SafeIndex;
  /** Highest version of the pointer record seen. */
  version: bigint;
  published: boolean;
  /** One sentence when the last exchange with the network failed, else empty. */
  notice: string;
  wallet: WalletPort | null;
  /** The wallet section as the wallet last gave or took it. */
  walletSection: Uint8Array;
}

export const ownerId = (strong: StrongKey): string => toHex(strong.owner);

/** Without a wallet there is one section at most; by bytes, so that merging keeps its laws. */
const largerSection: MergeWallet = (a, b) => (toHex(a) >= toHex(b) ? a : b);

const mergeFor = (ports: VaultPorts, a: SafeIndex, b: SafeIndex): SafeIndex =>
  mergeIndex(a, b, ports.wallets?.merge ?? largerSection);

/** Merges and keeps the first object when nothing is new: "unchanged" is told by identity. */
export function mergeKeeping(ports: VaultPorts, index: SafeIndex, other: SafeIndex): SafeIndex {
  const both = mergeFor(ports, index, other);
  return equalBytes(encodeIndex(both), encodeIndex(index)) ? index : both;
}

/** The context that ties a wrapped member key to the Safe whose record holds it. */
export const memberContext = (owner: string): Uint8Array =>
  concat(utf8('safe/v1/device-memory'), utf8(owner));

/** Seals a place of the index with the stretching parameters in front. */
export async function sealPlace(
  ports: Pick<VaultPorts, 'randomBytes'>,
  safe: Pick<OpenSafe, 'keys' | 'strong' | 'parameters'>,
  place: IndexPlace,
): Promise<Uint8Array> {
  const sealed = await sealWithNonce(
    safe.keys.index.reveal(),
    ports.randomBytes(12),
    encodePlace(place),
    indexContext(safe.strong.owner),
  );
  return encodeEnvelope({ parameters: safe.parameters, sealed });
}

/** @returns `null` when these keys do not open it: the password is not the one. */
export async function openPlace(
  safe: Pick<OpenSafe, 'keys' | 'strong'>,
  envelope: Uint8Array,
): Promise<IndexPlace | null> {
  const decoded = decodeEnvelope(envelope, MAX_INDEX_BYTES);
  if (!decoded.ok) return null;
  const context = indexContext(safe.strong.owner);
  const bytes = await openWithNonce(safe.keys.index.reveal(), decoded.value.sealed, context);
  const place = bytes === null ? null : decodePlace(bytes);
  return place !== null && place.ok ? place.value : null;
}

/** The copy of the index that a device keeps; also what tells a right password without a network. */
export async function openLocal(
  safe: Pick<OpenSafe, 'keys' | 'strong'>,
  record: SafeRecord,
): Promise<SafeIndex | null> {
  const place = await openPlace(safe, record.envelope);
  if (place === null || place.kind !== 'inline') return null;
  const index = decodeIndex(place.index);
  return index.ok ? index.value : null;
}

export const sealLocal = (
  ports: Pick<VaultPorts, 'randomBytes'>,
  safe: Pick<OpenSafe, 'keys' | 'strong' | 'parameters'>,
  index: SafeIndex,
): Promise<Uint8Array> => sealPlace(ports, safe, { kind: 'inline', index: encodeIndex(index) });

/** What is known about the pointer record besides the index itself. */
export interface SyncFacts {
  readonly version?: bigint;
  /** The index that the network has acknowledged. */
  readonly acknowledged?: SafeIndex;
}

/**
 * Changes the index: merged with what another tab has stored, durable on this device, then visible.
 * For a Safe that this device is not to remember it changes this tab's memory alone; a change that
 * a person makes goes through `commit` (sync.ts), which waits for the network then.
 * @param change pure; may be given a richer index than the caller has seen
 * @returns the index as it is now
 */
export async function updateIndex(
  context: VaultContext,
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex,
  facts: SyncFacts = {},
): Promise<SafeIndex> {
  const { ports } = context;
  const index = await ports.withLock(`safe-store-${safe.owner}`, async () => {
    if (safe.closed.signal.aborted) throw safeIsLocked();
    const record = await recordOf(ports, safe);
    const stored = record === undefined ? null : await openLocal(safe, record);
    const before = stored === null ? safe.index : mergeKeeping(ports, safe.index, stored);
    const next = change(before);
    const version = facts.version ?? safe.version;
    const acknowledged = facts.acknowledged ?? (safe.published ? safe.index : null);
    const published = next === acknowledged;
    if (record !== undefined) {
      const envelope = await sealLocal(ports, safe, next);
      const usedAt = ports.now();
      const { network } = safe;
      const kept = { ...record, network, envelope, version: String(version), published, usedAt };
      await ports.store.putSafe(kept);
    }
    // Locked while this was written: the keys are gone, and nobody looks at the index any more.
    if (safe.closed.signal.aborted) return next;
    safe.index = next;
    safe.version = version;
    safe.published = published;
    giveToWallet(safe);
    return next;
  });
  context.changed();
  return index;
}

/** Stops everything that runs for the Safe and forgets its keys. */
export function closeSafe(safe: OpenSafe): void {
  safe.closed.abort();
  wipeKeys(safe.keys);
  safe.strong.wipe();
}

async function recordOf(ports: VaultPorts, safe: OpenSafe): Promise<SafeRecord | undefined> {
  return safe.recordId === null ? undefined : ports.store.getSafe(safe.recordId);
}

function giveToWallet(safe: OpenSafe): void {
  if (safe.wallet === null || equalBytes(safe.index.wallet, safe.walletSection)) return;
  safe.walletSection = safe.index.wallet;
  safe.wallet.absorb(safe.index.wallet);
}
