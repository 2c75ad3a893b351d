/**
 * Making and opening Safes. The order is part of the design: a strong key (phrase, or this device)
 * is accepted first, and only then is a password looked at.
 */
import type { VaultErrorKind } from '#bridge/vault.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { StretchParameters } from '#crypto/stretch.ts';
import { StrongKey, unlockRoot, type RootKeys } from '#safe/credentials/keys.ts';
import { toPassword, type Password } from '#safe/credentials/password.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { decodeEnvelope } from '#safe/index/envelope.ts';
import { EMPTY_INDEX, type SafeIndex } from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import { isElsewhere, type VaultContext } from './context.ts';
import { VaultFailure } from './failure.ts';
import {
  memberContext,
  openLocal,
  openPlace,
  ownerId,
  sealLocal,
  type OpenSafe,
} from './open-safe.ts';
import type { VaultPorts } from './ports.ts';
import { fetchRecord, networkIdOf, readIndex } from './remote-index.ts';
import { RpcFailure } from './rpc.ts';

/** Everything that is known once a password has fitted. */
interface Opened {
  readonly strong: StrongKey;
  readonly keys: RootKeys;
  readonly parameters: StretchParameters;
  readonly index: SafeIndex;
  readonly network: PinnedNetwork | null;
  readonly version: bigint;
  readonly published: boolean;
}

/** Makes a Safe from phrase and password alone: needs no network. */
export async function createSafe(
  context: VaultContext,
  words: string,
  typed: string,
): Promise<OpenSafe> {
  const { ports } = context;
  const strong = acceptPhrase(words);
  const strength = passwordStrength(typed);
  if (!strength.acceptable) throw new VaultFailure('weakPassword', strength.sentence);
  const known = await recordFor(context, strong);
  // The same phrase again on this device: that Safe exists, so open it instead of hiding it.
  if (known !== undefined) return openRecord(context, strong, known, acceptPassword(typed));
  const parameters = ports.stretchParameters;
  const keys = await stretchTo(ports, strong, acceptPassword(typed), parameters);
  const index = EMPTY_INDEX;
  const opened = { strong, keys, parameters, index, network: null, version: 0n, published: false };
  return remember(context, opened);
}

/** Opens the Safe this device remembers. */
export async function unlockHere(
  context: VaultContext,
  record: SafeRecord | null,
  typed: string,
): Promise<OpenSafe> {
  if (record === null) throw new VaultFailure('locked', 'There is no Safe on this device yet.');
  refuseElsewhere(context, record.network);
  const member = await context.ports.store.unwrap(record.member, memberContext(record.owner));
  if (member === null) {
    throw new VaultFailure(
      'phraseUnknown',
      'This device’s own key is gone. Open your Safe with the phrase instead.',
    );
  }
  return openRecord(context, StrongKey.fromDevice(member), record, acceptPassword(typed));
}

/** Opens a Safe by its phrase: from this device when it is known here, else from the network. */
export async function unlockWithPhrase(
  context: VaultContext,
  words: string,
  typed: string,
  keep: boolean,
): Promise<OpenSafe> {
  const strong = acceptPhrase(words);
  const known = await recordFor(context, strong);
  if (known !== undefined) return openRecord(context, strong, known, acceptPassword(typed));
  const opened = await openFromNetwork(context, strong, acceptPassword(typed));
  return keep ? remember(context, opened) : assemble(context.ports, opened, null);
}

async function openFromNetwork(
  context: VaultContext,
  strong: StrongKey,
  password: Password,
): Promise<Opened> {
  const { ports, rpc } = context;
  try {
    const served = await context.askNetwork();
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
    if (!envelope.ok) {
      throw new VaultFailure(
        'networkRefused',
        'Your Safe was written by another version of the app. Reload to update, then try again.',
      );
    }
    const { parameters } = envelope.value;
    const keys = await stretchTo(ports, strong, password, parameters);
    const place = await openPlace({ strong, keys }, record.ciphertext);
    if (place === null) throw wrongPassword();
    const index = await readIndex(rpc, place);
    const { version } = record;
    return { strong, keys, parameters, index, network, version, published: true };
  } catch (error) {
    if (error instanceof RpcFailure) throw offlineHere();
    throw error;
  }
}

async function openRecord(
  context: VaultContext,
  strong: StrongKey,
  record: SafeRecord,
  password: Password,
): Promise<OpenSafe> {
  const { ports } = context;
  refuseElsewhere(context, record.network);
  const envelope = decodeEnvelope(record.envelope, record.envelope.length);
  if (!envelope.ok) {
    throw new VaultFailure(
      'internal',
      'What this device kept of your Safe is damaged. Open it with the phrase on another device, or forget it here and open it again.',
    );
  }
  const { parameters } = envelope.value;
  const keys = await stretchTo(ports, strong, password, parameters);
  const index = await openLocal({ strong, keys }, record);
  if (index === null) throw wrongPassword();
  const { network, published } = record;
  const version = BigInt(record.version);
  await ports.store.putSafe({ ...record, usedAt: ports.now() });
  const opened = { strong, keys, parameters, index, network, version, published };
  return assemble(ports, opened, record);
}

/** Stores the Safe on this device: from now on it needs the password only. */
async function remember(context: VaultContext, opened: Opened): Promise<OpenSafe> {
  const { ports } = context;
  const { strong, network, version, published } = opened;
  const owner = ownerId(strong);
  const record: SafeRecord = {
    id: toHex(ports.randomBytes(16)),
    owner,
    fingerprint: strong.fingerprint,
    network,
    device: ports.randomBytes(8),
    member: await ports.store.wrap(strong.member().reveal(), memberContext(owner)),
    envelope: await sealLocal(ports, opened, opened.index),
    version: String(version),
    published,
    usedAt: ports.now(),
  };
  await ports.store.putSafe(record);
  return assemble(ports, opened, record);
}

function assemble(ports: VaultPorts, opened: Opened, record: SafeRecord | null): OpenSafe {
  return {
    ...opened,
    owner: ownerId(opened.strong),
    device: record?.device ?? ports.randomBytes(8),
    closed: new AbortController(),
    recordId: record?.id ?? null,
    notice: '',
    wallet: null,
    walletSection: opened.index.wallet,
  };
}

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
  ports: VaultPorts,
  strong: StrongKey,
  password: Password,
  parameters: StretchParameters,
): Promise<RootKeys> {
  const keys = await unlockRoot(strong, password, parameters, ports.stretch);
  if (keys.ok) return keys.value;
  throw new VaultFailure(
    'internal',
    'This device ran out of memory checking the password. Close other tabs and try again.',
  );
}

/** This phrase on this device, for the network served here or for none yet. */
async function recordFor(
  context: VaultContext,
  strong: StrongKey,
): Promise<SafeRecord | undefined> {
  const records = await context.ports.store.listSafes();
  const served = context.served();
  return records.find(
    ({ owner, network }) => owner === ownerId(strong) && !isElsewhere(network, served),
  );
}

function refuseElsewhere(context: VaultContext, network: PinnedNetwork | null): void {
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

const offlineHere = (): VaultFailure =>
  failure('offline', 'To open your Safe on a new device, go online once.');
