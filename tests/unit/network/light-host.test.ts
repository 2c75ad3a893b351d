/** Goal: the worker's host reaches elders by WebSocket, backs off and tries again. Method: real sockets. */
import { afterEach, expect, test } from 'vitest';
import { createLightHost, type LightHost } from '#network/light-host.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function startElder(): Promise<NodeHost> {
  const taken = new Set<number>();
  const tcpPort = await findFreePort(taken);
  const elder = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(8), role: 'elder', bootstrap: { tcpAddress: null } },
    ...{ tcpPort, wsPort: await findFreePort(new Set([tcpPort])), rtcDirectPort: null },
  });
  stops.push(elder.stop);
  await elder.serve('client', 'test', async (request) => request);
  return elder;
}

async function startLight(bootstrap: readonly string[], changes: string[]): Promise<LightHost> {
  const light: LightHost = await createLightHost({
    ...{ bootstrap, tag: 'test', isPrivate: true, lastTransports: new Map() },
    preference: () => 'automatic',
    rtcReady: async () => undefined,
    onChange: () => void changes.push('change'),
  });
  stops.push(light.stop);
  return light;
}

test('an elder is asked over one WebSocket connection, whose end shows in the view', async () => {
  const node = await startElder();
  const elder = { name: node.name, addresses: node.addresses() };
  const changes: string[] = [];
  const light = await startLight(
    elder.addresses.filter((each) => each.includes('/ws')),
    changes,
  );
  expect(light.view(elder.name)).toMatchObject({ transport: null, state: 'idle', bytesOut: 0 });

  const request = Uint8Array.of(1, 2);
  const replies = await Promise.all([1, 2].map(() => light.ask(elder, request, 5_000)));
  expect(replies.map((reply) => reply.ok && [...reply.value])).toEqual([
    [1, 2],
    [1, 2],
  ]);
  const connected = light.view(elder.name);
  expect(connected).toMatchObject({ transport: 'websocket', state: 'connected' });
  expect(connected.roundTripMs).toBeGreaterThan(0);
  expect(connected.bytesOut).toBeGreaterThan(4);
  expect(node.connections()).toBe(1);
  expect((await light.askBootstrap(3, request, 5_000)).ok).toBe(true);

  const before = changes.length;
  await node.stop();
  await expect.poll(() => light.view(elder.name)).toMatchObject({ transport: null, state: 'idle' });
  expect(changes.length).toBeGreaterThan(before);
});

test('an unreachable elder is not dialled again until its backoff ends or the preference changes', async () => {
  const light = await startLight([], []);
  const elder = { name: new Uint8Array(32).fill(1), addresses: [] };
  expect(await light.ask(elder, new Uint8Array(1), 5_000)).toMatchObject({ ok: false });
  expect(light.view(elder.name).state).toBe('unreachable');
  expect(light.isBackingOff(elder.name)).toBe(true);
  light.reconnectByPreference();
  expect(light.isBackingOff(elder.name)).toBe(false);
});
