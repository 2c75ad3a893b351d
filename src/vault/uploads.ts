/**
 * Uploads: pass 1 hashes and stores the plan, pass 2 seals pieces and hands them to the worker. An
 * upload goes on by itself after the network was away, and from its plan after the tab was closed.
 */
import type { TransferView } from '#bridge/vault.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { checkFileSize } from '#data/data-map.ts';
import { pieceBorders, pieceCount } from '#data/self-encryption.ts';
import { openWithNonce, sealWithNonce, sha256Fast } from '#runtime/jobs/ciphers.ts';
import { sealDataMap, sealPiece } from '#runtime/jobs/read-file.ts';
import { createLanes } from '#runtime/lanes.ts';
import { indexContext } from '#safe/credentials/keys.ts';
import { MAX_FILE_ENTRY_BYTES } from '#safe/index/file-entry.ts';
import { encodeIndex, MAX_FILES, MAX_INDEX_BYTES, putFile } from '#safe/index/index-set.ts';
import {
  decodePlan,
  encodePlan,
  finishPlan,
  isStored,
  nextPieces,
  storedBytes,
  type UploadPlan,
} from '#safe/upload/plan.ts';
import { backOffMs, isElsewhere } from './context.ts';
import { tooLarge, toVaultError, VaultFailure } from './failure.ts';
import type { OpenSafe } from './open-safe.ts';
import { offlineSentence, RpcFailure } from './rpc.ts';
import { commit } from './sync.ts';
import { clipText } from './text.ts';
import { showTransfer, type Transfer } from './transfer.ts';

/** Pieces of a file in memory, about 12 MiB; of all files together no more are on their way at once. */
const maxSending = 6;

export interface Uploads {
  readonly views: () => readonly TransferView[];
  readonly start: (file: File) => string;
  /** Resolves when the file is known to be the same; rejects with `fileChanged` when not. */
  readonly resume: (transferId: string, file: File) => Promise<void>;
  readonly cancel: (transferId: string) => Promise<void>;
  /** Tries again at once whatever waits. */
  readonly wake: () => void;
}

/** @param onStored called after a file has become part of the index */
export async function openUploads(safe: OpenSafe, onStored: () => void): Promise<Uploads> {
  const { context } = safe.session;
  const { ports, rpc } = context;
  const transfers = new Map<string, Transfer>();
  for (const transfer of await loadTransfers(safe)) transfers.set(transfer.id, transfer);
  let woken = new AbortController();
  const lanes = createLanes(
    maxSending,
    ports.now,
    (error) => error instanceof RpcFailure && error.kind === 'slow',
  );

  /** Pass 1. Reads the file once; memory stays at one piece. */
  const hashPieces = async (transfer: Transfer, file: File): Promise<readonly Uint8Array[]> => {
    const hashes: Uint8Array[] = [];
    for (let i = 0; i < pieceCount(file.size); i++) {
      transfer.cancelled.signal.throwIfAborted();
      const piece = await readPiece(file, i);
      hashes.push(await sha256Fast(piece));
      transfer.meter.set(pieceBorders(file.size, i).to);
      context.changed();
    }
    transfer.cancelled.signal.throwIfAborted();
    return hashes;
  };

  const prepare = async (transfer: Transfer, file: File): Promise<UploadPlan> => {
    const plan: UploadPlan = {
      fileId: ports.randomBytes(16),
      secret: ports.randomBytes(32),
      name: transfer.name,
      type: clipText(file.type, 255),
      size: file.size,
      modifiedAt: Math.max(0, file.lastModified),
      addedAt: ports.now(),
      plainHashes: await hashPieces(transfer, file),
    };
    // Durable before the first chunk leaves: otherwise its secret could be lost with it.
    await ports.store.putPlan({
      id: transfer.id,
      owner: safe.owner,
      network: safe.known.network?.networkId ?? null,
      sealed: await sealWithNonce(
        safe.keys.plans.reveal(),
        ports.randomBytes(12),
        encodePlan(plan),
        planContext(safe),
      ),
    });
    return plan;
  };

  /** From the first stored piece on a plan belongs to the network that holds it. */
  const bind = async (transfer: Transfer): Promise<void> => {
    const { network } = safe.known;
    const plan = await ports.store.getPlan(transfer.id);
    if (plan === undefined) throw new CancelledElsewhere();
    if (network === null || plan.network === network.networkId) return;
    // What version 0.1 noted as stored, nobody knows where, goes with it.
    if (plan.network === undefined && transfer.stored.size === 0) {
      await ports.store.deletePlan(plan.id);
    }
    await ports.store.putPlan({ ...plan, network: network.networkId });
  };

  /** Repeats until it succeeds, while the reason is one that passes by itself. */
  const persist = async (transfer: Transfer, put: () => Promise<void>): Promise<void> => {
    for (;;) {
      transfer.cancelled.signal.throwIfAborted();
      try {
        if (isElsewhere(safe.known.network, context.served())) {
          throw new RpcFailure('offline', 0, 'This page serves another network now.');
        }
        if (safe.known.network === null) throw new RpcFailure('offline', 0, offlineSentence);
        await put();
        transfer.failures = 0;
        if (transfer.state === 'waiting') transfer.show('sending', '');
        return;
      } catch (error) {
        if (!(error instanceof RpcFailure) || !error.passes) throw error;
        transfer.failures += 1;
        transfer.show('waiting', error.message);
        context.changed();
        const ms = Math.max(
          error.afterMs ?? 0,
          backOffMs(Math.ceil(transfer.failures / maxSending)),
        );
        await ports.wait(ms, AbortSignal.any([woken.signal, transfer.cancelled.signal]));
      }
    }
  };

  /** Resolves when the network keeps the piece. */
  const send = (transfer: Transfer, name: Uint8Array, bytes: Uint8Array): Promise<void> => {
    const { signal } = transfer.cancelled;
    return persist(transfer, () => lanes.run(() => rpc.putChunk(name, bytes, signal), signal));
  };

  /** Pass 2 of one piece. */
  const sendPiece = async (transfer: Transfer, plan: UploadPlan, index: number): Promise<void> => {
    const file = transfer.file;
    if (file === null) return;
    const piece = await readPiece(file, index);
    const sealed = await sealPiece(plan.secret, plan.plainHashes, index, piece);
    if (!sealed.ok) throw fileChanged();
    const { name, bytes } = sealed.value;
    await send(transfer, name, bytes);
    transfer.bound ??= bind(transfer);
    await transfer.bound;
    await ports.store.markPiece(transfer.id, index, name);
    transfer.stored.set(index, name);
    transfer.meter.set(storedBytes(plan, transfer.stored));
    context.changed();
  };

  const sendAll = async (transfer: Transfer, plan: UploadPlan): Promise<void> => {
    const sending = new Set<number>();
    const lane = async (): Promise<void> => {
      for (;;) {
        const [index] = nextPieces(plan, transfer.stored, sending, 1);
        if (index === undefined) return;
        sending.add(index);
        await sendPiece(transfer, plan, index);
        sending.delete(index);
      }
    };
    await Promise.all(Array.from({ length: maxSending }, lane));
  };

  const finish = async (transfer: Transfer, plan: UploadPlan): Promise<void> => {
    const map = await sealDataMap(plan.secret, finishPlan(plan, transfer.stored));
    await send(transfer, map.name, map.bytes);
    transfer.cancelled.signal.throwIfAborted();
    if ((await ports.store.getPlan(transfer.id)) === undefined) throw new CancelledElsewhere();
    const { fileId: id, name, type, size, addedAt, secret } = plan;
    const file = { id, name, type, size, addedAt, secret, dataMapName: map.name };
    await persist(transfer, async () => {
      try {
        // Another tab may have finished it, and the file may have been removed since.
        await commit(safe, (index) =>
          index.files.has(toHex(id)) ? index : putFile(index, safe.device, file),
        );
      } catch (error) {
        // Adding the same file once more changes nothing: it can simply be repeated.
        if (!(error instanceof VaultFailure) || error.kind !== 'offline') throw error;
        throw new RpcFailure('offline', 0, error.message);
      }
    });
    await ports.store.deletePlan(transfer.id);
    transfers.delete(transfer.id);
    onStored();
  };

  const run = async (transfer: Transfer, planned: () => Promise<UploadPlan>): Promise<void> => {
    try {
      const plan = await planned();
      transfer.plan = plan;
      transfer.show('sending', '');
      transfer.meter.set(storedBytes(plan, transfer.stored));
      context.changed();
      await sendAll(transfer, plan);
      if (isStored(plan, transfer.stored)) await finish(transfer, plan);
    } catch (error) {
      if (error instanceof CancelledElsewhere) transfers.delete(transfer.id);
      else if (!transfer.cancelled.signal.aborted) {
        const { message } = error instanceof RpcFailure ? error : toVaultError(error);
        transfer.show('failed', message);
        // The other lanes of this transfer have nothing left to do.
        transfer.cancelled.abort();
      }
    }
    context.changed();
  };

  const newTransfer = (id: string, name: string, size: number): Transfer =>
    showTransfer(id, name, size, ports.now, safe.session.closed);

  /** Another tab has finished it: the file is in the list, and nothing is left to be done. */
  const isDone = ({ plan }: Transfer): boolean =>
    plan !== null && safe.known.index.files.has(toHex(plan.fileId));

  return {
    views: () =>
      [...transfers.values()]
        .filter((transfer) => !isDone(transfer))
        .map((transfer) => transfer.view()),

    start: (file) => {
      if (!checkFileSize(file.size).ok) {
        throw new VaultFailure(
          'storageFull',
          'This file is larger than 15 GiB, the most one file may have. Split it and try again.',
        );
      }
      // Asked before anything is sent: at the end the list decides.
      const { index } = safe.known;
      if (index.files.size + transfers.size >= MAX_FILES) throw tooLarge('tooManyFiles');
      const most = (transfers.size + 1) * MAX_FILE_ENTRY_BYTES;
      if (encodeIndex(index).length + most > MAX_INDEX_BYTES) throw tooLarge('tooManyBytes');
      const id = toHex(ports.randomBytes(16));
      const transfer = newTransfer(id, clipText(file.name, 1024), file.size);
      transfer.file = file;
      transfers.set(id, transfer);
      void run(transfer, () => prepare(transfer, file));
      context.changed();
      return id;
    },

    resume: async (transferId, file) => {
      const known = transfers.get(transferId);
      if (known === undefined) {
        throw new VaultFailure('fileChanged', 'This upload is gone. Add the file again.');
      }
      const { plan } = known;
      if (plan === null) {
        // It failed before there was a plan: begin anew under the same id.
        if (known.state !== 'failed') return;
        const fresh = newTransfer(transferId, clipText(file.name, 1024), file.size);
        fresh.file = file;
        transfers.set(transferId, fresh);
        context.changed();
        void run(fresh, () => prepare(fresh, file));
        return;
      }
      if (known.state !== 'needsFile' && known.state !== 'failed') return;
      if (file.size !== plan.size) throw fileChanged();
      const transfer = newTransfer(transferId, plan.name, plan.size);
      for (const [index, name] of known.stored) transfer.stored.set(index, name);
      transfer.plan = plan;
      transfer.file = file;
      transfers.set(transferId, transfer);
      context.changed();
      const hashes = await hashPieces(transfer, file).catch((error: unknown) => {
        transfers.set(transferId, known);
        context.changed();
        throw error;
      });
      if (!hashes.every((hash, i) => equalBytes(hash, plan.plainHashes[i] ?? new Uint8Array()))) {
        transfers.set(transferId, known);
        context.changed();
        throw fileChanged();
      }
      void run(transfer, () => Promise.resolve(plan));
    },

    cancel: async (transferId) => {
      transfers.get(transferId)?.cancelled.abort();
      transfers.delete(transferId);
      await ports.store.deletePlan(transferId);
      context.changed();
    },

    wake: () => {
      woken.abort();
      woken = new AbortController();
    },
  };
}

/** Uploads of this Safe that a closed tab left behind. */
async function loadTransfers(safe: OpenSafe): Promise<readonly Transfer[]> {
  const { ports } = safe.session.context;
  const { index, network } = safe.known;
  const loaded: Transfer[] = [];
  const alone =
    (await ports.store.listSafes()).filter(({ owner }) => owner === safe.owner).length < 2;
  for (const { id, sealed, network: bound } of await ports.store.listPlans(safe.owner)) {
    // Its pieces are on another network, where the same phrase is another Safe.
    if (typeof bound === 'string' && bound !== network?.networkId) continue;
    const bytes = await openWithNonce(safe.keys.plans.reveal(), sealed, planContext(safe));
    const plan = bytes === null ? null : decodePlan(bytes);
    // Of another password or another version of the app: not ours to judge, nor to delete.
    if (plan === null || !plan.ok) continue;
    if (index.files.has(toHex(plan.value.fileId))) {
      // Finished but for its removal, which can wait for the next time.
      await ports.store.deletePlan(id).catch(() => undefined);
      continue;
    }
    const { name, size } = plan.value;
    const transfer = showTransfer(id, name, size, ports.now, safe.session.closed);
    transfer.plan = plan.value;
    // A plan of version 0.1 does not say on which of two networks its pieces are.
    if (typeof bound === 'string' || (bound === undefined && alone)) {
      for (const [piece, chunkName] of await ports.store.listPieces(id)) {
        if (piece < plan.value.plainHashes.length) transfer.stored.set(piece, chunkName);
      }
    }
    transfer.meter.set(storedBytes(plan.value, transfer.stored));
    transfer.show('needsFile', '');
    loaded.push(transfer);
  }
  return loaded;
}

const planContext = (safe: OpenSafe): Uint8Array => indexContext(safe.strong.owner);

/** A file that was moved, deleted or saved again since it was chosen cannot be read any more. */
async function readPiece(file: File, index: number): Promise<Uint8Array> {
  const { from, to } = pieceBorders(file.size, index);
  const bytes = await file
    .slice(from, to)
    .arrayBuffer()
    .catch(() => null);
  // Some file systems give less than was asked for and no error.
  if (bytes?.byteLength !== to - from) throw fileChanged();
  return new Uint8Array(bytes);
}

/** The plan is gone: a person cancelled the upload in another tab. */
class CancelledElsewhere extends Error {}

const fileChanged = (): VaultFailure =>
  new VaultFailure(
    'fileChanged',
    'The file is not the one this upload began with. Cancel the upload and add the file again.',
  );
