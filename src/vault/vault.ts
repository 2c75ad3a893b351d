/** The vault: one Safe at a time, locked or open, and the requests of a page. */
import { assertNever } from '#core/assert.ts';
import type { VaultError, VaultReplies, VaultRequest } from '#bridge/vault.ts';
import { readPhrase } from '#safe/credentials/phrase-problem.ts';
import { newPhrase } from '#safe/credentials/phrase.ts';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { setRemoved } from '#safe/index/index-set.ts';
import type { SafeRecord } from '#storage/browser/vault-store.ts';
import { createContext, isOtherNetwork, type VaultContext } from './context.ts';
import { keyCallsSettled } from './files/downloads.ts';
import { otherNetworkServed, safeIsLocked, toVaultError, VaultFailure } from './failure.ts';
import { updateIndex, type OpenSafe } from './session/open-safe.ts';
import type { VaultPorts } from './ports.ts';
import { RpcFailure } from './network/worker-rpc.ts';
import { openSession, type Session } from './session/session.ts';
import { commitChange } from './session/index-sync.ts';
import { createSafe, unlockHere, unlockWithPhrase } from './session/unlock.ts';
import { deviceCopyOf, forgetOnDevice } from './forget-safe.ts';
import { startParts, type RunningSafe } from './running-safe.ts';
import { buildView, type RememberedSafe } from './view.ts';
import { createViewThrottle, type ViewThrottle } from './view-throttle.ts';

/** The time for Forget to save changes that exist only on this device. */
const forgetTimeoutMs = 10_000;

export interface Vault {
  /** Answers a request, or rejects with a {@link VaultError}. */
  readonly ask: <Kind extends VaultRequest['kind']>(
    request: Extract<VaultRequest, { kind: Kind }>,
  ) => Promise<VaultReplies[Kind]>;
  /** The worker lost the read key of a file being read. */
  readonly resendFileKey: (token: string) => Promise<void>;
  /** Another tab of this browser has changed the stored record of this owner's Safe. */
  readonly storeChanged: (owner: string) => Promise<void>;
}

/** Changed only by the functions of this file. */
interface VaultState {
  readonly ports: VaultPorts;
  readonly context: VaultContext;
  readonly show: ViewThrottle;
  ready: boolean;
  remembered: RememberedSafe | null;
  open: RunningSafe | null;
  openingSession: Session | null;
  starting: Promise<void> | null;
}

export function createVault(ports: VaultPorts): Vault {
  const show = createViewThrottle(ports, () => {
    const { ready, remembered, open } = vault;
    ports.post({ kind: 'view', view: buildView(ready, remembered, open, context.served()) });
  });
  const context: VaultContext = createContext(ports, show);
  const vault: VaultState = {
    ...{ ports, context, show },
    ...{ ready: false, remembered: null, open: null, openingSession: null, starting: null },
  };
  started(vault).catch(() => undefined);
  return {
    ask: async (request) => {
      try {
        return (await answer(vault, request)) as never;
      } catch (error) {
        throw error instanceof RpcFailure ? networkError(error) : toVaultError(error);
      } finally {
        // The page gets the changed view before the answer.
        show.flush();
      }
    },
    resendFileKey: async (token) => vault.open?.downloads.resend(token),
    storeChanged: async (owner) => {
      const { open } = vault;
      if (open?.safe.owner === owner) await updateIndex(open.safe, (index) => index);
      else if (open === null) await chooseRecord(vault);
      show();
    },
  };
}

/** @returns the reply of this kind of request */
async function answer(vault: VaultState, request: VaultRequest): Promise<unknown> {
  const openWith = (opening: (session: Session) => Promise<OpenSafe>): Promise<null> =>
    openSafe(vault, opening);
  switch (request.kind) {
    case 'newPhrase':
      return { words: newPhrase(vault.ports.randomBytes(16)) };
    case 'checkPhrase': {
      const read = readPhrase(request.words);
      return { problem: read.ok ? null : read.error };
    }
    case 'passwordStrength':
      return passwordStrength(request.password, vault.ports.estimateGuesses);
    case 'createSafe':
      return openWith((session) => createSafe(session, request.words, request.password));
    case 'unlockHere':
      return openWith((session) =>
        unlockHere(session, vault.remembered?.id ?? null, request.password),
      );
    case 'unlockWithPhrase': {
      const { words, password, remember } = request;
      return openWith((session) => unlockWithPhrase(session, words, password, remember));
    }
    case 'lock':
      await lock(vault);
      return null;
    case 'forget':
      return forget(vault, request.evenUnsaved);
    case 'upload':
      return { transferId: requireOpen(vault).uploads.start(request.file) };
    case 'resumeUpload':
      await requireOpen(vault).uploads.resume(request.transferId, request.file);
      return { transferId: request.transferId };
    case 'cancelUpload':
      await requireOpen(vault).uploads.cancel(request.transferId);
      return null;
    case 'openFile':
      return { url: await requireOpen(vault).downloads.open(request.fileId) };
    case 'removeFile':
      return setFileRemoved(vault, request.fileId, true);
    case 'restoreFile':
      return setFileRemoved(vault, request.fileId, false);
    case 'refresh':
      return refresh(vault);
    case 'askFaucet':
    case 'send':
    case 'redeem':
    case 'receiptText': {
      const { wallet } = requireOpen(vault).safe;
      if (wallet !== null) return wallet.ask(request);
      throw new VaultFailure('internal', 'This build of the app has no wallet.');
    }
    default:
      return assertNever(request);
  }
}

/** Resolves once the served network and the Safe to offer are known. */
function started(vault: VaultState): Promise<void> {
  vault.starting ??= (async () => {
    await vault.context.fetchServedNetwork();
    await chooseRecord(vault);
    vault.ready = true;
    vault.show();
  })();
  // After a failure of the store, the next request tries again.
  return vault.starting.catch((error: unknown) => {
    vault.starting = null;
    throw error;
  });
}

/** The Safe to offer: those of the network served here first, the most recently used of them. */
async function chooseRecord(vault: VaultState): Promise<void> {
  const records = [...(await vault.ports.store.listSafes())].sort((a, b) => b.usedAt - a.usedAt);
  const served = vault.context.served();
  const chosen = records.find(({ network }) => !isOtherNetwork(network, served)) ?? records[0];
  vault.remembered = chosen === undefined ? null : rememberedSafeOf(chosen);
}

async function openSafe(
  vault: VaultState,
  opening: (session: Session) => Promise<OpenSafe>,
): Promise<null> {
  const { context, show } = vault;
  await started(vault);
  if (vault.openingSession !== null) {
    throw new VaultFailure('busy', 'A Safe is being opened already. Wait a moment.');
  }
  let safe: OpenSafe | null = null;
  const session = openSession(context, () => safe?.known.network?.networkId ?? null);
  session.closed.addEventListener('abort', () => {
    if (vault.open?.safe.session === session) vault.open = null;
    show();
    // Another tab may have removed it.
    void chooseRecord(vault).then(show, () => undefined);
  });
  vault.openingSession = session;
  try {
    if (context.served() === null) await context.fetchServedNetwork();
    safe = await opening(session);
    vault.open?.safe.session.close();
    const begun = await startParts(safe);
    // Lock was pressed meanwhile and takes precedence.
    if (session.closed.aborted) throw safeIsLocked();
    vault.open = begun;
  } catch (error) {
    session.close();
    throw error;
  } finally {
    vault.openingSession = null;
    await chooseRecord(vault).catch(() => undefined);
    show();
  }
  return null;
}

/** Locks an open Safe, or one that is being opened. */
async function lock(vault: VaultState): Promise<void> {
  vault.openingSession?.close();
  vault.open?.safe.session.close();
  // The screen is locked immediately; the answer confirms that nothing is readable here any longer.
  await Promise.all([chooseRecord(vault).finally(vault.show), keyCallsSettled(vault.context)]);
}

function requireOpen({ open, context }: VaultState): RunningSafe {
  if (open === null) throw safeIsLocked();
  if (!isOtherNetwork(open.safe.known.network, context.served())) return open;
  throw otherNetworkServed();
}

async function setFileRemoved(vault: VaultState, fileId: string, removed: boolean): Promise<null> {
  const { safe, sync } = requireOpen(vault);
  await commitChange(safe, (index) => setRemoved(index, safe.device, fileId, removed));
  sync.request();
  return null;
}

/** @param evenUnsaved changes that have not reached the network may be lost */
async function forget(vault: VaultState, evenUnsaved: boolean): Promise<null> {
  const { ports, context } = vault;
  await started(vault);
  vault.openingSession?.close();
  // Read before the first await: meanwhile another tab may lock this one, and another Safe be offered.
  const asked = vault.open;
  const candidate = vault.remembered;
  // Try to save what would be lost, but not for ever.
  if (asked !== null) {
    const saved = asked.sync.now();
    const { closed } = asked.safe.session;
    await (evenUnsaved ? Promise.race([saved, ports.wait(forgetTimeoutMs, closed)]) : saved);
  }
  const copy = asked === null ? candidate : deviceCopyOf(asked.safe);
  if (copy !== null) await forgetOnDevice(ports, copy, evenUnsaved);
  // Deletes the worker's ended payments; without a worker, its next start deletes them.
  void context.rpc('pay/done', { paymentIds: null }).catch(() => undefined);
  await lock(vault);
  return null;
}

async function refresh(vault: VaultState): Promise<null> {
  await started(vault);
  await vault.context.fetchServedNetwork();
  if (vault.open === null) {
    await chooseRecord(vault);
    vault.show();
    return null;
  }
  const { safe, sync, uploads } = vault.open;
  uploads.wake();
  await sync.now();
  // If the network is unreachable, the exchange has already set its notice.
  await safe.wallet?.refresh().catch((error: unknown) => {
    if (!(error instanceof RpcFailure)) throw error;
  });
  return null;
}

const rememberedSafeOf = ({ id, owner, fingerprint, network }: SafeRecord): RememberedSafe => ({
  id,
  owner,
  fingerprint,
  network,
});

const networkError = ({ kind, message, isTemporary }: RpcFailure): VaultError => ({
  kind: kind === 'networkRefused' || !isTemporary ? 'networkRefused' : 'offline',
  message,
});
