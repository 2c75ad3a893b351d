/**
 * Goal: the worker loses its host of connections only when that host is gone, not when an earlier, replaced
 * one is.
 */
import { afterEach, expect, test, vi } from 'vitest';

vi.mock('../../../src/service-worker/instance.ts', () => ({ instanceId: 'test' }));
vi.mock('../../../src/service-worker/scope.ts', () => ({
  scope: { clients: { matchAll: async () => [] } },
}));
const { checkRtcHost, releaseRtcHost, acquireRtcHost } =
  await import('../../../src/service-worker/rtc-host-port.ts');
const { hasRtcHost } = await import('#network/rtc/worker-proxy.ts');

const ends: MessagePort[] = [];
afterEach(() => {
  releaseRtcHost();
  for (const end of ends.splice(0)) end.close();
  vi.useRealTimers();
});

/** A page offers to host. @returns its end of the channel */
function offer(): { readonly worker: MessagePort; readonly page: MessagePort } {
  const { port1, port2 } = new MessageChannel();
  ends.push(port1, port2);
  acquireRtcHost(port1, 0);
  return { worker: port1, page: port2 };
}

test('the end of an earlier host does not affect the current one', async () => {
  const earlier = offer();
  const present = offer();
  earlier.page.close();
  earlier.worker.dispatchEvent(new Event('close'));
  await new Promise((go) => setTimeout(go, 20));
  expect(hasRtcHost()).toBe(true);
  present.worker.dispatchEvent(new Event('close'));
  expect(hasRtcHost()).toBe(false);
});

test('an unresponsive page is dropped, but not the one that offered meanwhile', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  offer();
  const checking = checkRtcHost();
  offer();
  await vi.advanceTimersByTimeAsync(2_000);
  await checking;
  expect(hasRtcHost()).toBe(true);
  const again = checkRtcHost();
  await vi.advanceTimersByTimeAsync(2_000);
  await again;
  expect(hasRtcHost()).toBe(false);
});
