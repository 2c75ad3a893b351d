/**
 * Goal: well-formed lies of any kind, by members and unknown peers at any time, crash no node, get
 * no honest node blamed or removed, fill no table, and stop no section from deciding, handing over
 * or splitting.
 * Method: scenarios/lies.ts. Every kind of message that a node accepts is sent, read from its
 * codec.
 */
import { expect, test, vi } from 'vitest';
import { payloadKinds } from './adversary.ts';
import { bounded } from './bounds.ts';
import { runLies } from '../scenarios/lies.ts';

const seeds = Number(process.env['SEEDS'] ?? 6);
vi.setConfig({ testTimeout: 240_000 });

const sent = new Set<string>();
const measured = new Set<string>();

test.for(Array.from({ length: seeds }, (_, i) => i + 1))('seed %i', (seed) => {
  const run = runLies(seed);
  expect(run.violations).toEqual([]);
  for (const kind of run.sent.kinds.keys()) sent.add(kind);
  for (const path of run.bounds.measured) measured.add(path);
  // Otherwise the run would not test lies.
  expect(run.bounds.received.liar).toBeGreaterThan(50);
});

test('every kind of message was sent', () => {
  expect(payloadKinds.filter((kind) => !sent.has(kind))).toEqual([]);
});

test('every table with its own limit was measured', () => {
  expect(bounded.map(([path]) => path).filter((path) => !measured.has(path))).toEqual([]);
});
