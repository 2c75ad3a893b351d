/** Goal: files come back byte for byte, whatever happens to the network, the tab or the worker. */
import { getEventListeners } from 'node:events';
import { expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { PIECE_BYTES } from '#data/chunk.ts';
import { createSpeedMeter } from '../../../src/vault/files/transfer.ts';
import { clipText } from '../../../src/vault/files/clip-text.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  patterned,
  readAs,
  wait,
  type Browser,
  type Tab,
  failed as refusal,
} from './world.ts';

const MiB = PIECE_BYTES;
const addListener = EventTarget.prototype.addEventListener;
const listenersFor = (event: string, target: EventTarget): number =>
  getEventListeners(target, event).length;

async function openedTab(network = createNetwork('home')) {
  const browser = createBrowser(network);
  const tab = openTab(browser);
  const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await tab.until(openWith((view) => view.published === 'published'));
  return { browser, tab, words, network };
}

const fileOf = (bytes: Uint8Array<ArrayBuffer>, name = 'file.bin'): File =>
  new File([bytes], name, { type: 'application/x-test', lastModified: 1_700_000_000_000 });

const stored = (name: string) =>
  openWith((view) => view.files.some((file) => file.name === name) && view.transfers.length === 0);

async function urlOf(tab: Tab, name: string): Promise<string> {
  const view = await tab.until(stored(name));
  const fileId = view.files.find((file) => file.name === name)?.id ?? '';
  return (await tab.ask({ kind: 'openFile', fileId })).url;
}

test.each([0, 1, 3071, 3072, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB + 17])(
  'a file of %i bytes comes back byte for byte, and every range equals its slice',
  async (size) => {
    const { browser, tab, network } = await openedTab();
    const bytes = patterned(size);
    await tab.ask({ kind: 'upload', file: fileOf(bytes, 'büch er.bin') });
    const url = await urlOf(tab, 'büch er.bin');
    expect(url).toMatch(/^\/safe\/files\/[0-9a-f]{32}\/b%C3%BCch%20er\.bin$/);
    expect(Buffer.compare(await readAs(browser, url), bytes)).toBe(0);
    for (const [from, to] of [
      [0, 1],
      [MiB - 1, MiB + 1],
      [Math.max(0, size - 5), size],
      [size, size + 10],
      [1, size],
    ] as const) {
      const part = await readAs(browser, url, Math.min(from, to), to);
      expect(Buffer.compare(part, bytes.slice(Math.min(from, to), to))).toBe(0);
    }
    for (const chunk of network.chunks.values()) {
      if (size > 100)
        expect(Buffer.from(chunk).includes(Buffer.from(bytes.slice(0, 32)))).toBe(false);
    }
  },
);

test('two uploads of the same file share no chunk, so an outsider cannot test what a Safe contains', async () => {
  const { tab, network } = await openedTab();
  await tab.ask({ kind: 'upload', file: fileOf(patterned(2 * MiB), 'one') });
  await tab.until(stored('one'));
  const before = network.chunks.size;
  await tab.ask({ kind: 'upload', file: fileOf(patterned(2 * MiB), 'two') });
  await tab.until(stored('two'));
  expect(network.chunks.size).toBe(2 * before);
});

test('a changed or truncated chunk ends a read with the number of its piece', async () => {
  const { browser, tab, network } = await openedTab();
  await tab.ask({ kind: 'upload', file: fileOf(patterned(2 * MiB)) });
  const url = await urlOf(tab, 'file.bin');
  for (const [name, chunk] of [...network.chunks]) {
    const flipped = chunk.slice();
    flipped[chunk.length >> 1] = (flipped[chunk.length >> 1] ?? 0) ^ 1;
    for (const bad of [flipped, chunk.slice(0, -1), new Uint8Array()]) {
      network.chunks.set(name, bad);
      if (chunk.length > MiB) {
        await expect(readAs(browser, url)).rejects.toMatchObject({ kind: 'chunkAltered' });
      } else {
        const { files } = await tab.until(stored('file.bin'));
        const fileId = files[0]?.id ?? '';
        await expect(tab.ask({ kind: 'openFile', fileId })).rejects.toMatchObject({
          kind: 'networkRefused',
        });
      }
    }
    network.chunks.set(name, chunk);
  }
  expect((await readAs(browser, url)).length).toBe(2 * MiB);
});

test('an upload waits with a sentence while the network is down and resumes automatically', async () => {
  const { browser, tab } = await openedTab();
  const bytes = patterned(8 * MiB);
  let puts = 0;
  browser.intercept = (call) => {
    if (call === 'chunk/put' && ++puts === 4) browser.online = false;
  };
  await tab.ask({ kind: 'upload', file: fileOf(bytes) });
  const view = await tab.until(openWith((v) => v.transfers[0]?.state === 'waiting'));
  expect(view.transfers[0]?.sentence).toMatch(/\.$/);
  expect(view.files).toEqual([]);
  browser.online = true;
  const url = await urlOf(tab, 'file.bin');
  expect(Buffer.compare(await readAs(browser, url), bytes)).toBe(0);
});

test('a full network is retried, a permanent refusal ends the upload with its sentence', async () => {
  const { browser, tab } = await openedTab();
  const refuse = (...answer: Parameters<typeof refusal>): void => {
    browser.intercept = (call) => {
      if (call === 'chunk/put') throw refusal(...answer);
    };
  };
  refuse(507, 'networkRefused', 'The network has no room.', 100);
  await tab.ask({ kind: 'upload', file: fileOf(patterned(10)) });
  await tab.until(openWith((v) => v.transfers[0]?.sentence === 'The network has no room.'));
  refuse(413, 'internal', 'A piece is larger than 1 MiB.');
  const failed = await tab.until(openWith((v) => v.transfers[0]?.state === 'failed'));
  expect(failed.transfers[0]?.sentence).toBe('A piece is larger than 1 MiB.');
  browser.intercept = () => undefined;
  const transferId = failed.transfers[0]?.id ?? '';
  await tab.ask({ kind: 'resumeUpload', transferId, file: fileOf(patterned(10)) });
  await tab.until(stored('file.bin'));
});

test('an upload that fails stops sending its pieces', async () => {
  const { browser, tab } = await openedTab();
  const pieces = 20;
  let puts = 0;
  browser.intercept = (call) => {
    if (call === 'chunk/put' && ++puts === 1)
      throw refusal(413, 'internal', 'A piece is larger than 1 MiB.');
  };
  await tab.ask({ kind: 'upload', file: fileOf(patterned(pieces * MiB)) });
  await tab.until(openWith((view) => view.transfers[0]?.state === 'failed'));
  await wait(300);
  expect(puts).toBeLessThan(pieces / 2);
});

test('on a slow link the pieces of all files are sent one after the other, and more in parallel later', async () => {
  const { browser, tab } = await openedTab();
  let underWay = 0;
  const atOnce: number[] = [];
  browser.intercept = async (call) => {
    if (call !== 'chunk/put') return;
    atOnce.push(++underWay);
    await new Promise((go) => setTimeout(go, atOnce.length <= 2 ? 300 : 5));
    underWay -= 1;
    if (atOnce.length > 12) return;
    throw refusal(503, 'slow', 'The connection is slow.', 10);
  };
  await tab.ask({ kind: 'upload', file: fileOf(patterned(6 * MiB), 'one') });
  await tab.ask({ kind: 'upload', file: fileOf(patterned(6 * MiB), 'two') });
  await tab.until(openWith((view) => view.files.length === 2 && view.transfers.length === 0));
  expect(Math.max(...atOnce.slice(0, 2))).toBe(2);
  expect(Math.max(...atOnce.slice(2, 12))).toBe(1);
  expect(Math.max(...atOnce)).toBeGreaterThan(2);
  expect(Math.max(...atOnce)).toBeLessThanOrEqual(6);
});

async function interrupted(browser: Browser, tab: Tab, bytes: Uint8Array<ArrayBuffer>) {
  let puts = 0;
  browser.intercept = (call) => {
    if (call === 'chunk/put' && ++puts > 9) browser.online = false;
  };
  await tab.ask({ kind: 'upload', file: fileOf(bytes) });
  await tab.until(
    openWith((v) => v.transfers[0]?.state === 'waiting' && v.transfers[0].doneBytes >= 3 * MiB),
  );
  await tab.ask({ kind: 'lock' });
  browser.online = true;
  browser.intercept = () => undefined;
}

test('after the tab was closed the plan resumes: only the same file, only the missing pieces', async () => {
  const { browser, tab } = await openedTab();
  const bytes = patterned(12 * MiB + 3);
  await interrupted(browser, tab, bytes);
  const later = openTab(browser);
  await later.ask({ kind: 'unlockHere', password: goodPassword });
  const view = await later.until(openWith((v) => v.transfers.length === 1));
  const [transfer] = view.transfers;
  expect(transfer).toMatchObject({ state: 'needsFile', name: 'file.bin', size: bytes.length });
  const transferId = transfer?.id ?? '';
  const resume = (file: File) => later.ask({ kind: 'resumeUpload', transferId, file });

  await expect(resume(fileOf(patterned(5)))).rejects.toMatchObject({ kind: 'fileChanged' });
  const altered = bytes.slice();
  altered[9 * MiB] = (altered[9 * MiB] ?? 0) ^ 1;
  await expect(resume(fileOf(altered))).rejects.toMatchObject({ kind: 'fileChanged' });
  await later.until(openWith((v) => v.transfers[0]?.state === 'needsFile'));

  browser.calls.length = 0;
  await resume(fileOf(bytes, 'renamed meanwhile.bin'));
  const url = await urlOf(later, 'file.bin');
  expect(Buffer.compare(await readAs(browser, url), bytes)).toBe(0);
  // 13 pieces and the data map, minus those already stored.
  expect(browser.calls.filter((call) => call === 'chunk/put').length).toBeLessThanOrEqual(11);
  expect(browser.plans.size).toBe(0);
});

test('the plan is durable before the first chunk is sent, and contains no plain name', async () => {
  const { browser, tab } = await openedTab();
  let plansAtFirstPut = -1;
  let plan = '';
  browser.intercept = (call) => {
    if (call !== 'chunk/put' || plansAtFirstPut >= 0) return;
    plansAtFirstPut = browser.plans.size;
    plan = [...browser.plans.values()]
      .map(({ sealed }) => Buffer.from(sealed).toString('latin1'))
      .join();
  };
  await tab.ask({ kind: 'upload', file: fileOf(patterned(10), 'secret-name.txt') });
  await tab.until(stored('secret-name.txt'));
  expect(plansAtFirstPut).toBe(1);
  expect(plan).not.toContain('secret-name');
});

test('a file that changes between the two passes is not encrypted under keys of the old one', async () => {
  const { browser, tab } = await openedTab();
  const bytes = patterned(2 * MiB);
  const file = fileOf(bytes);
  const changed = fileOf(patterned(2 * MiB, 99));
  let reads = 0;
  file.slice = (from, to) => (++reads <= 2 ? fileOf(bytes) : changed).slice(from, to);
  browser.calls.length = 0;
  await tab.ask({ kind: 'upload', file });
  const view = await tab.until(openWith((v) => v.transfers[0]?.state === 'failed'));
  expect(view.transfers[0]?.sentence).toContain('not the one this upload began with');
  expect(browser.calls).not.toContain('chunk/put');
});

test('a stored file leaves no listener behind that keeps it in memory until Lock', async () => {
  const { tab } = await openedTab();
  const signals = new Set<EventTarget>();
  const listening = vi.spyOn(EventTarget.prototype, 'addEventListener');
  listening.mockImplementation(function (this: EventTarget, ...given) {
    signals.add(this);
    return Reflect.apply(addListener, this, given);
  });
  const counts: number[] = [];
  const files = 12;
  try {
    for (let n = 0; n < files; n++) {
      const name = `file ${n}`;
      await tab.ask({ kind: 'upload', file: fileOf(patterned(5_000), name) });
      await tab.until(stored(name));
      counts.push([...signals].reduce((sum, each) => sum + listenersFor('abort', each), 0));
    }
  } finally {
    listening.mockRestore();
  }
  // Waits of the vault itself come and go.
  expect(counts.at(-1)).toBeLessThan((counts[0] ?? 0) + files / 2);
});

test('a cancelled upload leaves no plan and no file', async () => {
  const { browser, tab } = await openedTab();
  browser.online = false;
  const file = fileOf(patterned(3 * MiB));
  const { transferId } = await tab.ask({ kind: 'upload', file });
  await tab.until(openWith((v) => v.transfers[0]?.state === 'waiting'));
  await tab.ask({ kind: 'cancelUpload', transferId });
  browser.online = true;
  await tab.ask({ kind: 'refresh' });
  const view = await tab.until(openWith((v) => v.transfers.length === 0));
  expect(view.files).toEqual([]);
  expect(browser.plans.size).toBe(0);
});

test('an upload that is cancelled while its plan is encrypted leaves no plan', async () => {
  const { browser, tab } = await openedTab();
  browser.online = false;
  const encrypt = crypto.subtle.encrypt.bind(crypto.subtle);
  let isCancelled = false;
  const spy = vi.spyOn(crypto.subtle, 'encrypt').mockImplementation(async (...given) => {
    const [transfer] = (await tab.until(isOpen)).transfers;
    if (!isCancelled && transfer !== undefined) {
      isCancelled = true;
      await tab.ask({ kind: 'cancelUpload', transferId: transfer.id });
    }
    return encrypt(...given);
  });
  await tab.ask({ kind: 'upload', file: fileOf(patterned(100)) });
  await expect.poll(() => isCancelled).toBe(true);
  await wait(100);
  spy.mockRestore();
  expect(browser.plans.size).toBe(0);
});

test('a resumed upload that is cancelled while its file is read stays cancelled', async () => {
  const { browser, tab } = await openedTab();
  browser.online = false;
  const bytes = patterned(2 * MiB);
  const { transferId } = await tab.ask({ kind: 'upload', file: fileOf(bytes) });
  await tab.until(openWith((v) => v.transfers[0]?.state === 'waiting'));
  await tab.ask({ kind: 'lock' });
  await tab.ask({ kind: 'unlockHere', password: goodPassword });
  await tab.until(openWith((v) => v.transfers[0]?.state === 'needsFile'));
  const file = fileOf(bytes);
  const slice = file.slice.bind(file);
  file.slice = (from, to) => {
    const part = slice(from, to);
    const read = part.arrayBuffer.bind(part);
    part.arrayBuffer = async () => {
      await tab.ask({ kind: 'cancelUpload', transferId });
      return read();
    };
    return part;
  };
  await tab.ask({ kind: 'resumeUpload', transferId, file }).catch(() => undefined);
  await wait(100);
  expect((await tab.until(isOpen)).transfers).toEqual([]);
  expect(browser.plans.size).toBe(0);
});

test('a restarted worker gets the same token again, an unknown token is not answered', async () => {
  const { browser, tab } = await openedTab();
  await tab.ask({ kind: 'upload', file: fileOf(patterned(100)) });
  const url = await urlOf(tab, 'file.bin');
  const token = url.split('/')[3] ?? '';
  browser.keys.clear();
  await tab.vault.resendFileKey('00'.repeat(16));
  expect(browser.keys.size).toBe(0);
  await tab.vault.resendFileKey(token);
  expect((await readAs(browser, url)).length).toBe(100);
  await tab.ask({ kind: 'lock' });
  // The worker deletes the key of a locked Safe immediately, and does not get it again.
  await expect.poll(() => browser.keys.size).toBe(0);
  await tab.vault.resendFileKey(token);
  expect(browser.keys.size).toBe(0);
});

test('a file too large for one data map is refused before it is read', async () => {
  const { tab } = await openedTab();
  const file = fileOf(patterned(1));
  Object.defineProperty(file, 'size', { value: 16_000 * MiB + 1 });
  await expect(tab.ask({ kind: 'upload', file })).rejects.toMatchObject({
    message: expect.stringContaining('15 GiB') as string,
  });
});

test('the speed covers the last seconds, and a new pass has its own', () => {
  let now = 0;
  const meter = createSpeedMeter(() => now);
  for (now = 1000; now <= 10_000; now += 1000) meter.update(now);
  expect(meter.bytesPerSecond()).toBeGreaterThanOrEqual(800);
  expect(meter.bytesPerSecond()).toBeLessThan(1200);
  now += 20_000;
  expect(meter.bytesPerSecond()).toBeLessThan(300);
  meter.update(5);
  expect(meter.bytes()).toBe(5);
});

test('a name is clipped between characters, and lone surrogates are replaced', () => {
  expect(clipText('ab😀', 5)).toBe('ab');
  expect(clipText('ab😀', 6)).toBe('ab😀');
  expect(clipText('x\ud83d', 100)).toBe('x\ufffd');
  expect(toHex(new TextEncoder().encode(clipText('é'.repeat(600), 1024))).length).toBe(2048);
});
