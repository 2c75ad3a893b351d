/** Pass 2 of an upload: encrypts its pieces, sends them until they are stored, and lists the file. */
import { toHex } from '#core/codec/bytes.ts';
import { encryptDataMap, encryptPiece } from '#runtime/jobs/encrypt-pieces.ts';
import type { TransferLimiter } from '#runtime/transfer-limiter.ts';
import { putFile } from '#safe/index/index-set.ts';
import {
  dataMapOf,
  isUploaded,
  nextPieces,
  storedBytes,
  type UploadPlan,
} from '#safe/upload/upload-plan.ts';
import { backOffMs, isOtherNetwork } from '../context.ts';
import { toVaultError, VaultFailure } from '../failure.ts';
import { offlineSentence, RpcFailure } from '../network/worker-rpc.ts';
import { commitChange } from '../session/index-sync.ts';
import type { OpenSafe } from '../session/open-safe.ts';
import { bindPlanToNetwork, CancelledInOtherTab } from './stored-plans.ts';
import type { Transfer } from './transfer.ts';
import { fileChanged, readPiece } from './upload-source.ts';

/** Shared by all uploads of an open Safe. */
export interface UploadParts {
  readonly safe: OpenSafe;
  readonly transfers: Map<string, Transfer>;
  readonly lanes: TransferLimiter;
  /** Pieces of a file in memory at the same time. */
  readonly piecesInFlight: number;
  /** Aborted to end the current waits of all uploads. */
  wakeSignal: AbortController;
  /** Called after a file was added to the index. */
  readonly onStored: () => void;
}

/** Runs an upload to its end; failures become its state. */
export async function runUpload(
  parts: UploadParts,
  transfer: Transfer,
  getPlan: () => Promise<UploadPlan>,
): Promise<void> {
  const { changed } = parts.safe.session.context;
  try {
    const plan = await getPlan();
    transfer.plan = plan;
    transfer.setState('sending', '');
    transfer.meter.update(storedBytes(plan, transfer.stored));
    changed();
    await sendPieces(parts, transfer, plan);
    if (isUploaded(plan, transfer.stored)) await listFile(parts, transfer, plan);
  } catch (error) {
    if (error instanceof CancelledInOtherTab) parts.transfers.delete(transfer.id);
    else if (!transfer.cancelled.signal.aborted) {
      const { message } = error instanceof RpcFailure ? error : toVaultError(error);
      transfer.setState('failed', message);
    }
    // Stops the other lanes of this transfer.
    transfer.cancelled.abort();
  }
  changed();
}

async function sendPieces(parts: UploadParts, transfer: Transfer, plan: UploadPlan): Promise<void> {
  const sending = new Set<number>();
  const sendNext = async (): Promise<void> => {
    for (;;) {
      const [index] = nextPieces(plan, transfer.stored, sending, 1);
      if (index === undefined) return;
      sending.add(index);
      await sendPiece(parts, transfer, plan, index);
      sending.delete(index);
    }
  };
  await Promise.all(Array.from({ length: parts.piecesInFlight }, sendNext));
}

async function sendPiece(
  parts: UploadParts,
  transfer: Transfer,
  plan: UploadPlan,
  index: number,
): Promise<void> {
  const { safe } = parts;
  const file = transfer.file;
  if (file === null) return;
  const piece = await readPiece(file, index);
  const sealed = await encryptPiece(plan.secret, plan.plainHashes, index, piece);
  if (!sealed.ok) throw fileChanged();
  const { name, bytes } = sealed.value;
  await sendChunk(parts, transfer, bytes);
  transfer.networkBound ??= bindPlanToNetwork(safe, transfer);
  await transfer.networkBound;
  await safe.session.context.ports.store.markPiece(transfer.id, index, name);
  transfer.stored.set(index, name);
  transfer.meter.update(storedBytes(plan, transfer.stored));
  safe.session.context.changed();
}

async function listFile(parts: UploadParts, transfer: Transfer, plan: UploadPlan): Promise<void> {
  const { safe, transfers, onStored } = parts;
  const { store } = safe.session.context.ports;
  const map = await encryptDataMap(plan.secret, dataMapOf(plan, transfer.stored));
  await sendChunk(parts, transfer, map.bytes);
  transfer.cancelled.signal.throwIfAborted();
  if ((await store.getPlan(transfer.id)) === undefined) throw new CancelledInOtherTab();
  const { fileId: id, name, type, size, addedAt, secret } = plan;
  const file = { id, name, type, size, addedAt, secret, dataMapName: map.name };
  await retryUntilStored(parts, transfer, async () => {
    try {
      // Another tab may have finished it, and the file may have been removed since.
      await commitChange(safe, (index) =>
        index.files.has(toHex(id)) ? index : putFile(index, safe.device, file),
      );
    } catch (error) {
      // Adding the same file again changes nothing, so it can simply be repeated.
      if (!(error instanceof VaultFailure) || error.kind !== 'offline') throw error;
      throw new RpcFailure('offline', 0, error.message);
    }
  });
  await store.deletePlan(transfer.id);
  transfers.delete(transfer.id);
  onStored();
}

/** Resolves when the network has stored the chunk. */
function sendChunk(parts: UploadParts, transfer: Transfer, bytes: Uint8Array): Promise<void> {
  const { signal } = transfer.cancelled;
  const { rpc } = parts.safe.session.context;
  return retryUntilStored(parts, transfer, async () => {
    await parts.lanes.run(() => rpc('chunk/put', bytes, signal), signal);
  });
}

/** Repeats until it succeeds, while the failure is temporary. */
async function retryUntilStored(
  parts: UploadParts,
  transfer: Transfer,
  put: () => Promise<void>,
): Promise<void> {
  const { safe } = parts;
  const { context } = safe.session;
  for (;;) {
    transfer.cancelled.signal.throwIfAborted();
    try {
      if (isOtherNetwork(safe.known.network, context.served())) {
        throw new RpcFailure('offline', 0, 'This page serves another network now.');
      }
      if (safe.known.network === null) throw new RpcFailure('offline', 0, offlineSentence);
      await put();
      transfer.failures = 0;
      if (transfer.state === 'waiting') transfer.setState('sending', '');
      return;
    } catch (error) {
      if (!(error instanceof RpcFailure) || !error.isTemporary) throw error;
      transfer.failures += 1;
      transfer.setState('waiting', error.message);
      context.changed();
      const ms = Math.max(
        error.afterMs ?? 0,
        backOffMs(Math.ceil(transfer.failures / parts.piecesInFlight)),
      );
      const signals = [parts.wakeSignal.signal, transfer.cancelled.signal];
      await context.ports.wait(ms, AbortSignal.any(signals));
    }
  }
}
