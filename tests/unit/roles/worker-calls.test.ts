/**
 * Goal: nobody but the app itself can call the service worker, and nobody can show its answers in a
 * frame. A form of another site reaches the worker as a navigation, with any body and no header.
 */
import { beforeEach, expect, test, vi } from 'vitest';

const chosen: string[] = [];
vi.mock('../../../src/service-worker/scope.ts', () => ({ scope: {} }));
vi.mock('../../../src/service-worker/instance.ts', () => ({ instanceId: 'test' }));
vi.mock('../../../src/service-worker/money.ts', () => ({}));
vi.mock('../../../src/service-worker/host.ts', () => ({
  lightNode: async () => {
    throw new Error('no node is needed');
  },
  networkView: async () => ({}),
  setPreference: async (preference: string) => void chosen.push(preference),
}));
const { answerRpc } = await import('../../../src/service-worker/rpc.ts');
const { failureAnswer } = await import('../../../src/service-worker/answers.ts');

beforeEach(() => void chosen.splice(0));

/** A browser's request; of these two fields Node makes no other values. */
const asked = (
  headers: Record<string, string>,
  mode: RequestMode = 'same-origin',
  destination: RequestDestination = '',
): Request =>
  new Proxy(
    new Request('http://localhost/safe/rpc/road', {
      method: 'POST',
      headers,
      body: '{"preference":"websocket"}',
    }),
    {
      get: (request, field) => {
        if (field === 'mode') return mode;
        if (field === 'destination') return destination;
        const value: unknown = Reflect.get(request, field, request);
        return typeof value === 'function' ? value.bind(request) : value;
      },
    },
  );
const own = { 'x-safe-call': '1' };

test('the app itself is answered', async () => {
  expect((await answerRpc(asked(own))).status).toBe(200);
  expect(chosen).toEqual(['websocket']);
});

test('a form, a frame and a request without the header of the app are refused, and change nothing', async () => {
  const refused = [
    asked({ 'content-type': 'text/plain' }, 'navigate', 'document'),
    asked(own, 'navigate', 'document'),
    asked(own, 'navigate', 'iframe'),
    asked(own, 'no-cors', 'image'),
    asked({}),
  ];
  for (const request of refused) expect((await answerRpc(request)).status).toBe(403);
  expect(chosen).toEqual([]);
});

test('no answer of the worker can be framed, nor run anything', async () => {
  for (const answer of [await answerRpc(asked(own)), failureAnswer(new Error('ours'))]) {
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; frame-ancestors 'none'",
    );
  }
});
