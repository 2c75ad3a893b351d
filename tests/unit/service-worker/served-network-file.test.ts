/**
 * Goal: an origin's network file is validated before it replaces the one of the last visit, so that one bad
 * response spoils no later start, online or offline.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { networkIdOf } from '#protocol/section/index.ts';

const disk: { file?: unknown; isFull?: boolean } = {};
vi.mock('#storage/browser/worker-store.ts', () => ({
  workerStore: {
    networkFile: async () => disk.file,
    saveNetworkFile: async (file: unknown) => {
      if (disk.isFull === true) throw new DOMException('no room', 'QuotaExceededError');
      disk.file = file;
    },
  },
}));
const { loadNetworkFile } =
  await import('../../../src/service-worker/light-node/served-network-file.ts');

const key = new Uint8Array(96).fill(1);
const fileOf = (name: string) => ({
  format: 1,
  protocol: 2,
  name,
  networkId: toHex(networkIdOf(key, name)),
  genesisKey: toHex(key),
  bootstrap: ['/dns4/localhost/tcp/1/ws'],
  supply: '1',
  faucet: null,
});
function serve(answer: () => unknown): void {
  vi.stubGlobal('fetch', async () => {
    const value = answer();
    return new Response(typeof value === 'string' ? value : JSON.stringify(value));
  });
}

beforeEach(() => {
  disk.file = undefined;
  disk.isFull = false;
});
afterEach(() => void vi.unstubAllGlobals());

test('a valid file is used and stored, also one of another network', async () => {
  for (const name of ['one', 'another']) {
    serve(() => fileOf(name));
    expect(await loadNetworkFile()).toEqual(fileOf(name));
    expect(disk.file).toEqual(fileOf(name));
  }
});

test.each([
  ['a file whose id does not follow from its key', { ...fileOf('x'), networkId: '00'.repeat(32) }],
  ['a file with the name of another network', { ...fileOf('x'), name: 'y' }],
  ['a file of a later format', { ...fileOf('x'), format: 2 }],
  ['a file with addresses that are none', { ...fileOf('x'), bootstrap: [7] }],
  ['the page of a hotel', '<!doctype html><p>Please log in'],
  ['nothing', null],
])('%s replaces nothing, and the kept one is used', async (_, bad) => {
  disk.file = fileOf('mine');
  serve(() => bad);
  expect(await loadNetworkFile()).toEqual(fileOf('mine'));
  expect(disk.file).toEqual(fileOf('mine'));
});

test('offline the stored file is used; without one, an error with a next step is shown', async () => {
  serve(() => {
    throw new TypeError('offline');
  });
  await expect(loadNetworkFile()).rejects.toMatchObject({ failure: { kind: 'offline' } });
  disk.file = fileOf('mine');
  expect(await loadNetworkFile()).toEqual(fileOf('mine'));
});

test('with a full disk a valid file is used all the same', async () => {
  disk.isFull = true;
  serve(() => fileOf('one'));
  expect(await loadNetworkFile()).toEqual(fileOf('one'));
});
