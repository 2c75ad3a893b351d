/**
 * Goal: a worker that lives on serves the network that its address serves now, and no other.
 * Method: the worker's own host over light nodes that only say which network they are of.
 */
import { beforeEach, expect, test, vi } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { networkIdOf } from '#protocol/section/index.ts';
import type { NetworkFile } from '../../../src/service-worker/memory.ts';

const world = vi.hoisted(() => ({
  served: null as unknown,
  events: [] as string[],
}));
vi.mock('../../../src/service-worker/light-node.ts', () => ({
  startLightNode: async (file: NetworkFile) => {
    world.events.push(`start ${file.name}`);
    return {
      file,
      view: () => ({}),
      stop: async () => void world.events.push(`stop ${file.name}`),
    };
  },
}));
vi.mock('../../../src/service-worker/money.ts', () => ({
  resumePayments: async (node: { file: NetworkFile }) =>
    void world.events.push(`resume payments on ${node.file.name}`),
  stopPayments: () => void world.events.push('stop payments'),
}));
vi.mock('../../../src/service-worker/memory.ts', () => ({
  memory: {
    preference: async () => 'automatic',
    keepNetworkFile: async () => undefined,
    networkFile: async () => undefined,
  },
}));
vi.mock('../../../src/service-worker/rtc.ts', () => ({ onRtcHostChanged: () => undefined }));
vi.mock('../../../src/service-worker/shell.ts', () => ({ shellStored: async () => true }));
vi.mock('../../../src/service-worker/scope.ts', () => ({
  scope: { clients: { matchAll: async () => [] } },
}));
const { answerNetworkFile, isNetworkFile, lightNode } =
  await import('../../../src/service-worker/host.ts');

const fileOf = (name: string): NetworkFile => {
  const key = new Uint8Array(96).fill(name.length);
  return {
    ...{ format: 1, protocol: 1, name, bootstrap: [], supply: '0', faucet: null },
    networkId: toHex(networkIdOf(key, name)),
    genesisKey: toHex(key),
  };
};
const ask = async (): Promise<Response> =>
  answerNetworkFile(new Request('https://safe.test/network.json'));

beforeEach(() => {
  vi.stubGlobal('fetch', async () => {
    if (world.served === null) throw new TypeError('Failed to fetch');
    return Response.json(world.served);
  });
});

test('the worker starts anew when its address serves another network, and only then', async () => {
  world.served = fileOf('first');
  await lightNode();
  expect(await (await ask()).json()).toEqual(world.served);
  expect(world.events).toEqual(['start first', 'resume payments on first']);

  // A file that is damaged, and an address that does not answer, change nothing.
  world.served = { ...fileOf('second'), genesisKey: 'ab'.repeat(96) };
  await ask();
  world.served = null;
  await expect(ask()).rejects.toThrow('Failed to fetch');
  world.served = utf8('no network');
  await ask();
  expect(world.events).toHaveLength(2);

  // Two tabs ask at the same time.
  world.served = fileOf('second');
  await Promise.all([ask(), ask()]);
  expect(world.events.slice(2)).toEqual([
    'stop payments',
    'stop first',
    'start second',
    'resume payments on second',
  ]);
  expect((await lightNode()).file.name).toBe('second');
});

test('only the network file of this address is looked at', () => {
  const at = (path: string): boolean => isNetworkFile(new Request(`https://safe.test${path}`));
  expect([at('/network.json'), at('/network.json?x=1'), at('/files/network.json')]).toEqual([
    true,
    true,
    false,
  ]);
});
