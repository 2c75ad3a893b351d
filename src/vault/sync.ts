/**
 * Keeps the index on this device and the one on the network alike: read, merge, write the next
 * version; when another device was faster, read, merge and write again. Writers of one browser are
 * serialised by the Web Lock `safe-<owner>`.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import { encodePointer, signPointer, type PointerRecord } from '#data/pointer.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { fits, type SafeIndex } from '#safe/index/index-set.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { backOffMs, isElsewhere } from './context.ts';
import { elsewhere, otherVersion, tooLarge, VaultFailure } from './failure.ts';
import { mergeKeeping, openPlace, sealPlace, updateIndex, type OpenSafe } from './open-safe.ts';
import { fetchRecord, networkIdOf, readIndex, storeIndex } from './remote-index.ts';
import { offlineSentence, RpcFailure } from './rpc.ts';

/** Changes made together travel together. */
const debounceMs = 300;
/** How often other devices' changes are looked for while nothing happens here. */
const idleMs = 10_000;
/** The same while the person looks at another tab. */
const idleHiddenMs = 120_000;
/** Two devices writing at once settle in two or three rounds. */
const maxRounds = 8;

export interface Sync {
  /** Something changed here: write it soon. */
  readonly request: () => void;
  /** Resolves after one whole exchange, whether it succeeded or not. */
  readonly now: () => Promise<void>;
}

/**
 * Runs until the Safe is locked.
 * @param onReached called after every exchange that succeeded: the network is there
 */
export function startSync(safe: OpenSafe, onReached: () => void): Sync {
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
      const notice = await tryExchange(safe);
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

/** @returns an empty sentence, or what went wrong. */
async function tryExchange(safe: OpenSafe): Promise<string> {
  try {
    await exchange(safe);
    return '';
  } catch (error) {
    if (safe.session.closed.aborted) return '';
    if (error instanceof RpcFailure || error instanceof VaultFailure) return error.message;
    return 'Saving to the network failed inside the app. Your changes are kept on this device.';
  }
}

/**
 * Changes the index durably. What a person is shown as done is written somewhere first: on this
 * device, or on the network for a Safe that this device is not to remember.
 * @returns the index as it is stored now
 * @throws what kept it from being written; nothing has changed then
 */
export async function commit(
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex,
): Promise<SafeIndex> {
  const bounded = (index: SafeIndex): SafeIndex => {
    const next = change(index);
    const storable = next === index ? null : fits(next, index);
    if (storable?.ok === false) throw tooLarge(storable.error);
    return next;
  };
  if (safe.recordId !== null) return updateIndex(safe, bounded);
  return exchange(safe, bounded);
}

/**
 * One exchange with the network: afterwards both sides hold the merge of both.
 * @param change made to the merge, and visible here once the network holds it; made again when another
 *   device was faster, so twice must come to the same
 * @throws RpcFailure when the network cannot be reached, VaultFailure when it must not be believed
 */
export async function exchange(
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex = unchanged,
): Promise<SafeIndex> {
  const { ports, rpc, askNetwork } = safe.session.context;
  const served = await askNetwork();
  if (isElsewhere(safe.known.network, served)) return untouched(safe, change);
  if (safe.known.network === null && served === null) {
    throw new RpcFailure('offline', 0, offlineSentence);
  }
  const facts = served === null ? {} : { network: pinned(served) };
  return ports.withLock(`safe-${safe.owner}`, async () => {
    // What another tab has stored is part of what this one writes.
    await updateIndex(safe, unchanged, safe.known.network === null ? facts : {});
    const { network } = safe.known;
    if (network === null || isElsewhere(network, served)) return untouched(safe, change);
    const networkId = networkIdOf(network);
    for (let round = 0; round < maxRounds; round++) {
      const record = await fetchRecord(rpc, networkId, safe.strong.owner);
      const good = record !== null && (await takeIn(safe, record));
      const index = change(safe.known.index);
      if (good && safe.known.published && index === safe.known.index) return index;
      // A record older than one seen here may be a stale or a lying answer: write above both.
      const { version } = safe.known;
      if (version >= lastVersion) throw usedUp();
      const storable = fits(index);
      if (!storable.ok) throw tooLarge(storable.error);
      const body = await sealPlace(ports, safe, await storeIndex(ports, rpc, storable.value));
      const bodyHash = await sha256Fast(body);
      const signed = safe.strong.withOwnerSeed((seed) =>
        signPointer(networkId, seed, version + 1n, body),
      );
      if (!(await put(safe, signed, change !== unchanged))) continue;
      // A Safe that only the network remembers changes inside exchanges alone, one after the other.
      const now = safe.recordId === null ? () => index : unchanged;
      return updateIndex(safe, now, { version: version + 1n, held: { index, bodyHash } });
    }
    throw new RpcFailure('busy', 503, 'Other devices keep writing. It is tried again in a moment.');
  });
}

/** Nothing is said to another network; a change that was asked for is refused, not passed over. */
function untouched(safe: OpenSafe, change: (index: SafeIndex) => SafeIndex): SafeIndex {
  if (change !== unchanged) throw elsewhere();
  return safe.known.index;
}

/** @returns whether it was stored; another device may have taken the version. */
async function put(safe: OpenSafe, signed: PointerRecord, asked: boolean): Promise<boolean> {
  try {
    return (await safe.session.context.rpc.putPointer(encodePointer(signed))) === 'stored';
  } catch (error) {
    // It may have arrived all the same. Whoever waits for it must not simply repeat it.
    if (asked && error instanceof RpcFailure && error.passes) throw unsure();
    throw error;
  }
}

/**
 * Takes in what a record of the network leads to.
 * @returns false when the network has to be given a newer record, whatever is known here
 */
async function takeIn(safe: OpenSafe, record: PointerRecord): Promise<boolean> {
  const { session } = safe;
  const bodyHash = await sha256Fast(record.ciphertext);
  const current = record.version >= safe.known.version;
  const { acknowledged } = safe.known;
  if (acknowledged !== null && equalBytes(acknowledged, bodyHash)) {
    const { version } = record;
    if (version > safe.known.version) await updateIndex(safe, unchanged, { version });
    // What it leads to is part of the index here. Read once per unlocking, to see that it is there:
    // a lost chunk is written anew, and keeps nothing from being saved.
    if (safe.looked) return current;
    const index = await openRemote(safe, record.ciphertext).catch(lost);
    safe.looked = true;
    return index !== null && current;
  }
  // An old record that is shown again after it was written over is an old answer, or a lie.
  if (!current && safe.above !== null && equalBytes(safe.above, bodyHash)) return true;
  const index = await openRemote(safe, record.ciphertext);
  const { version } = record;
  const facts = current ? { version, held: { index, bodyHash } } : {};
  await updateIndex(safe, (mine) => mergeKeeping(session.context.ports, mine, index), facts);
  if (current) safe.looked = true;
  else safe.above = bodyHash;
  return current;
}

/** Nobody has it, or what they have is not what was stored. */
function lost(error: unknown): null {
  if (error instanceof VaultFailure && error.kind === 'networkRefused') return null;
  if (error instanceof RpcFailure && error.kind === 'notFound') return null;
  throw error;
}

async function openRemote(safe: OpenSafe, ciphertext: Uint8Array): Promise<SafeIndex> {
  const place = await openPlace(safe, ciphertext);
  if (place.ok) return readIndex(safe.session.context.rpc, place.value);
  if (place.error === 'unreadable') throw otherVersion();
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

/** A version is a number of 8 bytes. */
const lastVersion = 2n ** 64n - 1n;

const usedUp = (): VaultFailure =>
  new VaultFailure(
    'networkRefused',
    'Somebody who knows the phrase of this Safe has used up its place on the network: nothing can be saved there any more. What you have is kept on this device. Make a new Safe with a new phrase and move everything there.',
  );

const unsure = (): VaultFailure =>
  new VaultFailure(
    'offline',
    'The network did not say whether it took this change. Wait until it answers again and look before you repeat it.',
  );
