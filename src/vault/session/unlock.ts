/**
 * Creates and opens Safes. The order is a rule: first a strong key (phrase, or this device) is accepted,
 * only then is a password checked.
 */
import type { VaultErrorKind } from '#bridge/vault.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { StretchParameters } from '#crypto/stretch-parameters.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import {
  allKeys,
  StrongKey,
  unlockRoot,
  type RootKeys,
} from '#safe/credentials/derive-root-keys.ts';
import { toPassword, type Password } from '#safe/credentials/password-rules.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { decodeIndexEnvelope } from '#safe/index/index-envelope.ts';
import { EMPTY_INDEX } from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import { isOtherNetwork } from '../context.ts';
import { forgottenOnDevice, otherVersion, unreadableOnDevice, VaultFailure } from '../failure.ts';
import {
  knownSafeOf,
  memberContext,
  openLocal,
  openIndexLocation,
  ownerId,
  sealKnownSafe,
  storeLock,
  type KnownSafe,
  type OpenSafe,
} from './open-safe.ts';
import { fetchRecord, pinnedNetworkId, readIndex } from './remote-index.ts';
import { RpcFailure } from '../network/worker-rpc.ts';
import type { Session } from './session.ts';

/** Everything known after the password was accepted. */
interface Opened {
  readonly strong: StrongKey;
  readonly keys: RootKeys;
  readonly parameters: StretchParameters;
  readonly known: KnownSafe;
}

/** Creates a Safe from phrase and password alone, without a network. */
export async function createSafe(
  session: Session,
  words: string,
  typed: string,
): Promise<OpenSafe> {
  const { ports } = session.context;
  const strong = session.wipeOnClose(acceptPhrase(words));
  const strength = await passwordStrength(typed, ports.estimateGuesses);
  if (!strength.acceptable) throw new VaultFailure('weakPassword', strength.sentence);
  const known = await recordFor(session, strong);
  // This phrase is known on this device: its Safe exists, so open it instead of hiding it.
  if (known !== undefined) return openRecord(session, strong, known, acceptPassword(typed));
  const parameters = ports.stretchParameters;
  const keys = await stretchTo(session, strong, acceptPassword(typed), parameters);
  return remember(session, { strong, keys, parameters, known: unknownSafe });
}

/** Opens a Safe stored on this device. */
export async function unlockHere(
  session: Session,
  id: string | null,
  typed: string,
): Promise<OpenSafe> {
  if (id === null) throw new VaultFailure('locked', 'There is no Safe on this device yet.');
  const { ports } = session.context;
  const record = await ports.store.getSafe(id);
  if (record === undefined) throw forgottenOnDevice();
  refuseOtherNetwork(session, record.network);
  const member = await ports.store.unwrap(record.member, memberContext(record.owner));
  if (member === null) {
    throw new VaultFailure(
      'phraseUnknown',
      'This device’s own key is gone. Open your Safe with the phrase instead.',
    );
  }
  const strong = session.wipeOnClose(StrongKey.fromDevice(member));
  return openRecord(session, strong, record, acceptPassword(typed));
}

/** Opens a Safe by its phrase: from this device if it is stored here, else from the network. */
export async function unlockWithPhrase(
  session: Session,
  words: string,
  typed: string,
  keep: boolean,
): Promise<OpenSafe> {
  const strong = session.wipeOnClose(acceptPhrase(words));
  const known = await recordFor(session, strong);
  if (known !== undefined) return openRecord(session, strong, known, acceptPassword(typed));
  const opened = await openFromNetwork(session, strong, acceptPassword(typed));
  return keep ? remember(session, opened) : assemble(session, opened, null);
}

async function openFromNetwork(
  session: Session,
  strong: StrongKey,
  password: Password,
): Promise<Opened> {
  const { rpc, fetchServedNetwork } = session.context;
  try {
    const served = await fetchServedNetwork();
    if (served === null) throw offlineOnNewDevice();
    const { name, networkId, genesisKey } = served;
    const network = { name, networkId, genesisKey };
    const record = await fetchRecord(rpc, pinnedNetworkId(network), strong.owner);
    if (record === null) {
      throw new VaultFailure(
        'phraseUnknown',
        'The phrase is well-formed, but no Safe was found for it. If you created it offline and never connected, open it on that device once, or create it here with the same phrase and password.',
      );
    }
    const envelope = decodeIndexEnvelope(record.ciphertext);
    if (!envelope.ok) throw otherVersion();
    const { parameters } = envelope.value;
    const keys = await stretchTo(session, strong, password, parameters);
    const location = await openIndexLocation({ strong, keys }, record.ciphertext);
    if (!location.ok) throw location.error === 'wrongKey' ? wrongPassword() : otherVersion();
    const index = await readIndex(rpc, location.value);
    const { version } = record;
    const acknowledged = await sha256Fast(record.ciphertext);
    const known = { index, network, version, published: true, acknowledged };
    return { strong, keys, parameters, known };
  } catch (error) {
    if (error instanceof RpcFailure) throw offlineOnNewDevice();
    throw error;
  }
}

async function openRecord(
  session: Session,
  strong: StrongKey,
  record: SafeRecord,
  password: Password,
): Promise<OpenSafe> {
  const { ports } = session.context;
  refuseOtherNetwork(session, record.network);
  const envelope = decodeIndexEnvelope(record.envelope, record.envelope.length);
  if (!envelope.ok) throw unreadableOnDevice();
  const { parameters } = envelope.value;
  const keys = await stretchTo(session, strong, password, parameters);
  // Read again under the lock: another tab may have changed or removed it since.
  return ports.withLock(storeLock(record.owner), async () => {
    const latest = await ports.store.getSafe(record.id);
    if (latest === undefined) throw forgottenOnDevice();
    const index = await openLocal({ strong, keys }, latest);
    if (!index.ok) throw index.error === 'wrongKey' ? wrongPassword() : unreadableOnDevice();
    // `usedAt` only decides which Safe is offered first: a full disk must not prevent unlocking.
    await ports.store.putSafe({ ...latest, usedAt: ports.now() }).catch(() => undefined);
    const opened = { strong, keys, parameters, known: knownSafeOf(latest, index.value) };
    return assemble(session, opened, latest);
  });
}

/** Stores the Safe on this device: from now on it needs only the password. */
async function remember(session: Session, opened: Opened): Promise<OpenSafe> {
  const { ports } = session.context;
  const { strong } = opened;
  const owner = ownerId(strong);
  return ports.withLock(storeLock(owner), async () => {
    if ((await recordFor(session, strong)) !== undefined) throw openedInOtherTab();
    const record: SafeRecord = {
      id: toHex(ports.randomBytes(16)),
      owner,
      fingerprint: strong.fingerprint,
      device: ports.randomBytes(8),
      member: await ports.store.wrap(strong.member().reveal(), memberContext(owner)),
      ...(await sealKnownSafe(ports, opened, opened.known)),
      usedAt: ports.now(),
    };
    await ports.store.putSafe(record);
    return assemble(session, opened, record);
  });
}

function assemble(session: Session, opened: Opened, record: SafeRecord | null): OpenSafe {
  return {
    ...opened,
    session,
    owner: ownerId(opened.strong),
    device: record?.device ?? session.context.ports.randomBytes(8),
    recordId: record?.id ?? null,
    remoteChecked: false,
    overwrittenHash: null,
    notice: '',
    wallet: null,
    walletSection: opened.known.index.wallet,
  };
}

const unknownSafe: KnownSafe = {
  index: EMPTY_INDEX,
  network: null,
  version: 0n,
  published: false,
  acknowledged: null,
};

function acceptPhrase(words: string): StrongKey {
  const strong = StrongKey.fromPhrase(words);
  if (strong.ok) return strong.value;
  throw new VaultFailure(
    'phraseInvalid',
    'These words are not a whole phrase. Check them against your sheet.',
    strong.error,
  );
}

/** A password that breaks the rules was never set, so it is simply wrong. */
function acceptPassword(typed: string): Password {
  const password = toPassword(typed);
  if (password.ok) return password.value;
  throw wrongPassword();
}

async function stretchTo(
  session: Session,
  strong: StrongKey,
  password: Password,
  parameters: StretchParameters,
): Promise<RootKeys> {
  const { stretch } = session.context.ports;
  const keys = await unlockRoot(strong, password, parameters, stretch);
  if (keys.ok) {
    for (const key of allKeys(keys.value)) session.wipeOnClose(key);
    return keys.value;
  }
  throw new VaultFailure(
    'internal',
    'This device ran out of memory checking the password. Close other tabs and try again.',
  );
}

/** The record of this phrase on this device, for the network served here or for none yet. */
async function recordFor(session: Session, strong: StrongKey): Promise<SafeRecord | undefined> {
  const { ports, served: getServed } = session.context;
  const records = await ports.store.listSafes();
  const served = getServed();
  return records.find(
    ({ owner, network }) => owner === ownerId(strong) && !isOtherNetwork(network, served),
  );
}

function refuseOtherNetwork({ context }: Session, network: PinnedNetwork | null): void {
  if (!isOtherNetwork(network, context.served())) return;
  throw failure(
    'otherNetwork',
    `Your Safe belongs to the network “${network?.name ?? ''}”, and this address serves another one. Open the address where you made it.`,
  );
}

const failure = (kind: VaultErrorKind, message: string): VaultFailure =>
  new VaultFailure(kind, message);

const wrongPassword = (): VaultFailure =>
  failure('wrongPassword', 'That password doesn’t fit this Safe. Check Caps Lock and try again.');

const openedInOtherTab = (): VaultFailure =>
  failure('busy', 'This Safe is being opened in another tab as well. Try again.');

const offlineOnNewDevice = (): VaultFailure =>
  failure('offline', 'To open your Safe on a new device, go online once.');
