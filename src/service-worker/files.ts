/**
 * `/safe/files/<token>/<name>`: a file as a decrypting stream. The vault hands over the read key
 * of one file; it lives in memory only and is asked for again after the worker's death.
 */
import { filesPath, workerHeader, type WorkerToPage } from '#bridge/worker.ts';
import { decodeDataMap, type DataMap } from '#data/data-map.ts';
import { readRange } from '#runtime/jobs/read-file.ts';
import { createLanes } from '#runtime/lanes.ts';
import { CallError, failureAnswer, unreachable } from './answers.ts';
import { getChunk } from './data.ts';
import type { LightNode } from './light-node.ts';
import { instanceId } from './instance.ts';
import { scope } from './scope.ts';

interface OpenFile {
  readonly map: DataMap;
  readonly secret: Uint8Array;
  readonly name: string;
  readonly type: string;
}

const files = new Map<string, OpenFile>();
/** What is being read under a token, whether its key is still held or not: Lock ends it. */
const reads = new Map<string, Set<AbortController>>();
const waiting = new Map<string, (() => void)[]>();
/** Read keys held at once; the oldest goes first and is asked for again when needed. */
const maxOpenFiles = 64;
const keyWaitMs = 10_000;
/** Addresses whose keys are waited for at once: other sites can open addresses of this shape, too. */
const maxAwaited = 64;
/** Pieces fetched ahead of the reader: enough to fill a fast link, and about 10 MiB of memory. */
const piecesAhead = 4;
/** A read ends with an error when no piece of any file has arrived for so long. */
const longestStillMs = 120_000;

/** All reads share them: what one tab fetches is in the way of the other. */
const lanes = createLanes(
  piecesAhead + 1,
  () => performance.now(),
  (error) => error instanceof CallError && error.failure.kind === 'slow',
);

/** The call `file/key`: remembers a read key and answers with the address to open. */
export function takeFileKey(body: unknown): { readonly url: string } {
  const { token, name, type, dataMap, secret } = (body ?? {}) as Record<string, unknown>;
  if (
    typeof token !== 'string' ||
    !/^[0-9a-f]{16,64}$/.test(token) ||
    typeof name !== 'string' ||
    typeof type !== 'string' ||
    typeof dataMap !== 'string' ||
    typeof secret !== 'string'
  ) {
    throw new CallError(400, { kind: 'internal', message: 'Malformed file key.' });
  }
  const map = decodeDataMap(fromBase64(dataMap));
  const secretBytes = fromBase64(secret);
  if (!map.ok || secretBytes.length !== 32) {
    throw new CallError(400, { kind: 'internal', message: 'Malformed data map.' });
  }
  files.delete(token);
  files.set(token, { map: map.value, secret: secretBytes, name, type });
  if (files.size > maxOpenFiles) files.delete(files.keys().next().value ?? '');
  for (const go of [...(waiting.get(token) ?? [])]) go();
  return { url: `${filesPath}${token}/${encodeURIComponent(name)}` };
}

/**
 * The call `file/forget`: a Safe was locked, so its files can no longer be read here, and what is being
 * read ends. Every tab that opens a file has its own token: other tabs go on.
 */
export function forgetFileKeys(body: unknown): void {
  const { tokens } = (body ?? {}) as { readonly tokens?: unknown };
  if (!Array.isArray(tokens)) return;
  for (const token of tokens.map(String)) {
    files.get(token)?.secret.fill(0);
    files.delete(token);
    for (const read of [...(reads.get(token) ?? [])]) read.abort(locked());
  }
}

interface Read {
  readonly file: OpenFile;
  /** Fires when the Safe is locked, or when the reader has gone. */
  readonly ended: AbortController;
  /** Nothing is read any more. */
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
    await keyOf(token);
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
    return failureAnswer(error);
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
          // Ended while the piece was opened: it goes nowhere.
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
    // Nothing is fetched before somebody reads.
    { highWaterMark: 0 },
  );
  const headers = new Headers({
    // Nothing a person stored may run on the origin that holds their keys.
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

/** Tries again what passes by itself, as long as pieces arrive: one that is late ends no download. */
async function fetchPiece(
  node: LightNode,
  name: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const startedMs = performance.now();
  for (;;) {
    try {
      return await lanes.run(() => getChunk(node, name, signal), signal);
    } catch (error) {
      const waitMs = error instanceof CallError ? error.failure.afterMs : undefined;
      if (signal.aborted || waitMs === undefined) throw error;
      const stillMs = performance.now() - Math.max(startedMs, lanes.arrivedMs());
      if (stillMs >= longestStillMs) {
        throw unreachable('No piece of this file has arrived for two minutes.');
      }
      await pause(waitMs, signal);
    }
  }
}

/** Rejects when the signal fires. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((go, fail) => {
    const leave = (): void => {
      clearTimeout(timer);
      fail(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', leave);
      go();
    }, ms);
    signal.addEventListener('abort', leave, { once: true });
  });

export interface ByteRange {
  readonly from: number;
  readonly to: number;
  readonly partial: boolean;
}

/** One range (RFC 9110 §14); `null` when it cannot be satisfied, the whole file when it is absent. */
export function rangeOf(header: string | null, size: number): ByteRange | null {
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

/** Waits for a read key that is not held here; there may be none even so. */
async function keyOf(token: string): Promise<void> {
  if (files.has(token)) return;
  if (waiting.size < maxAwaited || waiting.has(token)) await awaitKey(token);
}

const locked = (): CallError =>
  new CallError(410, {
    kind: 'locked',
    message: 'This link belongs to a Safe that is locked now. Unlock it and open the file again.',
  });

/** Asks the pages for a read key; resolves when it is here, or after a while without it. */
async function awaitKey(token: string): Promise<void> {
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

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
