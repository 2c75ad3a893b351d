/** The Safe while it is open: its keys, the index as this tab knows it, and the one stored record. */
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import type { StretchParameters } from '#crypto/stretch.ts';
import { openWithNonce, sealWithNonce } from '#runtime/jobs/ciphers.ts';
import { indexContext, type RootKeys, type StrongKey } from '#safe/credentials/keys.ts';
import {
  decodeEnvelope,
  decodePlace,
  encodeEnvelope,
  encodePlace,
  MAX_LOCAL_SEALED_BYTES,
  type IndexPlace,
} from '#safe/index/envelope.ts';
import {
  decodeIndex,
  encodeIndex,
  fits,
  mergeIndex,
  type MergeWallet,
  type SafeIndex,
} from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import { forgottenHere, tooLarge, unreadableHere } from './failure.ts';
import type { VaultPorts, WalletPort } from './ports.ts';
import type { Session } from './session.ts';

/** What is known of a Safe, in this tab and in the record that its tabs share. */
export interface Known {
  readonly index: SafeIndex;
  readonly network: PinnedNetwork | null;
  /** Highest version of the pointer record seen. */
  readonly version: bigint;
  /** The network has acknowledged this very index. */
  readonly published: boolean;
  /** SHA-256 of the body of a pointer record whose index is part of this one. */
  readonly acknowledged: Uint8Array | null;
}

/** Mutable on purpose: one object per unlocking, owned by the vault, dropped when it locks. */
export interface OpenSafe {
  readonly session: Session;
  readonly strong: StrongKey;
  readonly keys: RootKeys;
  readonly owner: string;
  /** 8 bytes that tell this device's changes from another's. */
  readonly device: Uint8Array;
  readonly parameters: StretchParameters;
  /** `null` when this device is not to remember the Safe. */
  readonly recordId: string | null;
  /** As it was last read or written; what is stored may have more (another tab). */
  known: Known;
  /** The index on the network was read and found whole since the Safe was opened. */
  looked: boolean;
  /** SHA-256 of the body of the last old record that was written over. */
  above: Uint8Array | null;
  /** One sentence when the last exchange with the network failed, else empty. */
  notice: string;
  wallet: WalletPort | null;
  /** The wallet section as the wallet last gave or took it. */
  walletSection: Uint8Array;
}

export const ownerId = (strong: StrongKey): string => toHex(strong.owner);

/** Held while the stored record of a Safe is read and written. */
export const storeLock = (owner: string): string => `safe-store-${owner}`;

/** Without a wallet there is one section at most; by bytes, so that merging keeps its laws. */
const largerSection: MergeWallet = (a, b) => (toHex(a) >= toHex(b) ? a : b);

export const sameIndex = (a: SafeIndex, b: SafeIndex): boolean =>
  a === b || equalBytes(encodeIndex(a), encodeIndex(b));

/** Merges and keeps the first object when nothing is new: "unchanged" is told by identity. */
export function mergeKeeping(
  ports: Pick<VaultPorts, 'wallets'>,
  index: SafeIndex,
  other: SafeIndex,
): SafeIndex {
  if (sameIndex(index, other)) return index;
  const both = mergeIndex(index, other, ports.wallets?.merge ?? largerSection);
  return sameIndex(both, index) ? index : both;
}

/** The context that ties a wrapped member key to the Safe whose record holds it. */
export const memberContext = (owner: string): Uint8Array =>
  concat(utf8('safe/v1/device-memory'), utf8(owner));

type Keys = Pick<OpenSafe, 'keys' | 'strong'>;

/** Seals a place of the index with the stretching parameters in front. */
export async function sealPlace(
  ports: Pick<VaultPorts, 'randomBytes'>,
  safe: Keys & Pick<OpenSafe, 'parameters'>,
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

/** `wrongKey`: these keys do not open it. `unreadable`: damaged, or of another version of the app. */
export type Unopened = 'wrongKey' | 'unreadable';

export async function openPlace(
  safe: Keys,
  envelope: Uint8Array,
): Promise<Result<IndexPlace, Unopened>> {
  const decoded = decodeEnvelope(envelope, MAX_LOCAL_SEALED_BYTES);
  if (!decoded.ok) return err('unreadable');
  const context = indexContext(safe.strong.owner);
  const bytes = await openWithNonce(safe.keys.index.reveal(), decoded.value.sealed, context);
  if (bytes === null) return err('wrongKey');
  const place = decodePlace(bytes);
  return place.ok ? place : err('unreadable');
}

/** The copy of the index that a device keeps; also what tells a right password without a network. */
export async function openLocal(
  safe: Keys,
  record: SafeRecord,
): Promise<Result<SafeIndex, Unopened>> {
  const place = await openPlace(safe, record.envelope);
  if (!place.ok) return place;
  const index = place.value.kind === 'inline' ? decodeIndex(place.value.index) : err('unreadable');
  return index.ok ? index : err('unreadable');
}

/** The parts of a stored record that change while a Safe is open. */
export async function sealKnown(
  ports: Pick<VaultPorts, 'randomBytes'>,
  safe: Keys & Pick<OpenSafe, 'parameters'>,
  { index, network, version, published, acknowledged }: Known,
): Promise<Pick<SafeRecord, 'envelope' | 'network' | 'version' | 'published' | 'acknowledged'>> {
  const place: IndexPlace = { kind: 'inline', index: encodeIndex(index) };
  const envelope = await sealPlace(ports, safe, place);
  return { envelope, network, version: String(version), published, acknowledged };
}

/** What a stored record says; its index is opened by {@link openLocal}. */
export const knownOf = (record: SafeRecord, index: SafeIndex): Known => ({
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
  /** The network holds this index, in a pointer record whose body has this hash. */
  readonly held?: { readonly index: SafeIndex; readonly bodyHash: Uint8Array };
}

/**
 * Changes the one record of a Safe: read under the lock that all tabs share, merged with what this
 * tab holds, changed, written; and only then visible here. For a Safe that this device is not to
 * remember it changes this tab's memory alone; what a person changes goes through `commit`
 * (sync.ts), which waits for the network then.
 * @param change pure; may be given a richer index than the caller has seen
 * @returns the index as it is now
 * @throws when the Safe is locked, or when what is stored cannot be read or the new not be written;
 *   nothing has changed then
 */
export async function updateIndex(
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex,
  facts: SyncFacts = {},
): Promise<SafeIndex> {
  const { ports, changed } = safe.session.context;
  const next = await ports.withLock(storeLock(safe.owner), async () => {
    const record = safe.recordId === null ? null : await ports.store.getSafe(safe.recordId);
    // Forgotten by another tab: what a person wanted gone is not written again.
    if (record === undefined) {
      safe.session.close();
      throw forgottenHere();
    }
    const stored = record === null ? safe.known : await readRecord(safe, record);
    const before = mergeKeeping(ports, safe.known.index, stored.index);
    const index = change(before);
    const known = learn(safe.known, stored, index, facts);
    if (record !== null && !sameKnown(known, stored)) {
      const storable = fits(index);
      if (!storable.ok) throw tooLarge(storable.error);
      await ports.store.putSafe({ ...record, ...(await sealKnown(ports, safe, known)) });
      ports.announce(safe.owner);
    }
    // Locked while it was written: the keys are gone, and nobody looks at the index any more.
    if (safe.session.closed.aborted) return index;
    safe.known = known;
    giveToWallet(safe);
    return index;
  });
  changed();
  return next;
}

async function readRecord(safe: OpenSafe, record: SafeRecord): Promise<Known> {
  const index = await openLocal(safe, record);
  if (index.ok) return knownOf(record, index.value);
  throw unreadableHere();
}

function learn(mine: Known, stored: Known, index: SafeIndex, facts: SyncFacts): Known {
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

const sameKnown = (a: Known, b: Known): boolean =>
  sameIndex(a.index, b.index) &&
  a.network?.networkId === b.network?.networkId &&
  a.version === b.version &&
  a.published === b.published &&
  (a.acknowledged === null
    ? b.acknowledged === null
    : b.acknowledged !== null && equalBytes(a.acknowledged, b.acknowledged));

function giveToWallet(safe: OpenSafe): void {
  const { wallet } = safe.known.index;
  if (safe.wallet === null || equalBytes(wallet, safe.walletSection)) return;
  safe.walletSection = wallet;
  safe.wallet.absorb(wallet);
}
