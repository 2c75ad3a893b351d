/**
 * Goal: the worker loses its host of connections only when that host is gone, not when an earlier one is
 * that another page has replaced.
 */
import { afterEach, expect, test, vi } from 'vitest';

vi.mock('../../../src/service-worker/instance.ts', () => ({ instanceId: 'test' }));
vi.mock('../../../src/service-worker/scope.ts', () => ({
  scope: { clients: { matchAll: async () => [] } },
}));
const { checkRtcHost, loseRtcHost, takeRtcHost } =
  await import('../../../src/service-worker/rtc.ts');
const { hasRtcHost } = await import('#network/rtc/stand-in.ts');

const ends: MessagePort[] = [];
afterEach(() => {
  loseRtcHost();
  for (const end of ends.splice(0)) end.close();
  vi.useRealTimers();
});

/** A page offers itself. @returns its end of the channel */
function offer(): { readonly worker: MessagePort; readonly page: MessagePort } {
  const { port1, port2 } = new MessageChannel();
  ends.push(port1, port2);
  takeRtcHost(port1, 0);
  return { worker: port1, page: port2 };
}

test('the end of an earlier host takes nothing from the present one', async () => {
  const earlier = offer();
  const present = offer();
  earlier.page.close();
  earlier.worker.dispatchEvent(new Event('close'));
  await new Promise((go) => setTimeout(go, 20));
  expect(hasRtcHost()).toBe(true);
  present.worker.dispatchEvent(new Event('close'));
  expect(hasRtcHost()).toBe(false);
});

test('a page that was silent is given up, and not the one that came meanwhile', async () => {
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
