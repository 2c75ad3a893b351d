/**
 * Goal: chain sync ends, however slowly an elder sends pages: with its request, and after a few page
 * timeouts (N31). Method: an elder that gives one genuine link per page, slowly.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { err, ok } from '#core/result.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import { decodeIncomingRequest, encodeClientReply } from '#roles/wire/client.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { genesis, only, succeed, type TestSection } from '../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { createElderRequests } =
  await import('../../../src/service-worker/light-node/elder-requests.ts');
const { openKnownSections } =
  await import('../../../src/service-worker/light-node/known-sections.ts');

const born = genesis('asking', 2);
const links = 30;
let last: TestSection = born;
for (let n = 0; n < links; n++) last = only(succeed(last, `a${n}`).children);
const elder = { name: new Uint8Array(32).fill(1) };
const place = new Uint8Array(32);
const timeoutMs = 1_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** @param takesMs the time per page */
function reading(takesMs: number) {
  const known = openKnownSections(
    born.anchor,
    { pins: async () => undefined, savePins: async () => undefined },
    () => undefined,
  );
  let asked = 0;
  const signals = new Set<AbortSignal | undefined>();
  const asking = createElderRequests({
    host: {
      ask: async (_, bytes, __, signal) => {
        asked += 1;
        signals.add(signal);
        const request = decodeIncomingRequest(bytes);
        if (!request.ok || request.value.kind !== 'section') return err({ kind: 'unreachable' });
        const { from } = request.value;
        await new Promise((go) => setTimeout(go, takesMs));
        const at = last.chain.findIndex(({ record }) => equalBytes(record.parentKey, from));
        const page = { links: last.chain.slice(at, at + 1), authority: null };
        return ok(encodeClientReply({ kind: 'proof', proof: encodeProof(page), records: [] }));
      },
      isBackingOff: () => false,
    },
    known,
    elderHealth: { record: () => undefined },
    preference: () => 'automatic',
    loaded: async () => Promise.reject(new Error('nothing is waited for')),
    refresh: async () => undefined,
    rememberTransport: () => undefined,
  });
  return { asking, signals, asked: () => asked, keys: () => known.tree().keys.size };
}

test('an elder with one slow link per page is left after a few page timeouts', async () => {
  const { asking, asked, keys } = reading(900);
  let ended: boolean | undefined;
  void asking.syncChain(elder, place, timeoutMs).then((arrived) => (ended = arrived));
  await vi.advanceTimersByTimeAsync(6_000);
  expect(ended).toBe(false);
  expect(asked()).toBeLessThan(links / 2);
  // Its pages are genuine and kept: the next chain sync continues from there.
  expect(keys()).toBeGreaterThan(3);
});

test('chain sync stops when its request is abandoned', async () => {
  const { asking, asked, signals } = reading(100);
  const request = new AbortController();
  let ended: boolean | undefined;
  void asking
    .syncChain(elder, place, timeoutMs, request.signal)
    .then((arrived) => (ended = arrived));
  await vi.advanceTimersByTimeAsync(250);
  const before = asked();
  request.abort();
  await vi.advanceTimersByTimeAsync(200);
  expect(ended).toBe(false);
  expect(asked()).toBe(before);
  expect(before).toBeGreaterThan(1);
  // The pending page request is cancelled with it, if the host supports that.
  expect([...signals]).toEqual([request.signal]);
});
