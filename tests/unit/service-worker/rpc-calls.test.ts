/**
 * Goal: only the app itself can call the service worker, and no site can show its responses in a frame. A
 * form of another site reaches the worker as a navigation, with any body and no header.
 */
import { beforeEach, expect, test, vi } from 'vitest';
import { callFailure, workerCalls } from '#bridge/worker-calls.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';

const chosen: string[] = [];
vi.mock('../../../src/service-worker/scope.ts', () => ({ scope: {} }));
vi.mock('../../../src/service-worker/instance.ts', () => ({ instanceId: 'test' }));
vi.mock('../../../src/service-worker/payment-client.ts', () => ({}));
vi.mock('../../../src/service-worker/node-lifecycle.ts', () => ({
  lightNode: async () => {
    throw new Error('no node is needed');
  },
  networkView: async () => ({}),
  setPreference: async (preference: string) => void chosen.push(preference),
}));
const { answerRpc } = await import('../../../src/service-worker/http/rpc-calls.ts');
const { failureResponse } = await import('../../../src/service-worker/http/http-responses.ts');

beforeEach(() => void chosen.splice(0));

/** A browser's request; Node cannot construct these two field values. */
const asked = (
  headers: Record<string, string>,
  mode: RequestMode = 'same-origin',
  destination: RequestDestination = '',
  call = 'transport',
  body = workerCalls.transport.in.encode({ preference: 'websocket' }),
): Request =>
  new Proxy(
    new Request(`http://localhost/safe/rpc/${call}`, {
      method: 'POST',
      headers,
      body: body as Uint8Array<ArrayBuffer>,
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

test("the app's own calls are answered", async () => {
  expect((await answerRpc(asked(own))).status).toBe(200);
  expect(chosen).toEqual(['websocket']);
});

test("forms, frames and requests without the app's header are refused, and change nothing", async () => {
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

test('unknown calls and malformed input get one refusal, and change nothing', async () => {
  const refused = [
    asked(own, 'same-origin', '', 'unknown'),
    asked(own, 'same-origin', '', 'constructor'),
    asked(own, 'same-origin', '', 'transport', utf8('{"preference":"websocket"}')),
    asked(own, 'same-origin', '', 'transport', encodeCbor({ preference: 'pigeon' })),
    asked(own, 'same-origin', '', 'transport', encodeCbor({ preference: 'direct', more: 1 })),
    asked(own, 'same-origin', '', 'outputs', encodeCbor({ elder: 3, after: 0 })),
  ];
  for (const request of refused) {
    const answer = await answerRpc(request);
    expect(answer.status).toBe(400);
    const failure = callFailure.decode(new Uint8Array(await answer.arrayBuffer()));
    expect(failure?.kind).toBe('otherVersion');
    expect(failure?.message).toMatch(/Reload this tab\.$/);
  }
  expect(chosen).toEqual([]);
});

test('no response of the worker can be framed, or run anything', async () => {
  for (const answer of [await answerRpc(asked(own)), failureResponse(new Error('ours'))]) {
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; frame-ancestors 'none'",
    );
  }
});
