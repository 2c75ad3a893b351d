/** Goal: a page that the worker dropped, because it was busy or frozen, hosts again on request. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { hostRtc } from '#network/rtc/page-connections.ts';
import { startRtcHosting } from '../../../src/page/rtc-hosting.ts';

const offered: MessagePort[] = [];
const worker = {
  postMessage: (_message: unknown, ports: MessagePort[]) => void offered.push(...ports),
} as unknown as ServiceWorker;

beforeEach(() => {
  offered.splice(0);
  vi.stubGlobal('RTCPeerConnection', class {});
  vi.stubGlobal('navigator', {
    locks: { request: async (_name: string, held: () => Promise<never>) => held() },
  });
});
afterEach(() => {
  for (const port of offered) port.close();
  vi.unstubAllGlobals();
});

test('asked for a host, the page offers again although nothing changed for it', () => {
  const hosting = startRtcHosting(() => worker);
  hosting.needed('one life');
  const before = offered.length;
  hosting.needed('one life');
  expect(offered).toHaveLength(before + 1);
  // A running worker is no reason to offer again; a restarted one is.
  hosting.alive('one life');
  expect(offered).toHaveLength(before + 1);
  hosting.alive('another life');
  expect(offered).toHaveLength(before + 2);
});

test('when the worker closes the port, its connections are closed', async () => {
  let closed = 0;
  vi.stubGlobal(
    'RTCPeerConnection',
    class {
      connectionState = 'new';
      close = (): void => void (closed += 1);
    },
  );
  const { port1, port2 } = new MessageChannel();
  hostRtc(port1, () => 1);
  port2.postMessage({ op: 'create', id: 1, iceServers: [], certificateIds: [] });
  await vi.waitFor(() => expect(closed).toBe(0), { timeout: 20_000 });
  await new Promise((go) => setTimeout(go, 20));
  port2.close();
  await vi.waitFor(() => expect(closed).toBe(1), { timeout: 20_000 });
});
