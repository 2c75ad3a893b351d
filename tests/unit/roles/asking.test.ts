/**
 * Goal: reading the way ends, however slowly an elder shows it: with the request that needs it, and after
 * a few times the wait for one page (N31).
 * Method: an elder that gives one genuine link per page, and takes its time.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { err, ok } from '#core/result.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import { decodeDoorRequest, encodeClientReply } from '#roles/wire/client.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { genesis, only, succeed, type Living } from '../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { createAsking } = await import('../../../src/service-worker/asking.ts');
const { openKnownSections } = await import('../../../src/service-worker/known-sections.ts');

const born = genesis('asking', 2);
const links = 30;
let last: Living = born;
for (let n = 0; n < links; n++) last = only(succeed(last, `a${n}`).children);
const elder = { name: new Uint8Array(32).fill(1) };
const place = new Uint8Array(32);
const timeoutMs = 1_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** @param takesMs how long each page takes */
function reading(takesMs: number) {
  const known = openKnownSections(
    born.anchor,
    { pins: async () => undefined, keepPins: async () => undefined },
    () => undefined,
  );
  let asked = 0;
  const signals = new Set<AbortSignal | undefined>();
  const asking = createAsking({
    host: {
      ask: async (_, bytes, __, signal) => {
        asked += 1;
        signals.add(signal);
        const request = decodeDoorRequest(bytes);
        if (!request.ok || request.value.kind !== 'section') return err({ kind: 'unreachable' });
        const { from } = request.value;
        await new Promise((go) => setTimeout(go, takesMs));
        const at = last.chain.findIndex(({ record }) => equalBytes(record.parentKey, from));
        const page = { links: last.chain.slice(at, at + 1), authority: null };
        return ok(encodeClientReply({ kind: 'proof', proof: encodeProof(page), records: [] }));
      },
      resting: () => false,
    },
    known,
    whoAnswers: { note: () => undefined },
    preference: () => 'automatic',
    loaded: async () => Promise.reject(new Error('nothing is waited for')),
    refresh: async () => undefined,
    rememberRoad: () => undefined,
  });
  return { asking, signals, asked: () => asked, keys: () => known.tree().keys.size };
}

test('an elder that shows one link per page, slowly, is left after a few times the wait for one page', async () => {
  const { asking, asked, keys } = reading(900);
  let ended: boolean | undefined;
  void asking.readPages(elder, place, timeoutMs).then((arrived) => (ended = arrived));
  await vi.advanceTimersByTimeAsync(6_000);
  expect(ended).toBe(false);
  expect(asked()).toBeLessThan(links / 2);
  // What it did show is genuine, and kept: the next reading goes on from there.
  expect(keys()).toBeGreaterThan(3);
});

test('reading stops when the request that needs it is given up', async () => {
  const { asking, asked, signals } = reading(100);
  const request = new AbortController();
  let ended: boolean | undefined;
  void asking
    .readPages(elder, place, timeoutMs, request.signal)
    .then((arrived) => (ended = arrived));
  await vi.advanceTimersByTimeAsync(250);
  const before = asked();
  request.abort();
  await vi.advanceTimersByTimeAsync(200);
  expect(ended).toBe(false);
  expect(asked()).toBe(before);
  expect(before).toBeGreaterThan(1);
  // The page under way is given up with it, where the host can.
  expect([...signals]).toEqual([request.signal]);
});
