/** Goal: the log is bounded and contains only allowed fields. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLog, type LogLine } from '#node/monitoring/log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a line is JSON with a time and without unlisted fields', () => {
  const log = openLog(folder);
  log.write({ event: 'refused', kind: 'slot', amount: 5, seed: 'x', name: 'taxes.pdf' } as LogLine);
  log.close();
  const line = JSON.parse(readFileSync(join(folder, 'safe.log'), 'utf8')) as Record<
    string,
    unknown
  >;
  expect(Object.keys(line)).toEqual(['at', 'event', 'kind']);
});

test('at most five files, none larger than the limit', () => {
  const log = openLog(folder, { maxFileBytes: 500, filesKept: 5 });
  for (let n = 0; n < 100; n++) log.write({ event: 'tick', count: n });
  log.close();
  const files = readdirSync(folder).sort();
  expect(files).toEqual(['safe.log', 'safe.log.1', 'safe.log.2', 'safe.log.3', 'safe.log.4']);
  for (const file of files) expect(statSync(join(folder, file)).size).toBeLessThanOrEqual(500);
  expect(readFileSync(join(folder, 'safe.log'), 'utf8')).toContain('"count":99');
});

test('after a failed rotation no line goes into another file', () => {
  const log = openLog(folder, { maxFileBytes: 200, filesKept: 5 });
  mkdirSync(join(folder, 'safe.log.4')); // It cannot be removed as a file.
  for (let n = 0; n < 5; n++) log.write({ event: 'tick', count: n });
  const other = openSync(join(folder, 'facts'), 'a');
  for (let n = 0; n < 5; n++) log.write({ event: 'tick', count: n });
  expect(readFileSync(join(folder, 'facts'), 'utf8')).toBe('');
  writeSync(other, 'fact');
  closeSync(other);
  expect(readFileSync(join(folder, 'facts'), 'utf8')).toBe('fact');
  rmSync(join(folder, 'safe.log.4'), { recursive: true });
  log.write({ event: 'again' });
  log.close();
  expect(readFileSync(join(folder, 'safe.log'), 'utf8')).toContain('again');
});
