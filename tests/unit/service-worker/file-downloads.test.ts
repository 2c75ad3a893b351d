/**
 * Goal: once a Safe is locked, the worker gives out nothing of its files any longer, whatever was running;
 * and a late piece ends no download. Method: the worker's file calls over in-memory chunks; a file is read
 * piece by piece.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeDataMap } from '#data/data-map.ts';
import { pieceRange, pieceCount } from '#data/self-encryption.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { encryptPiece } from '#runtime/jobs/encrypt-pieces.ts';

const chunks = new Map<string, Uint8Array>();
const signals: AbortSignal[] = [];
/** Called before each fetch with its number; may throw the fetch's error. */
let intercept: (fetch: number) => void = () => undefined;
let fetches = 0;
vi.mock('../../../src/service-worker/scope.ts', () => ({ scope: {} }));
vi.mock('../../../src/service-worker/instance.ts', () => ({ instanceId: 'test' }));
vi.mock('../../../src/service-worker/data-client.ts', () => ({
  getChunk: async (_: unknown, name: Uint8Array, signal: AbortSignal) => {
    signals.push(signal);
    intercept(++fetches);
    return chunks.get(toHex(name));
  },
}));
const { slowLink, unreachable } =
  await import('../../../src/service-worker/http/http-responses.ts');
const { answerFile, forgetFileKeys, storeFileKey } =
  await import('../../../src/service-worker/http/file-downloads.ts');

afterEach(() => {
  intercept = () => undefined;
  vi.useRealTimers();
});

const size = 12 * 1024 * 1024;
const secret = new Uint8Array(32).fill(5);

const whole = new Uint8Array(size).fill(9);
const pieces = Array.from({ length: pieceCount(size) }, (_, i) => {
  const { from, to } = pieceRange(size, i);
  return whole.slice(from, to);
});
const plainHashes = await Promise.all(pieces.map(sha256Fast));
const entries = await Promise.all(
  pieces.map(async (piece, i) => {
    const sealed = await encryptPiece(secret, plainHashes, i, piece);
    if (!sealed.ok) throw new Error(sealed.error);
    chunks.set(toHex(sealed.value.name), sealed.value.bytes);
    return { plainHash: plainHashes[i] ?? new Uint8Array(), chunkName: sealed.value.name };
  }),
);
const dataMap = encodeDataMap({ size, entries });

/** Gives the worker a file's key, as a tab of this Safe does. @returns the address to read */
const give = (token: string): string =>
  storeFileKey({ token, name: 'film', type: '', dataMap, secret: secret.slice() });

const node = async (): Promise<never> => ({}) as never;
const ask = (url: string, at = node): Promise<Response> =>
  answerFile(new Request(`http://localhost${url}`), at);

async function begin(url: string): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const { body } = await ask(url);
  if (body === null) throw new Error('a file has a body');
  const reader = body.getReader();
  expect((await reader.read()).done).toBe(false);
  return reader;
}

async function rest(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<number> {
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes += value.length;
  }
}

test('Lock ends a running download with an error, not as if the file had ended', async () => {
  const reader = await begin(give('a'.repeat(32)));
  signals.splice(0);
  forgetFileKeys(['a'.repeat(32)]);
  await expect(rest(reader)).rejects.toThrow(/locked/);
  expect(signals).toEqual([]);
});

test('Lock cancels the fetches of a download', async () => {
  signals.splice(0);
  await begin(give('b'.repeat(32)));
  expect(signals.some(({ aborted }) => aborted)).toBe(false);
  forgetFileKeys(['b'.repeat(32)]);
  expect(signals.every(({ aborted }) => aborted)).toBe(true);
});

test('Lock ends every download of a file, also after its key was replaced or evicted', async () => {
  const token = 'c'.repeat(32);
  const first = await begin(give(token));
  const second = await begin(give(token));
  // Enough other files to evict its key.
  for (let n = 0; n < 70; n++) give(n.toString(16).padStart(32, '0'));
  forgetFileKeys([token]);
  await expect(rest(first)).rejects.toThrow(/locked/);
  await expect(rest(second)).rejects.toThrow(/locked/);
});

test('a download waiting for the network is answered as locked once the Safe is locked', async () => {
  const token = 'd'.repeat(32);
  const url = give(token);
  const { promise, resolve } = Promise.withResolvers<never>();
  const answer = ask(url, () => promise);
  await new Promise((done) => setTimeout(done, 0));
  forgetFileKeys([token]);
  resolve({} as never);
  expect((await answer).status).toBe(410);
});

test('a tab that is not locked reads its download to the end', async () => {
  const mine = await begin(give('e'.repeat(32)));
  const theirs = await begin(give('f'.repeat(32)));
  forgetFileKeys(['e'.repeat(32)]);
  await expect(rest(mine)).rejects.toThrow(/locked/);
  expect(await rest(theirs)).toBe(size - (pieces[0]?.length ?? 0));
});

test('a piece that failed is retried while others arrive', async () => {
  vi.useFakeTimers();
  const reader = await begin(give('1'.repeat(32)));
  fetches = 0;
  intercept = (fetch) => {
    if (fetch % 2 === 1)
      throw fetch % 4 === 1 ? slowLink() : unreachable('A piece could not be fetched.');
  };
  let bytes: number | undefined;
  const read = rest(reader).then((all) => (bytes = all));
  while (bytes === undefined) {
    await Promise.race([read, vi.advanceTimersByTimeAsync(500)]);
  }
  expect(bytes).toBe(size - (pieces[0]?.length ?? 0));
});

test('a download fails after two minutes without any piece, not before', async () => {
  vi.useFakeTimers();
  const reader = await begin(give('2'.repeat(32)));
  let ended = '';
  const isAway = (): never => {
    throw unreachable('A piece could not be fetched.');
  };
  intercept = isAway;
  void rest(reader).catch((error: unknown) => {
    ended = (error as Error).message;
  });
  await vi.advanceTimersByTimeAsync(110_000);
  // One piece of another file arrives: the link is slow, not down.
  intercept = () => undefined;
  const other = await begin(give('3'.repeat(32)));
  intercept = isAway;
  void rest(other).catch(() => undefined);
  await vi.advanceTimersByTimeAsync(110_000);
  expect(ended).toBe('');
  await vi.advanceTimersByTimeAsync(20_000);
  expect(ended).toContain('No piece of this file has arrived for two minutes.');
});

test('Lock ends a download that waits for the network', async () => {
  const token = '4'.repeat(32);
  const reader = await begin(give(token));
  intercept = () => {
    throw unreachable('A piece could not be fetched.');
  };
  const read = rest(reader);
  await new Promise((done) => setTimeout(done, 0));
  forgetFileKeys([token]);
  await expect(read).rejects.toThrow(/locked/);
});
