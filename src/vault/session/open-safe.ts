/** The open Safe: its keys, the index known to this tab, and the one stored record. */
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import type { StretchParameters } from '#crypto/stretch-parameters.ts';
import { decryptWithNonce, encryptWithNonce } from '#runtime/jobs/ciphers.ts';
import { indexContext, type RootKeys, type StrongKey } from '#safe/credentials/derive-root-keys.ts';
import {
  decodeIndexEnvelope,
  decodeIndexLocation,
  encodeIndexEnvelope,
  encodeIndexLocation,
  MAX_LOCAL_SEALED_BYTES,
  type IndexLocation,
} from '#safe/index/index-envelope.ts';
import {
  decodeIndex,
  encodeIndex,
  checkIndexSize,
  mergeIndex,
  type MergeWallet,
  type SafeIndex,
} from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import { forgottenOnDevice, tooLarge, unreadableOnDevice } from '../failure.ts';
import type { VaultPorts, WalletPort } from '../ports.ts';
import type { Session } from './session.ts';

/** The known state of a Safe, in this tab and in the record that its tabs share. */
export interface KnownSafe {
  readonly index: SafeIndex;
  readonly network: PinnedNetwork | null;
  /** Highest version of the pointer record seen. */
  readonly version: bigint;
  /** The network has acknowledged exactly this index. */
  readonly published: boolean;
  /** SHA-256 of the body of a pointer record whose index is merged into this one. */
  readonly acknowledged: Uint8Array | null;
}

/** Mutable on purpose: one object per unlocking, owned by the vault, dropped on Lock. */
export interface OpenSafe {
  readonly session: Session;
  readonly strong: StrongKey;
  readonly keys: RootKeys;
  readonly owner: string;
  /** 8 bytes that distinguish this device's changes from another's. */
  readonly device: Uint8Array;
  readonly parameters: StretchParameters;
  /** `null` when this device must not remember the Safe. */
  readonly recordId: string | null;
  /** As last read or written; the stored record may be newer (another tab). */
  known: KnownSafe;
  /** The index on the network was read completely since the Safe was opened. */
  remoteChecked: boolean;
  /** SHA-256 of the body of the last old record that was overwritten. */
  overwrittenHash: Uint8Array | null;
  /** One sentence when the last exchange with the network failed, else empty. */
  notice: string;
  wallet: WalletPort | null;
  /** The wallet section as last exchanged with the wallet. */
  walletSection: Uint8Array;
}

export const ownerId = (strong: StrongKey): string => toHex(strong.owner);

/** Serialises reads and writes of a Safe's stored record. */
export const storeLock = (owner: string): string => `safe-store-${owner}`;

/** Without a wallet there is at most one section; ordered by bytes, so that the merge laws hold. */
const largerSection: MergeWallet = (a, b) => (toHex(a) >= toHex(b) ? a : b);

export const sameIndex = (a: SafeIndex, b: SafeIndex): boolean =>
  a === b || equalBytes(encodeIndex(a), encodeIndex(b));

/** Merges, and returns the first object when nothing is new: callers detect "unchanged" by identity. */
export function mergeIndexes(
  ports: Pick<VaultPorts, 'wallets'>,
  index: SafeIndex,
  other: SafeIndex,
): SafeIndex {
  if (sameIndex(index, other)) return index;
  const both = mergeIndex(index, other, ports.wallets?.merge ?? largerSection);
  return sameIndex(both, index) ? index : both;
}

/** The AEAD context that binds a wrapped member key to the Safe of its record. */
export const memberContext = (owner: string): Uint8Array =>
  concat(utf8('safe/v1/device-memory'), utf8(owner));

type Keys = Pick<OpenSafe, 'keys' | 'strong'>;

/** Encrypts an index location, prefixed by the stretching parameters. */
export async function sealIndexLocation(
  ports: Pick<VaultPorts, 'randomBytes'>,
  safe: Keys & Pick<OpenSafe, 'parameters'>,
  location: IndexLocation,
): Promise<Uint8Array> {
  const sealed = await encryptWithNonce(
    safe.keys.index.reveal(),
    ports.randomBytes(12),
    encodeIndexLocation(location),
    indexContext(safe.strong.owner),
  );
  return encodeIndexEnvelope({ parameters: safe.parameters, sealed });
}

/** `wrongKey`: these keys do not decrypt it. `unreadable`: damaged, or of another version of the app. */
export type OpenProblem = 'wrongKey' | 'unreadable';

export async function openIndexLocation(
  safe: Keys,
  envelope: Uint8Array,
): Promise<Result<IndexLocation, OpenProblem>> {
  const decoded = decodeIndexEnvelope(envelope, MAX_LOCAL_SEALED_BYTES);
  if (!decoded.ok) return err('unreadable');
  const context = indexContext(safe.strong.owner);
  const bytes = await decryptWithNonce(safe.keys.index.reveal(), decoded.value.sealed, context);
  if (bytes === null) return err('wrongKey');
  const location = decodeIndexLocation(bytes);
  return location.ok ? location : err('unreadable');
}

/** Decrypts a device's copy of the index, which also verifies the password offline. */
export async function openLocal(
  safe: Keys,
  record: SafeRecord,
): Promise<Result<SafeIndex, OpenProblem>> {
  const location = await openIndexLocation(safe, record.envelope);
  if (!location.ok) return location;
  const index =
    location.value.kind === 'inline' ? decodeIndex(location.value.index) : err('unreadable');
  return index.ok ? index : err('unreadable');
}

/** The parts of a stored record that change while a Safe is open. */
export async function sealKnownSafe(
  ports: Pick<VaultPorts, 'randomBytes'>,
  safe: Keys & Pick<OpenSafe, 'parameters'>,
  { index, network, version, published, acknowledged }: KnownSafe,
): Promise<Pick<SafeRecord, 'envelope' | 'network' | 'version' | 'published' | 'acknowledged'>> {
  const location: IndexLocation = { kind: 'inline', index: encodeIndex(index) };
  const envelope = await sealIndexLocation(ports, safe, location);
  return { envelope, network, version: String(version), published, acknowledged };
}

/** The state in a stored record; {@link openLocal} decrypts its index. */
export const knownSafeOf = (record: SafeRecord, index: SafeIndex): KnownSafe => ({
  index,
  network: record.network,
  version: BigInt(record.version),
  published: record.published,
  acknowledged: record.acknowledged ?? null,
});

/** What an exchange has learnt besides a change of the index. */
export interface SyncFacts {
  readonly network?: PinnedNetwork;
  readonly version?: bigint;
  /** The network has stored this index, in a pointer record whose body has this hash. */
  readonly held?: { readonly index: SafeIndex; readonly bodyHash: Uint8Array };
}

/**
 * Changes the one record of a Safe: reads it under the lock shared by all tabs, merges it with this tab's,
 * changes it, writes it; only then the result is visible here. For a Safe that this device must not
 * remember, it changes this tab's memory alone; a person's changes go through `commitChange`
 * (index-sync.ts), which then waits for the network.
 * @param change pure; may get a newer index than the caller has seen
 * @returns the index as it is now
 * @throws when the Safe is locked, or when the record cannot be read or written; then nothing has changed
 */
export async function updateIndex(
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex,
  facts: SyncFacts = {},
): Promise<SafeIndex> {
  const { ports, changed } = safe.session.context;
  const next = await ports.withLock(storeLock(safe.owner), async () => {
    const record = safe.recordId === null ? null : await ports.store.getSafe(safe.recordId);
    // Removed in another tab: do not write it again.
    if (record === undefined) {
      safe.session.close();
      throw forgottenOnDevice();
    }
    const stored = record === null ? safe.known : await readRecord(safe, record);
    const before = mergeIndexes(ports, safe.known.index, stored.index);
    const index = change(before);
    const known = mergeKnown(safe.known, stored, index, facts);
    if (record !== null && !sameKnownSafe(known, stored)) {
      const storable = checkIndexSize(index);
      if (!storable.ok) throw tooLarge(storable.error);
      await ports.store.putSafe({ ...record, ...(await sealKnownSafe(ports, safe, known)) });
      ports.announce(safe.owner);
    }
    // Locked during the write: the keys are wiped and the index is no longer shown.
    if (safe.session.closed.aborted) return index;
    safe.known = known;
    passToWallet(safe);
    return index;
  });
  changed();
  return next;
}

async function readRecord(safe: OpenSafe, record: SafeRecord): Promise<KnownSafe> {
  const index = await openLocal(safe, record);
  if (index.ok) return knownSafeOf(record, index.value);
  throw unreadableOnDevice();
}

function mergeKnown(
  mine: KnownSafe,
  stored: KnownSafe,
  index: SafeIndex,
  facts: SyncFacts,
): KnownSafe {
  const versions = [mine.version, stored.version, facts.version ?? 0n];
  const { held } = facts;
  return {
    index,
    network: stored.network ?? mine.network ?? facts.network ?? null,
    version: versions.reduce((a, b) => (a > b ? a : b)),
    published:
      held === undefined
        ? stored.published && sameIndex(index, stored.index)
        : sameIndex(index, held.index),
    acknowledged: held?.bodyHash ?? stored.acknowledged,
  };
}

const sameKnownSafe = (a: KnownSafe, b: KnownSafe): boolean =>
  sameIndex(a.index, b.index) &&
  a.network?.networkId === b.network?.networkId &&
  a.version === b.version &&
  a.published === b.published &&
  (a.acknowledged === null
    ? b.acknowledged === null
    : b.acknowledged !== null && equalBytes(a.acknowledged, b.acknowledged));

function passToWallet(safe: OpenSafe): void {
  const { wallet } = safe.known.index;
  if (safe.wallet === null || equalBytes(wallet, safe.walletSection)) return;
  safe.walletSection = wallet;
  safe.wallet.absorb(wallet);
}
