/**
 * Goal: well-formed lies of any kind, by members and strangers at any time, end no node, blame and
 * remove nobody honest, fill no table, and keep no section from deciding, handing over or splitting.
 * Method: scenarios/lies.ts. Every kind of message that a node accepts is told, read off its codec.
 */
import { expect, test, vi } from 'vitest';
import { payloadKinds } from './adversary/adversary.ts';
import { runLies } from './scenarios/lies.ts';

const seeds = Number(process.env['SEEDS'] ?? 6);
vi.setConfig({ testTimeout: 240_000 });

const told = new Set<string>();

test.for(Array.from({ length: seeds }, (_, i) => i + 1))('seed %i', (seed) => {
  const run = runLies(seed);
  expect(run.violations).toEqual([]);
  for (const kind of run.told.kinds.keys()) told.add(kind);
  // Else strangers would be no part of the story.
  expect(run.bounds.heard.liar).toBeGreaterThan(50);
});

test('every kind of message was told', () => {
  expect(payloadKinds.filter((kind) => !told.has(kind))).toEqual([]);
});
