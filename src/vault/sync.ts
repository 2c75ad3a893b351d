/**
 * Keeps the index on this device and the one on the network alike: read, merge, write the next
 * version; when another device was faster, read, merge and write again. Writers of one browser are
 * serialised by the Web Lock `safe-<owner>`.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import { encodePointer, signPointer } from '#data/pointer.ts';
import { encodeIndex, type SafeIndex } from '#safe/index/index-set.ts';
import { backOffMs, isElsewhere, type VaultContext } from './context.ts';
import { safeIsLocked, VaultFailure } from './failure.ts';
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
export function startSync(context: VaultContext, safe: OpenSafe, onReached: () => void): Sync {
  const { ports } = context;
  const closed = safe.closed.signal;
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
      const notice = await tryExchange(context, safe);
      failures = notice === '' ? 0 : failures + 1;
      if (notice === '') onReached();
      if (!closed.aborted && notice !== safe.notice) {
        safe.notice = notice;
        context.changed();
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
async function tryExchange(context: VaultContext, safe: OpenSafe): Promise<string> {
  try {
    await exchange(context, safe);
    return '';
  } catch (error) {
    if (safe.closed.signal.aborted) return '';
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
  context: VaultContext,
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex,
): Promise<SafeIndex> {
  if (safe.recordId !== null) return updateIndex(context, safe, change);
  if (isElsewhere(safe.network, await context.askNetwork())) throw elsewhere();
  return exchange(context, safe, change);
}

/**
 * One exchange with the network: afterwards both sides hold the merge of both.
 * @param change made to the merge, and visible here once the network holds it
 * @throws RpcFailure when the network cannot be reached, VaultFailure when it must not be believed
 */
export async function exchange(
  context: VaultContext,
  safe: OpenSafe,
  change: (index: SafeIndex) => SafeIndex = unchanged,
): Promise<SafeIndex> {
  const { ports, rpc } = context;
  const served = await context.askNetwork();
  if (isElsewhere(safe.network, served)) return safe.index;
  if (safe.network === null) {
    if (served === null) throw new RpcFailure('offline', 0, offlineSentence);
    const { name, networkId, genesisKey } = served;
    safe.network = { name, networkId, genesisKey };
    await updateIndex(context, safe, (index) => index);
  }
  const networkId = networkIdOf(safe.network);
  return ports.withLock(`safe-${safe.owner}`, async () => {
    for (let round = 0; round < maxRounds; round++) {
      if (safe.closed.signal.aborted) throw safeIsLocked();
      const record = await fetchRecord(rpc, networkId, safe.strong.owner);
      const remote = record === null ? null : await openRemote(context, safe, record.ciphertext);
      if (remote !== null) {
        await updateIndex(context, safe, (index) => mergeKeeping(ports, index, remote));
      }
      const index = change(safe.index);
      const bytes = encodeIndex(index);
      // A record older than one seen here may be a stale or a lying answer: write above both.
      const seen = record === null || record.version < safe.version ? safe.version : record.version;
      if (remote !== null && record?.version === seen && equalBytes(bytes, encodeIndex(remote))) {
        return settle(context, safe, index, seen);
      }
      const place = await storeIndex(ports, rpc, bytes);
      const body = await sealPlace(ports, safe, place);
      const signed = signPointer(networkId, safe.strong.ownerSeed(), seen + 1n, body);
      const written = await rpc.putPointer(encodePointer(signed));
      if (written === 'stored') return settle(context, safe, index, seen + 1n);
    }
    throw new RpcFailure('busy', 503, 'Other devices keep writing. It is tried again in a moment.');
  });
}

/** The network has `index` as this version; what changed here meanwhile still has to go. */
async function settle(
  context: VaultContext,
  safe: OpenSafe,
  index: SafeIndex,
  version: bigint,
): Promise<SafeIndex> {
  if (safe.version === version && safe.published && safe.index === index) return index;
  const facts = { version, acknowledged: index };
  // A Safe that only the network remembers changes inside exchanges alone, one after the other.
  const now = safe.recordId === null ? () => index : unchanged;
  return updateIndex(context, safe, now, facts);
}

const unchanged = (index: SafeIndex): SafeIndex => index;

const elsewhere = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'This address now serves another network than your Safe’s. Nothing was changed.',
  );

async function openRemote(
  context: VaultContext,
  safe: OpenSafe,
  ciphertext: Uint8Array,
): Promise<SafeIndex> {
  const place = await openPlace(safe, ciphertext);
  if (place !== null) return readIndex(context.rpc, place);
  throw new VaultFailure(
    'wrongPassword',
    'A Safe with this phrase and another password is on the network. Open that one, or make a new phrase for this one.',
  );
}
