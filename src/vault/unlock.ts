/**
 * Making and opening Safes. The order is part of the design: a strong key (phrase, or this device)
 * is accepted first, and only then is a password looked at.
 */
import type { VaultErrorKind } from '#bridge/vault.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { StretchParameters } from '#crypto/stretch.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { allKeys, StrongKey, unlockRoot, type RootKeys } from '#safe/credentials/keys.ts';
import { toPassword, type Password } from '#safe/credentials/password.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { decodeEnvelope } from '#safe/index/envelope.ts';
import { EMPTY_INDEX } from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import { isElsewhere } from './context.ts';
import { forgottenHere, otherVersion, unreadableHere, VaultFailure } from './failure.ts';
import {
  knownOf,
  memberContext,
  openLocal,
  openPlace,
  ownerId,
  sealKnown,
  storeLock,
  type Known,
  type OpenSafe,
} from './open-safe.ts';
import { fetchRecord, networkIdOf, readIndex } from './remote-index.ts';
import { RpcFailure } from './rpc.ts';
import type { Session } from './session.ts';

/** Everything that is known once a password has fitted. */
interface Opened {
  readonly strong: StrongKey;
  readonly keys: RootKeys;
  readonly parameters: StretchParameters;
  readonly known: Known;
}

/** Makes a Safe from phrase and password alone: needs no network. */
export async function createSafe(
  session: Session,
  words: string,
  typed: string,
): Promise<OpenSafe> {
  const { ports } = session.context;
  const strong = session.keep(acceptPhrase(words));
  const strength = passwordStrength(typed);
  if (!strength.acceptable) throw new VaultFailure('weakPassword', strength.sentence);
  const known = await recordFor(session, strong);
  // The same phrase again on this device: that Safe exists, so open it instead of hiding it.
  if (known !== undefined) return openRecord(session, strong, known, acceptPassword(typed));
  const parameters = ports.stretchParameters;
  const keys = await stretchTo(session, strong, acceptPassword(typed), parameters);
  return remember(session, { strong, keys, parameters, known: nothingKnown });
}

/** Opens a Safe this device remembers. */
export async function unlockHere(
  session: Session,
  id: string | null,
  typed: string,
): Promise<OpenSafe> {
  if (id === null) throw new VaultFailure('locked', 'There is no Safe on this device yet.');
  const { ports } = session.context;
  const record = await ports.store.getSafe(id);
  if (record === undefined) throw forgottenHere();
  refuseElsewhere(session, record.network);
  const member = await ports.store.unwrap(record.member, memberContext(record.owner));
  if (member === null) {
    throw new VaultFailure(
      'phraseUnknown',
      'This device’s own key is gone. Open your Safe with the phrase instead.',
    );
  }
  const strong = session.keep(StrongKey.fromDevice(member));
  return openRecord(session, strong, record, acceptPassword(typed));
}

/** Opens a Safe by its phrase: from this device when it is known here, else from the network. */
export async function unlockWithPhrase(
  session: Session,
  words: string,
  typed: string,
  keep: boolean,
): Promise<OpenSafe> {
  const strong = session.keep(acceptPhrase(words));
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
  const { rpc, askNetwork } = session.context;
  try {
    const served = await askNetwork();
    if (served === null) throw offlineHere();
    const { name, networkId, genesisKey } = served;
    const network = { name, networkId, genesisKey };
    const record = await fetchRecord(rpc, networkIdOf(network), strong.owner);
    if (record === null) {
      throw new VaultFailure(
        'phraseUnknown',
        'The phrase is well-formed, but no Safe was found for it. If you created it offline and never connected, open it on that device once, or create it here with the same phrase and password.',
      );
    }
    const envelope = decodeEnvelope(record.ciphertext);
    if (!envelope.ok) throw otherVersion();
    const { parameters } = envelope.value;
    const keys = await stretchTo(session, strong, password, parameters);
    const place = await openPlace({ strong, keys }, record.ciphertext);
    if (!place.ok) throw place.error === 'wrongKey' ? wrongPassword() : otherVersion();
    const index = await readIndex(rpc, place.value);
    const { version } = record;
    const acknowledged = await sha256Fast(record.ciphertext);
    const known = { index, network, version, published: true, acknowledged };
    return { strong, keys, parameters, known };
  } catch (error) {
    if (error instanceof RpcFailure) throw offlineHere();
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
  refuseElsewhere(session, record.network);
  const envelope = decodeEnvelope(record.envelope, record.envelope.length);
  if (!envelope.ok) throw unreadableHere();
  const { parameters } = envelope.value;
  const keys = await stretchTo(session, strong, password, parameters);
  // Anew, and while no other tab writes: another one may have changed it since, or forgotten it.
  return ports.withLock(storeLock(record.owner), async () => {
    const latest = await ports.store.getSafe(record.id);
    if (latest === undefined) throw forgottenHere();
    const index = await openLocal({ strong, keys }, latest);
    if (!index.ok) throw index.error === 'wrongKey' ? wrongPassword() : unreadableHere();
    // It only decides which Safe is offered first: a full disk keeps nobody out.
    await ports.store.putSafe({ ...latest, usedAt: ports.now() }).catch(() => undefined);
    const opened = { strong, keys, parameters, known: knownOf(latest, index.value) };
    return assemble(session, opened, latest);
  });
}

/** Stores the Safe on this device: from now on it needs the password only. */
async function remember(session: Session, opened: Opened): Promise<OpenSafe> {
  const { ports } = session.context;
  const { strong } = opened;
  const owner = ownerId(strong);
  return ports.withLock(storeLock(owner), async () => {
    if ((await recordFor(session, strong)) !== undefined) throw openedElsewhere();
    const record: SafeRecord = {
      id: toHex(ports.randomBytes(16)),
      owner,
      fingerprint: strong.fingerprint,
      device: ports.randomBytes(8),
      member: await ports.store.wrap(strong.member().reveal(), memberContext(owner)),
      ...(await sealKnown(ports, opened, opened.known)),
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
    looked: false,
    above: null,
    notice: '',
    wallet: null,
    walletSection: opened.known.index.wallet,
  };
}

const nothingKnown: Known = {
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

/** A password that breaks the rules was never set, so it is simply not the one. */
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
    for (const key of allKeys(keys.value)) session.keep(key);
    return keys.value;
  }
  throw new VaultFailure(
    'internal',
    'This device ran out of memory checking the password. Close other tabs and try again.',
  );
}

/** This phrase on this device, for the network served here or for none yet. */
async function recordFor(session: Session, strong: StrongKey): Promise<SafeRecord | undefined> {
  const { ports, served: servedNow } = session.context;
  const records = await ports.store.listSafes();
  const served = servedNow();
  return records.find(
    ({ owner, network }) => owner === ownerId(strong) && !isElsewhere(network, served),
  );
}

function refuseElsewhere({ context }: Session, network: PinnedNetwork | null): void {
  if (!isElsewhere(network, context.served())) return;
  throw failure(
    'otherNetwork',
    `Your Safe belongs to the network “${network?.name ?? ''}”, and this address serves another one. Open the address where you made it.`,
  );
}

const failure = (kind: VaultErrorKind, message: string): VaultFailure =>
  new VaultFailure(kind, message);

const wrongPassword = (): VaultFailure =>
  failure('wrongPassword', 'That password doesn’t fit this Safe. Check Caps Lock and try again.');

const openedElsewhere = (): VaultFailure =>
  failure('busy', 'This Safe is being opened in another tab as well. Try again.');

const offlineHere = (): VaultFailure =>
  failure('offline', 'To open your Safe on a new device, go online once.');
