/**
 * Uploads: pass 1 hashes and stores the plan, pass 2 encrypts pieces and gives them to the worker. An
 * upload resumes automatically after a network failure, and from its plan after its tab was closed.
 */
import type { TransferView } from '#bridge/vault.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { checkFileSize } from '#data/data-map.ts';
import { createTransferLimiter } from '#runtime/transfer-limiter.ts';
import { MAX_FILE_ENTRY_BYTES } from '#safe/index/file-entry.ts';
import { encodeIndex, MAX_FILES, MAX_INDEX_BYTES } from '#safe/index/index-set.ts';
import type { UploadPlan } from '#safe/upload/upload-plan.ts';
import { tooLarge, VaultFailure } from '../failure.ts';
import { RpcFailure } from '../network/worker-rpc.ts';
import type { OpenSafe } from '../session/open-safe.ts';
import { clipText } from './clip-text.ts';
import { runUpload, type UploadParts } from './send-file.ts';
import { loadTransfers, storePlan } from './stored-plans.ts';
import { createTransfer, type Transfer } from './transfer.ts';
import { fileChanged, hashPieces } from './upload-source.ts';

/** Pieces of a file in memory, about 12 MiB; also the bound of pieces in transit over all files. */
const maxPiecesInFlight = 6;

export interface Uploads {
  readonly views: () => readonly TransferView[];
  readonly start: (file: File) => string;
  /** Resolves when the file is confirmed to be the same; rejects with `fileChanged` otherwise. */
  readonly resume: (transferId: string, file: File) => Promise<void>;
  readonly cancel: (transferId: string) => Promise<void>;
  /** Retries every waiting upload immediately. */
  readonly wake: () => void;
}

/** @param onStored called after a file was added to the index */
export async function openUploads(safe: OpenSafe, onStored: () => void): Promise<Uploads> {
  const { context, closed } = safe.session;
  const transfers = new Map<string, Transfer>();
  // One listener for all: one for each would keep every file in memory until Lock.
  closed.addEventListener('abort', () => {
    for (const { cancelled } of transfers.values()) cancelled.abort();
  });
  for (const transfer of await loadTransfers(safe)) transfers.set(transfer.id, transfer);
  const lanes = createTransferLimiter(
    maxPiecesInFlight,
    context.ports.now,
    (error) => error instanceof RpcFailure && error.kind === 'slow',
  );
  const wakeSignal = new AbortController();
  const parts: UploadParts = {
    safe,
    transfers,
    lanes,
    piecesInFlight: maxPiecesInFlight,
    wakeSignal,
    onStored,
  };
  return {
    views: () =>
      [...transfers.values()]
        .filter((transfer) => !isDone(safe, transfer))
        .map((transfer) => transfer.view()),
    start: (file) => {
      requireRoom(parts, file);
      const id = toHex(context.ports.randomBytes(16));
      startUpload(parts, id, file);
      return id;
    },
    resume: async (transferId, file) => {
      const known = transfers.get(transferId);
      if (known === undefined) {
        throw new VaultFailure('fileChanged', 'This upload is gone. Add the file again.');
      }
      if (known.plan !== null) return resumePlanned(parts, known, known.plan, file);
      // It failed before it had a plan: start anew under the same id.
      if (known.state === 'failed') startUpload(parts, transferId, file);
    },
    cancel: async (transferId) => {
      transfers.get(transferId)?.cancelled.abort();
      transfers.delete(transferId);
      await context.ports.store.deletePlan(transferId);
      context.changed();
    },
    wake: () => {
      parts.wakeSignal.abort();
      parts.wakeSignal = new AbortController();
    },
  };
}

/** Checked before anything is sent: the final commit checks again. */
function requireRoom({ safe, transfers }: UploadParts, file: File): void {
  if (!checkFileSize(file.size).ok) {
    throw new VaultFailure(
      'storageFull',
      'This file is larger than 15 GiB, the most one file may have. Split it and try again.',
    );
  }
  const { index } = safe.known;
  if (index.files.size + transfers.size >= MAX_FILES) throw tooLarge('tooManyFiles');
  const most = (transfers.size + 1) * MAX_FILE_ENTRY_BYTES;
  if (encodeIndex(index).length + most > MAX_INDEX_BYTES) throw tooLarge('tooManyBytes');
}

function startUpload(parts: UploadParts, id: string, file: File): void {
  const { safe, transfers } = parts;
  const transfer = newTransfer(safe, id, clipText(file.name, 1024), file.size);
  transfer.file = file;
  transfers.set(id, transfer);
  void runUpload(parts, transfer, () => prepare(safe, transfer, file));
  safe.session.context.changed();
}

async function prepare(safe: OpenSafe, transfer: Transfer, file: File): Promise<UploadPlan> {
  const { ports, changed } = safe.session.context;
  const plan: UploadPlan = {
    fileId: ports.randomBytes(16),
    secret: ports.randomBytes(32),
    name: transfer.name,
    type: clipText(file.type, 255),
    size: file.size,
    modifiedAt: Math.max(0, file.lastModified),
    addedAt: ports.now(),
    plainHashes: await hashPieces(transfer, file, changed),
  };
  await storePlan(safe, transfer, plan);
  return plan;
}

async function resumePlanned(
  parts: UploadParts,
  known: Transfer,
  plan: UploadPlan,
  file: File,
): Promise<void> {
  const { safe, transfers } = parts;
  const { changed } = safe.session.context;
  if (known.state !== 'needsFile' && known.state !== 'failed') return;
  if (file.size !== plan.size) throw fileChanged();
  const transfer = newTransfer(safe, known.id, plan.name, plan.size);
  for (const [index, name] of known.stored) transfer.stored.set(index, name);
  transfer.plan = plan;
  transfer.file = file;
  transfers.set(known.id, transfer);
  changed();
  try {
    const hashes = await hashPieces(transfer, file, changed);
    if (!hashes.every((hash, i) => equalBytes(hash, plan.plainHashes[i] ?? new Uint8Array())))
      throw fileChanged();
  } catch (error) {
    // A cancelled upload stays away.
    if (transfers.get(known.id) === transfer) transfers.set(known.id, known);
    changed();
    throw error;
  }
  void runUpload(parts, transfer, () => Promise.resolve(plan));
}

const newTransfer = (safe: OpenSafe, id: string, name: string, size: number): Transfer =>
  createTransfer(id, name, size, safe.session.context.ports.now, safe.session.closed);

/** Another tab has finished it: the file is in the list. */
const isDone = (safe: OpenSafe, { plan }: Transfer): boolean =>
  plan !== null && safe.known.index.files.has(toHex(plan.fileId));
