/** The vault: one Safe at a time, locked or open, and the requests a page may make of it. */
import type { VaultError, VaultReplies, VaultRequest } from '#bridge/vault.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { readPhrase } from '#safe/credentials/phrase-problem.ts';
import { newPhrase } from '#safe/credentials/phrase.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { setRemoved, withWallet } from '#safe/index/index-set.ts';
import type { SafeRecord } from '#storage/browser/vault-store.ts';
import { createContext, isElsewhere, type VaultContext } from './context.ts';
import { openDownloads, type Downloads } from './downloads.ts';
import { safeIsLocked, toVaultError, VaultFailure } from './failure.ts';
import { closeSafe, type OpenSafe } from './open-safe.ts';
import type { VaultPorts } from './ports.ts';
import { createRpc, RpcFailure } from './rpc.ts';
import { commit, startSync, type Sync } from './sync.ts';
import { createSafe, unlockHere, unlockWithPhrase } from './unlock.ts';
import { openUploads, type Uploads } from './uploads.ts';
import { buildView } from './view.ts';

/** The page is told at most five times a second. */
const showEveryMs = 200;

export interface Vault {
  /** Answers a request, or rejects with a {@link VaultError}. */
  readonly ask: <Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  /** The worker lost the read key of a file that somebody is reading. */
  readonly giveFileKey: (token: string) => Promise<void>;
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
  let remembered: SafeRecord | null = null;
  let open: Open | null = null;
  let entering = false;
  const show = throttle(ports, () => {
    ports.post({ kind: 'view', view: buildView(ready, remembered, open, context.served()) });
  });
  const rpc = createRpc(ports.fetch, {
    network: () => open?.safe.network?.networkId ?? null,
    onUncontrolled: () => ports.post({ kind: 'uncontrolled' }),
    onOtherNetwork: () => void context.askNetwork(),
  });
  const context: VaultContext = createContext(ports, rpc, show);

  /** The Safe to offer: of the network served here first, and of those the one used last. */
  const chooseRecord = async (): Promise<void> => {
    const records = [...(await ports.store.listSafes())].sort((a, b) => b.usedAt - a.usedAt);
    const served = context.served();
    remembered = records.find(({ network }) => !isElsewhere(network, served)) ?? records[0] ?? null;
  };

  const starting = (async () => {
    await context.askNetwork();
    await chooseRecord();
    ready = true;
    show();
  })();

  const enter = async (opening: () => Promise<OpenSafe>): Promise<null> => {
    await starting;
    if (entering) throw new VaultFailure('busy', 'A Safe is being opened already. Wait a moment.');
    entering = true;
    try {
      if (context.served() === null) await context.askNetwork();
      const safe = await opening();
      lock();
      open = await begin(context, safe);
      await chooseRecord();
    } finally {
      entering = false;
      show();
    }
    return null;
  };

  const lock = (): void => {
    if (open !== null) closeSafe(open.safe);
    open = null;
    show();
  };

  const opened = (): Open => {
    if (open === null) throw safeIsLocked();
    if (!isElsewhere(open.safe.network, context.served())) return open;
    throw new VaultFailure(
      'otherNetwork',
      'This address now serves another network than your Safe’s. Nothing was changed.',
    );
  };

  const change = async (fileId: string, removed: boolean): Promise<null> => {
    const { safe, sync } = opened();
    await commit(context, safe, (index) => setRemoved(index, safe.device, fileId, removed));
    sync.request();
    return null;
  };

  const forget = async (): Promise<null> => {
    await starting;
    const id = open === null ? remembered?.id : open.safe.recordId;
    const owner = open?.safe.owner ?? remembered?.owner;
    lock();
    if (owner !== undefined) {
      for (const plan of await ports.store.listPlans(owner)) await ports.store.deletePlan(plan.id);
    }
    if (id !== undefined && id !== null) await ports.store.deleteSafe(id);
    // What the worker keeps of payments that are over; without one it forgets them at its next start.
    void rpc.call('pay/done', { body: '{}' }).catch(() => undefined);
    await chooseRecord();
    show();
    return null;
  };

  const refresh = async (): Promise<null> => {
    await starting;
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
        return enter(() => createSafe(context, request.words, request.password));
      case 'unlockHere':
        return enter(() => unlockHere(context, remembered, request.password));
      case 'unlockWithPhrase': {
        const { words, password, remember } = request;
        return enter(() => unlockWithPhrase(context, words, password, remember));
      }
      case 'lock':
        lock();
        return null;
      case 'forget':
        return forget();
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
  };
}

/** Starts everything that runs while the Safe is open. */
async function begin(context: VaultContext, safe: OpenSafe): Promise<Open> {
  const { ports, rpc } = context;
  const parts: { sync?: Sync } = {};
  const uploads = await openUploads(context, safe, () => parts.sync?.request());
  if (ports.wallets !== null) {
    safe.wallet = await ports.wallets.open({
      seed: safe.keys.wallet,
      section: safe.index.wallet,
      owner: safe.owner,
      device: safe.device,
      network: () => safe.network,
      update: async (change) => {
        const { wallet } = await commit(context, safe, (index) => {
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
      closed: safe.closed.signal,
    });
  }
  const sync = startSync(context, safe, () => uploads.wake());
  parts.sync = sync;
  return { safe, uploads, downloads: openDownloads(context, safe), sync };
}

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
