/**
 * Synchronises the index on this device with the one on the network: read, merge, write the next version;
 * when another device was faster, read, merge and write again. Writers of one browser are serialised by the
 * Web Lock `safe-<owner>`.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import { encodePointer, signPointer, type PointerRecord } from '#data/pointer-record.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { checkIndexSize, type SafeIndex } from '#safe/index/index-set.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { backOffMs, isOtherNetwork } from '../context.ts';
import { otherNetworkServed, otherVersion, tooLarge, VaultFailure } from '../failure.ts';
import {
  mergeIndexes,
  openIndexLocation,
  sealIndexLocation,
  updateIndex,
  type OpenSafe,
} from './open-safe.ts';
import { fetchRecord, pinnedNetworkId, readIndex, storeIndex } from './remote-index.ts';
import { offlineSentence, RpcFailure } from '../network/worker-rpc.ts';

/** Changes within this time are sent together. */
const debounceMs = 300;
/** The poll interval for other devices' changes while nothing changes here. */
const idleMs = 10_000;
/** The same while the person looks at another tab. */
const idleHiddenMs = 120_000;
/** Two devices that write concurrently settle in two or three rounds. */
const maxRounds = 8;

export interface IndexSync {
  /** Something changed here: write it soon. */
  readonly request: () => void;
  /** Resolves after one whole exchange, whether it succeeded or not. */
  readonly now: () => Promise<void>;
}

/**
 * Runs until the Safe is locked.
 * @param onReached called after every successful exchange: the network is reachable
 */
export function startIndexSync(safe: OpenSafe, onReached: () => void): IndexSync {
  const { closed } = safe.session;
  const { ports, changed } = safe.session.context;
  let pause = new AbortController();
  let wanted = false;
  let waiters: (() => void)[] = [];

  const sleep = (ms: number): Promise<void> => {
    if (wanted) return Promise.resolve();
    return ports.wait(ms, AbortSignal.any([pause.signal, closed]));
  };
  const loop = async (): Promise<void> => {
    let failures = 0;
    while (!closed.aborted) {
      const served = waiters;
      waiters = [];
      wanted = false;
      pause = new AbortController();
      const notice = await tryExchangeIndex(safe);
      failures = notice === '' ? 0 : failures + 1;
      if (notice === '') onReached();
      if (!closed.aborted && notice !== safe.notice) {
        safe.notice = notice;
        changed();
      }
      for (const done of served) done();
      await sleep(failures > 0 ? backOffMs(failures + 1) : ports.visible() ? idleMs : idleHiddenMs);
      if (wanted && waiters.length === 0) await ports.wait(debounceMs, closed);
    }
    for (const done of waiters) done();
  };
  const wake = (): void => {
    wanted = true;
    pause.abort();
  };
  void loop();

  return {
    request: wake,
    now: () =>
      new Promise((done) => {
        if (closed.aborted) return done();
        waiters.push(done);
        wake();
      }),
  };
}

/** @returns an empty sentence, or the failure. */
async function tryExchangeIndex(safe: OpenSafe): Promise<string> {
  try {
    await exchangeIndex(safe);
    return '';
  } catch (error) {
    if (safe.session.closed.aborted) return '';
    if (error instanceof RpcFailure || error instanceof VaultFailure) return error.message;
    return 'Saving to the network failed inside the app. Your changes are kept on this device.';
  }
}

/**
 * Changes the index durably, before the change is shown as done: on this device, or on the network for a
 * Safe that this device must not remember.
 * @returns the index as stored now
 * @throws why it could not be written; then nothing has changed
 */
export async function commitChange(
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex,
): Promise<SafeIndex> {
  const bounded = (index: SafeIndex): SafeIndex => {
    const next = change(index);
    const storable = next === index ? null : checkIndexSize(next, index);
    if (storable?.ok === false) throw tooLarge(storable.error);
    return next;
  };
  if (safe.recordId !== null) return updateIndex(safe, bounded);
  return exchangeIndex(safe, bounded);
}

/**
 * One exchange with the network: afterwards both sides have the merge of both.
 * @param change applied to the merge, and visible here once the network has stored it; applied again when
 * another device was faster, so applying it twice must give the same result
 * @throws RpcFailure when the network is unreachable, VaultFailure when its answer is not trustworthy
 */
export async function exchangeIndex(
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex = unchanged,
): Promise<SafeIndex> {
  const { ports, rpc, fetchServedNetwork } = safe.session.context;
  const served = await fetchServedNetwork();
  if (isOtherNetwork(safe.known.network, served)) return refuseOrSkip(safe, change);
  if (safe.known.network === null && served === null) {
    throw new RpcFailure('offline', 0, offlineSentence);
  }
  const facts = served === null ? {} : { network: pinned(served) };
  return ports.withLock(`safe-${safe.owner}`, async () => {
    // Include what another tab has stored.
    await updateIndex(safe, unchanged, safe.known.network === null ? facts : {});
    const { network } = safe.known;
    if (network === null || isOtherNetwork(network, served)) return refuseOrSkip(safe, change);
    const networkId = pinnedNetworkId(network);
    for (let round = 0; round < maxRounds; round++) {
      const record = await fetchRecord(rpc, networkId, safe.strong.owner);
      const good = record !== null && (await mergeRecord(safe, record));
      const index = change(safe.known.index);
      if (good && safe.known.published && index === safe.known.index) return index;
      // A record older than one seen here may be stale or a false answer: write above both.
      const { version } = safe.known;
      if (version >= lastVersion) throw versionsUsedUp();
      const storable = checkIndexSize(index);
      if (!storable.ok) throw tooLarge(storable.error);
      const body = await sealIndexLocation(
        ports,
        safe,
        await storeIndex(ports, rpc, storable.value),
      );
      const bodyHash = await sha256Fast(body);
      const signed = safe.strong.withOwnerSeed((seed) =>
        signPointer(networkId, seed, version + 1n, body),
      );
      if (!(await put(safe, signed, change !== unchanged))) continue;
      // A Safe stored only on the network changes inside exchanges alone, one after the other.
      const now = safe.recordId === null ? () => index : unchanged;
      return updateIndex(safe, now, { version: version + 1n, held: { index, bodyHash } });
    }
    throw new RpcFailure('busy', 503, 'Other devices keep writing. It is tried again in a moment.');
  });
}

/** Sends nothing to another network; a requested change is refused, not skipped silently. */
function refuseOrSkip(safe: OpenSafe, change: (index: SafeIndex) => SafeIndex): SafeIndex {
  if (change !== unchanged) throw otherNetworkServed();
  return safe.known.index;
}

/** @returns whether it was stored; another device may have taken the version. */
async function put(safe: OpenSafe, signed: PointerRecord, asked: boolean): Promise<boolean> {
  try {
    await safe.session.context.rpc('pointer/put', encodePointer(signed));
    return true;
  } catch (error) {
    if (error instanceof RpcFailure && error.kind === 'versionTaken') return false;
    // It may have arrived all the same, so the caller must not simply repeat it.
    if (asked && error instanceof RpcFailure && error.isTemporary) throw outcomeUnknown();
    throw error;
  }
}

/**
 * Merges the index that a network record leads to.
 * @returns false when the network needs a newer record, whatever is known here
 */
async function mergeRecord(safe: OpenSafe, record: PointerRecord): Promise<boolean> {
  const { session } = safe;
  const bodyHash = await sha256Fast(record.ciphertext);
  const current = record.version >= safe.known.version;
  const { acknowledged } = safe.known;
  if (acknowledged !== null && equalBytes(acknowledged, bodyHash)) {
    const { version } = record;
    if (version > safe.known.version) await updateIndex(safe, unchanged, { version });
    // Its index is already merged here. Read it once per unlocking to check that it exists: a lost chunk is
    // rewritten, and must not block saving.
    if (safe.remoteChecked) return current;
    const index = await openRemote(safe, record.ciphertext).catch(nullIfMissing);
    safe.remoteChecked = true;
    return index !== null && current;
  }
  // An overwritten record that is returned again is a stale or a false answer.
  if (!current && safe.overwrittenHash !== null && equalBytes(safe.overwrittenHash, bodyHash))
    return true;
  const index = await openRemote(safe, record.ciphertext);
  const { version } = record;
  const facts = current ? { version, held: { index, bodyHash } } : {};
  await updateIndex(safe, (mine) => mergeIndexes(session.context.ports, mine, index), facts);
  if (current) safe.remoteChecked = true;
  else safe.overwrittenHash = bodyHash;
  return current;
}

/** No holder has it, or the bytes differ from those stored. */
function nullIfMissing(error: unknown): null {
  if (error instanceof VaultFailure && error.kind === 'networkRefused') return null;
  if (error instanceof RpcFailure && error.kind === 'notFound') return null;
  throw error;
}

async function openRemote(safe: OpenSafe, ciphertext: Uint8Array): Promise<SafeIndex> {
  const location = await openIndexLocation(safe, ciphertext);
  if (location.ok) return readIndex(safe.session.context.rpc, location.value);
  if (location.error === 'unreadable') throw otherVersion();
  throw new VaultFailure(
    'wrongPassword',
    'A Safe with this phrase and another password is on the network. Open that one, or make a new phrase for this one.',
  );
}

const unchanged = (index: SafeIndex): SafeIndex => index;

const pinned = ({ name, networkId, genesisKey }: PinnedNetwork): PinnedNetwork => ({
  name,
  networkId,
  genesisKey,
});

/** A version is an 8-byte number. */
const lastVersion = 2n ** 64n - 1n;

const versionsUsedUp = (): VaultFailure =>
  new VaultFailure(
    'networkRefused',
    'Somebody who knows the phrase of this Safe has used up its place on the network: nothing can be saved there any more. What you have is kept on this device. Make a new Safe with a new phrase and move everything there.',
  );

const outcomeUnknown = (): VaultFailure =>
  new VaultFailure(
    'offline',
    'The network did not say whether it took this change. Wait until it answers again and look before you repeat it.',
  );
