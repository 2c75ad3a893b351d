/** The vault: one Safe at a time, locked or open, and the requests a page may make of it. */
import type { VaultError, VaultReplies, VaultRequest } from '#bridge/vault.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { readPhrase } from '#safe/credentials/phrase-problem.ts';
import { newPhrase } from '#safe/credentials/phrase.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { setRemoved, withWallet } from '#safe/index/index-set.ts';
import type { PinnedNetwork, SafeRecord } from '#storage/browser/vault-store.ts';
import { createContext, isElsewhere, type VaultContext } from './context.ts';
import { keysTakenBack, openDownloads, type Downloads } from './downloads.ts';
import { elsewhere, safeIsLocked, toVaultError, VaultFailure } from './failure.ts';
import { storeLock, updateIndex, type OpenSafe } from './open-safe.ts';
import type { VaultPorts } from './ports.ts';
import { RpcFailure } from './rpc.ts';
import { openSession, type Session } from './session.ts';
import { commit, startSync, type Sync } from './sync.ts';
import { createSafe, unlockHere, unlockWithPhrase } from './unlock.ts';
import { openUploads, type Uploads } from './uploads.ts';
import { buildView, type OfferedSafe } from './view.ts';

/** The page is told at most five times a second. */
const showEveryMs = 200;
/** Forget tries to save what is on this device only for so long. */
const forgetsAfterMs = 10_000;

export interface Vault {
  /** Answers a request, or rejects with a {@link VaultError}. */
  readonly ask: <Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  /** The worker lost the read key of a file that somebody is reading. */
  readonly giveFileKey: (token: string) => Promise<void>;
  /** Another tab of this browser has changed what is stored of this owner's Safe. */
  readonly storeChanged: (owner: string) => Promise<void>;
}

/** The parts that run while a Safe is open. */
interface Open {
  readonly safe: OpenSafe;
  readonly uploads: Uploads;
  readonly downloads: Downloads;
  readonly sync: Sync;
}

export function createVault(ports: VaultPorts): Vault {
  let ready = false;
  let remembered: OfferedSafe | null = null;
  let open: Open | null = null;
  let entering: Session | null = null;
  const show = throttle(ports, () => {
    ports.post({ kind: 'view', view: buildView(ready, remembered, open, context.served()) });
  });
  const context: VaultContext = createContext(ports, show);

  /** The Safe to offer: of the network served here first, and of those the one used last. */
  const chooseRecord = async (): Promise<void> => {
    const records = [...(await ports.store.listSafes())].sort((a, b) => b.usedAt - a.usedAt);
    const served = context.served();
    const chosen = records.find(({ network }) => !isElsewhere(network, served)) ?? records[0];
    remembered = chosen === undefined ? null : offered(chosen);
  };

  let starting: Promise<void> | null = null;
  const started = (): Promise<void> => {
    starting ??= (async () => {
      await context.askNetwork();
      await chooseRecord();
      ready = true;
      show();
    })();
    // A store that failed is asked again by whoever comes next.
    return starting.catch((error: unknown) => {
      starting = null;
      throw error;
    });
  };
  started().catch(() => undefined);

  const enter = async (opening: (session: Session) => Promise<OpenSafe>): Promise<null> => {
    await started();
    if (entering !== null) {
      throw new VaultFailure('busy', 'A Safe is being opened already. Wait a moment.');
    }
    let safe: OpenSafe | null = null;
    const session = openSession(context, () => safe?.known.network?.networkId ?? null);
    session.closed.addEventListener('abort', () => {
      if (open?.safe.session === session) open = null;
      show();
      // It may have been forgotten by another tab.
      void chooseRecord().then(show, () => undefined);
    });
    entering = session;
    try {
      if (context.served() === null) await context.askNetwork();
      safe = await opening(session);
      open?.safe.session.close();
      const begun = await begin(safe);
      // Lock, pressed meanwhile, wins.
      if (session.closed.aborted) throw safeIsLocked();
      open = begun;
    } catch (error) {
      session.close();
      throw error;
    } finally {
      entering = null;
      await chooseRecord().catch(() => undefined);
      show();
    }
    return null;
  };

  /** Of a Safe that is open and of one that is being opened. */
  const lock = async (): Promise<void> => {
    entering?.close();
    open?.safe.session.close();
    // The screen is locked at once; the answer means that nothing of it can be read here any more.
    await Promise.all([chooseRecord().finally(show), keysTakenBack(context)]);
  };

  const opened = (): Open => {
    if (open === null) throw safeIsLocked();
    if (!isElsewhere(open.safe.known.network, context.served())) return open;
    throw elsewhere();
  };

  const change = async (fileId: string, removed: boolean): Promise<null> => {
    const { safe, sync } = opened();
    await commit(safe, (index) => setRemoved(index, safe.device, fileId, removed));
    sync.request();
    return null;
  };

  /** @param evenUnsaved what has not reached the network may go with it */
  const forget = async (evenUnsaved: boolean): Promise<null> => {
    await started();
    entering?.close();
    // Before anything is awaited: another tab may lock this one meanwhile, and another Safe be offered.
    const asked = open;
    const offer = remembered;
    // A person who may lose something does not want to: it is tried, and not for ever.
    if (asked !== null) {
      const saved = asked.sync.now();
      const { closed } = asked.safe.session;
      await (evenUnsaved ? Promise.race([saved, ports.wait(forgetsAfterMs, closed)]) : saved);
    }
    const here = asked === null ? offer : hereOf(asked.safe);
    if (here !== null) await forgetHere(ports, here, evenUnsaved);
    // What the worker keeps of payments that are over; without one it forgets them at its next start.
    void context.rpc.call('pay/done', { body: '{}' }).catch(() => undefined);
    await lock();
    return null;
  };

  const refresh = async (): Promise<null> => {
    await started();
    await context.askNetwork();
    if (open === null) {
      await chooseRecord();
      show();
      return null;
    }
    const { safe, sync, uploads } = open;
    uploads.wake();
    await sync.now();
    // Without a network the notice of the exchange has said so already.
    await safe.wallet?.refresh().catch((error: unknown) => {
      if (!(error instanceof RpcFailure)) throw error;
    });
    return null;
  };

  const answer = async (request: VaultRequest): Promise<unknown> => {
    switch (request.kind) {
      case 'newPhrase':
        return { words: newPhrase(ports.randomBytes(16)) };
      case 'checkPhrase': {
        const read = readPhrase(request.words);
        return { problem: read.ok ? null : read.error };
      }
      case 'passwordStrength':
        return passwordStrength(request.password);
      case 'createSafe':
        return enter((session) => createSafe(session, request.words, request.password));
      case 'unlockHere':
        return enter((session) => unlockHere(session, remembered?.id ?? null, request.password));
      case 'unlockWithPhrase': {
        const { words, password, remember } = request;
        return enter((session) => unlockWithPhrase(session, words, password, remember));
      }
      case 'lock':
        await lock();
        return null;
      case 'forget':
        return forget(request.evenUnsaved);
      case 'upload':
        return { transferId: opened().uploads.start(request.file) };
      case 'resumeUpload':
        await opened().uploads.resume(request.transferId, request.file);
        return { transferId: request.transferId };
      case 'cancelUpload':
        await opened().uploads.cancel(request.transferId);
        return null;
      case 'openFile':
        return { url: await opened().downloads.open(request.fileId) };
      case 'removeFile':
        return change(request.fileId, true);
      case 'restoreFile':
        return change(request.fileId, false);
      case 'refresh':
        return refresh();
      case 'askFaucet':
      case 'send':
      case 'redeem':
      case 'receiptText': {
        const { wallet } = opened().safe;
        if (wallet !== null) return wallet.ask(request);
        throw new VaultFailure('internal', 'This build of the app has no wallet.');
      }
    }
  };

  return {
    ask: async (request) => {
      try {
        return (await answer(request)) as never;
      } catch (error) {
        throw error instanceof RpcFailure ? networkError(error) : toVaultError(error);
      } finally {
        // Whoever reads the answer has already been shown what it changed.
        show.flush();
      }
    },
    giveFileKey: async (token) => open?.downloads.giveAgain(token),
    storeChanged: async (owner) => {
      if (open?.safe.owner === owner) await updateIndex(open.safe, (index) => index);
      else if (open === null) await chooseRecord();
      show();
    },
  };
}

/** Starts everything that runs while the Safe is open. */
async function begin(safe: OpenSafe): Promise<Open> {
  const { context, closed } = safe.session;
  const { ports, rpc } = context;
  const parts: { sync?: Sync } = {};
  const uploads = await openUploads(safe, () => parts.sync?.request());
  if (ports.wallets !== null) {
    safe.wallet = await ports.wallets.open({
      seed: safe.keys.wallet,
      section: safe.known.index.wallet,
      owner: safe.owner,
      device: safe.device,
      network: () => safe.known.network,
      update: async (change) => {
        const { wallet } = await commit(safe, (index) => {
          const section = change(index.wallet);
          if (equalBytes(section, index.wallet)) return index;
          // Here, where changes are serialised: an older change must not be given to the wallet.
          safe.walletSection = section;
          return withWallet(index, section);
        });
        parts.sync?.request();
        return wallet;
      },
      changed: context.changed,
      rpc,
      ports,
      closed,
    });
  }
  const sync = startSync(safe, () => uploads.wake());
  parts.sync = sync;
  return { safe, uploads, downloads: openDownloads(safe), sync };
}

const offered = ({ id, owner, fingerprint, network }: SafeRecord): OfferedSafe => ({
  id,
  owner,
  fingerprint,
  network,
});

/** What of a Safe is on this device, and under which names. */
interface Here {
  readonly id: string | null;
  readonly owner: string;
  readonly network: PinnedNetwork | null;
}

const hereOf = ({ recordId, owner, known }: OpenSafe): Here => ({
  id: recordId,
  owner,
  network: known.network,
});

async function forgetHere(
  { withLock, store, announce }: VaultPorts,
  { id, owner, network }: Here,
  evenUnsaved: boolean,
): Promise<void> {
  await withLock(storeLock(owner), async () => {
    const record = id === null ? undefined : await store.getSafe(id);
    if (record?.published === false && !evenUnsaved) throw notSaved();
    const others = (await store.listSafes()).some((each) => each.owner === owner && each.id !== id);
    for (const plan of await store.listPlans(owner)) {
      const bound = plan.network ?? null;
      // Of the same phrase on another network, or of nobody knows which: not ours to delete.
      if (bound === null ? others : bound !== network?.networkId) continue;
      await store.deletePlan(plan.id);
    }
    if (id !== null) await store.deleteSafe(id);
  });
  announce(owner);
}

const notSaved = (): VaultFailure =>
  new VaultFailure(
    'busy',
    'Something in this Safe is only on this device so far. Wait until it is on the network, or say that it may be lost.',
  );

const networkError = ({ kind, message, passes }: RpcFailure): VaultError => ({
  kind: kind === 'networkRefused' || !passes ? 'networkRefused' : 'offline',
  message,
});

interface Throttle {
  /** At once when the last notice is old enough, else once the time has come; never lost. */
  (): void;
  /** Now, when something is waiting to be shown. */
  readonly flush: () => void;
}

function throttle(ports: VaultPorts, emit: () => void): Throttle {
  const never = new AbortController().signal;
  let lastAt = -Infinity;
  let pending = false;
  const flush = (): void => {
    if (!pending) return;
    pending = false;
    lastAt = ports.now();
    emit();
  };
  const later = (): void => {
    if (pending) return;
    pending = true;
    const ms = Math.min(showEveryMs, Math.max(0, lastAt + showEveryMs - ports.now()));
    void (ms === 0 ? Promise.resolve() : ports.wait(ms, never)).then(flush);
  };
  return Object.assign(later, { flush });
}
