/** Goal: slow readers hold no copies of a file, and a new build is served immediately. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStaticFiles } from '#node/http/static-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-static-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('all readers of a file share one copy, and a changed file is read again', () => {
  const path = join(folder, 'app.js');
  writeFileSync(path, 'old');
  const files = openStaticFiles(folder, []);
  const first = files.answer('/app.js', undefined);
  expect(first.body.toString()).toBe('old');
  for (let n = 0; n < 20; n++) expect(files.answer('/app.js', undefined).body).toBe(first.body);
  expect(files.answer('/app.js', first.headers['etag']).status).toBe(304);
  writeFileSync(path, 'newer');
  const second = files.answer('/app.js', first.headers['etag']);
  expect(second.status).toBe(200);
  expect(second.body.toString()).toBe('newer');
  rmSync(path);
  expect(files.answer('/app.js', undefined).status).toBe(404);
});
