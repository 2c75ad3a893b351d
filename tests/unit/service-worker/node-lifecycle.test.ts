/**
 * Goal: a long-running worker serves the network that its address serves now, and no other. Method: the
 * worker's own lifecycle over light nodes that only have a network id.
 */
import { beforeEach, expect, test, vi } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { networkIdOf } from '#protocol/section/index.ts';
import type { NetworkFile } from '#roles/wire/network-file.ts';

const world = vi.hoisted(() => ({
  served: null as unknown,
  events: [] as string[],
}));
vi.mock('../../../src/service-worker/light-node/light-node.ts', () => ({
  startLightNode: async (file: NetworkFile) => {
    world.events.push(`start ${file.name}`);
    return {
      file,
      view: () => ({}),
      stop: async () => void world.events.push(`stop ${file.name}`),
    };
  },
}));
vi.mock('../../../src/service-worker/payment-client.ts', () => ({
  resumePayments: async (node: { file: NetworkFile }) =>
    void world.events.push(`resume payments on ${node.file.name}`),
  stopPayments: () => void world.events.push('stop payments'),
}));
vi.mock('#storage/browser/worker-store.ts', () => ({
  workerStore: {
    preference: async () => 'automatic',
    saveNetworkFile: async () => undefined,
    networkFile: async () => undefined,
  },
}));
vi.mock('../../../src/service-worker/rtc-host-port.ts', () => ({
  onRtcHostChanged: () => undefined,
}));
vi.mock('../../../src/service-worker/http/app-shell.ts', () => ({ shellStored: async () => true }));
vi.mock('../../../src/service-worker/scope.ts', () => ({
  scope: { clients: { matchAll: async () => [] } },
}));
const { answerNetworkFile, isNetworkFile, lightNode } =
  await import('../../../src/service-worker/node-lifecycle.ts');

const fileOf = (name: string): NetworkFile => {
  const key = new Uint8Array(96).fill(name.length);
  return {
    ...{ format: 1, protocol: 2, name, bootstrap: [], supply: '0', faucet: null },
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

test('the worker restarts its node when its address serves another network, and only then', async () => {
  world.served = fileOf('first');
  await lightNode();
  expect(await (await ask()).json()).toEqual(world.served);
  expect(world.events).toEqual(['start first', 'resume payments on first']);

  // A damaged file, and an unreachable address, change nothing.
  world.served = { ...fileOf('second'), genesisKey: 'ab'.repeat(96) };
  await ask();
  world.served = null;
  await expect(ask()).rejects.toThrow('Failed to fetch');
  world.served = utf8('no network');
  await ask();
  expect(world.events).toHaveLength(2);

  // Two concurrent tabs.
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

test('only the network file of this address is read', () => {
  const at = (path: string): boolean => isNetworkFile(new Request(`https://safe.test${path}`));
  expect([at('/network.json'), at('/network.json?x=1'), at('/files/network.json')]).toEqual([
    true,
    true,
    false,
  ]);
});
