/** Goal: a page that the worker gave up, because it was busy or frozen, hosts again when asked. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { hostRtc } from '#network/rtc/host.ts';
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

test('asked for a host the page offers anew, though nothing has changed for it', () => {
  const hosting = startRtcHosting(() => worker);
  hosting.needed('one life');
  const before = offered.length;
  hosting.needed('one life');
  expect(offered).toHaveLength(before + 1);
  // That the worker lives is no reason; that it is another one is.
  hosting.alive('one life');
  expect(offered).toHaveLength(before + 1);
  hosting.alive('another life');
  expect(offered).toHaveLength(before + 2);
});

test('when the worker lets go of the port, the connections made for it are closed', async () => {
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
