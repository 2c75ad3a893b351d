/**
 * Serves `/safe/files/<token>/<name>`: a file as a decrypting stream. The vault gives the read key of one
 * file; it is in memory only, and is requested again after a restart of the worker.
 */
import { filesPath, workerHeader, type WorkerToPage } from '#bridge/worker-messages.ts';
import type { FileKey } from '#bridge/worker-calls.ts';
import { decodeDataMap, type DataMap } from '#data/data-map.ts';
import { readRange } from '#runtime/jobs/encrypt-pieces.ts';
import { createTransferLimiter } from '#runtime/transfer-limiter.ts';
import { CallError, failureResponse, unreachable } from './http-responses.ts';
import { getChunk } from '../data-client.ts';
import type { LightNode } from '../light-node/light-node.ts';
import { instanceId } from '../instance.ts';
import { scope } from '../scope.ts';

interface OpenFile {
  readonly map: DataMap;
  readonly secret: Uint8Array;
  readonly name: string;
  readonly type: string;
}

const files = new Map<string, OpenFile>();
/** The reads of each token, with or without its key: Lock ends them. */
const reads = new Map<string, Set<AbortController>>();
const waiting = new Map<string, (() => void)[]>();
/** Read keys in memory; the oldest is evicted and requested again on demand. */
const maxOpenFiles = 64;
const keyWaitMs = 10_000;
/** Addresses whose keys are awaited: other sites can open addresses of this form, too. */
const maxAwaited = 64;
/** Pieces fetched ahead of the reader: enough to fill a fast link, about 10 MiB of memory. */
const piecesAhead = 4;
/** A read fails when no piece of any file has arrived for this long. */
const noProgressTimeoutMs = 120_000;

/** Shared by all reads, because they compete for the same link. */
const transfers = createTransferLimiter(
  piecesAhead + 1,
  () => performance.now(),
  (error) => error instanceof CallError && error.failure.kind === 'slow',
);

/** The call `file/key`: stores a read key. @returns the address to open */
export function storeFileKey({ token, name, type, dataMap, secret }: FileKey): string {
  const map = decodeDataMap(dataMap);
  if (!map.ok) throw new CallError(400, { kind: 'internal', message: 'Malformed data map.' });
  files.delete(token);
  files.set(token, { map: map.value, secret, name, type });
  if (files.size > maxOpenFiles) files.delete(files.keys().next().value ?? '');
  for (const go of [...(waiting.get(token) ?? [])]) go();
  return `${filesPath}${token}/${encodeURIComponent(name)}`;
}

/**
 * The call `file/forget`: a Safe was locked, so its files are no longer readable here, and reads in
 * progress end. Each tab that opens a file has its own token: other tabs continue.
 */
export function forgetFileKeys(tokens: readonly string[]): void {
  for (const token of tokens) {
    files.get(token)?.secret.fill(0);
    files.delete(token);
    for (const read of [...(reads.get(token) ?? [])]) read.abort(locked());
  }
}

interface Read {
  readonly file: OpenFile;
  /** Fires when the Safe is locked, or when the reader has disconnected. */
  readonly ended: AbortController;
  /** Called when the read is over. */
  readonly close: () => void;
}

function startRead(token: string, file: OpenFile): Read {
  const ended = new AbortController();
  const running = reads.get(token) ?? new Set();
  reads.set(token, running.add(ended));
  const close = (): void => {
    running.delete(ended);
    if (running.size === 0 && reads.get(token) === running) reads.delete(token);
  };
  return { file, ended, close };
}

export async function answerFile(
  request: Request,
  node: () => Promise<LightNode>,
): Promise<Response> {
  try {
    const token = new URL(request.url).pathname.slice(filesPath.length).split('/')[0] ?? '';
    await waitForKey(token);
    const file = files.get(token);
    if (file === undefined) throw locked();
    const read = startRead(token, file);
    try {
      const light = await node();
      read.ended.signal.throwIfAborted();
      return streamFile(request, read, light);
    } catch (error) {
      read.close();
      throw error;
    }
  } catch (error) {
    return failureResponse(error);
  }
}

function streamFile(request: Request, { file, ended, close }: Read, node: LightNode): Response {
  const { size } = file.map;
  const range = rangeOf(request.headers.get('range'), size);
  if (range === null) {
    close();
    const headers = { 'content-range': `bytes */${size}`, [workerHeader]: instanceId };
    return new Response(null, { status: 416, headers });
  }
  const { signal } = ended;
  const pieces = readRange(
    file,
    range.from,
    range.to,
    (name) => fetchPiece(node, name, signal),
    piecesAhead,
  );
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        signal.addEventListener('abort', () => {
          close();
          controller.error(signal.reason);
        });
      },
      pull: async (controller) => {
        try {
          const next = await pieces.next();
          // Ended while the piece was decrypted: drop it.
          if (signal.aborted) return;
          if (next.done !== true) return controller.enqueue(next.value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        close();
      },
      cancel: async () => {
        ended.abort();
        await pieces.return();
      },
    },
    // Fetch nothing before the first read.
    { highWaterMark: 0 },
  );
  const headers = new Headers({
    // Stored content must never run on the origin that holds the keys.
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename*=UTF-8''${encodeRfc5987(file.name)}`,
    'content-length': String(range.to - range.from),
    'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'accept-ranges': 'bytes',
    'cache-control': 'no-store',
    [workerHeader]: instanceId,
  });
  if (range.partial) headers.set('content-range', `bytes ${range.from}-${range.to - 1}/${size}`);
  return new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>, {
    status: range.partial ? 206 : 200,
    headers,
  });
}

/** Retries temporary failures while pieces keep arriving: one late piece ends no download. */
async function fetchPiece(
  node: LightNode,
  name: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const startedMs = performance.now();
  for (;;) {
    try {
      return await transfers.run(() => getChunk(node, name, signal), signal);
    } catch (error) {
      const waitMs = error instanceof CallError ? error.failure.afterMs : null;
      if (signal.aborted || waitMs === null) throw error;
      const idleMs = performance.now() - Math.max(startedMs, transfers.arrivedMs());
      if (idleMs >= noProgressTimeoutMs) {
        throw unreachable('No piece of this file has arrived for two minutes.');
      }
      await pause(waitMs, signal);
    }
  }
}

/** Rejects when the signal fires. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((go, fail) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      fail(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      go();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });

export interface HttpRange {
  readonly from: number;
  readonly to: number;
  readonly partial: boolean;
}

/** One range (RFC 9110 §14); `null` when it cannot be satisfied, the whole file when it is absent. */
export function rangeOf(header: string | null, size: number): HttpRange | null {
  const whole = { from: 0, to: size, partial: false };
  if (header === null) return whole;
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (match === null) return whole;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return whole;
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  return from < to ? { from, to, partial: true } : null;
}

/** Waits for a read key that is not in memory; it may be missing even then. */
async function waitForKey(token: string): Promise<void> {
  if (files.has(token)) return;
  if (waiting.size < maxAwaited || waiting.has(token)) await requestKey(token);
}

const locked = (): CallError =>
  new CallError(410, {
    kind: 'locked',
    message: 'This link belongs to a Safe that is locked now. Unlock it and open the file again.',
  });

/** Requests a read key from the pages; resolves when it is here, or after a timeout without it. */
async function requestKey(token: string): Promise<void> {
  const pages = await scope.clients.matchAll({ type: 'window' });
  const message: WorkerToPage = { kind: 'needFileKey', token };
  for (const page of pages) page.postMessage(message);
  await new Promise<void>((done) => {
    const go = (): void => {
      clearTimeout(timer);
      const others = (waiting.get(token) ?? []).filter((each) => each !== go);
      if (others.length > 0) waiting.set(token, others);
      else waiting.delete(token);
      done();
    };
    const timer = setTimeout(go, keyWaitMs);
    waiting.set(token, [...(waiting.get(token) ?? []), go]);
  });
}

const encodeRfc5987 = (name: string): string =>
  encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
