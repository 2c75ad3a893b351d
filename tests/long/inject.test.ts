/**
 * Goal: as tests/inject, for all call sites of all stories, for up to an hour. Cases and findings
 * are written to docs/measurements/inject-long.json. `INJECT_MINUTES=3` plays for three minutes and
 * writes to the temporary folder instead; `INJECT_STORIES=pays,tabs` plays these again, each for
 * its share of the hour, and replaces their rows.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadLoop } from '../inject/load.ts';
import { sample, seedOfRun, type Sampled } from '../inject/sample.ts';

const wholeMinutes = 55;
const minutes = Number(process.env['INJECT_MINUTES'] ?? wholeMinutes);
const measured = fileURLToPath(
  new URL('../../docs/measurements/inject-long.json', import.meta.url),
);
const result = minutes < wholeMinutes ? join(tmpdir(), 'inject-long.json') : measured;

type Row = Sampled & { readonly story: string };

/** Stories to play; null for all. */
const wanted = process.env['INJECT_STORIES']?.split(',') ?? null;

interface SavedRows {
  readonly wallSeconds: number;
  readonly rows: readonly Row[];
}

/** Rows of earlier runs, without the stories that are played again. */
function savedRows(): SavedRows {
  if (wanted === null || !existsSync(result)) return { wallSeconds: 0, rows: [] };
  const { wallSeconds, rows } = JSON.parse(readFileSync(result, 'utf8')) as SavedRows;
  return { wallSeconds, rows: rows.filter(({ story }) => !wanted.includes(story)) };
}

test('any fault at any call site of any story → nothing is lost', async () => {
  const { loop, close } = await loadLoop();
  const begun = performance.now();
  const rows: Row[] = [];
  const stories = loop.names.filter((name) => wanted?.includes(name) ?? true);
  const share = (minutes * 60_000) / loop.names.length;
  try {
    for (const [at, story] of stories.entries()) {
      // Later stories may use the time that earlier ones leave.
      const left = share * stories.length - (performance.now() - begun);
      const end = performance.now() + left / (stories.length - at);
      const sampled = await sample(loop, story, Infinity, {
        isOver: () => performance.now() > end,
      });
      rows.push({ story, ...sampled });
      console.log(
        `${story}: ${sampled.played} of ${sampled.cases} cases, found ${sampled.found.length}`,
      );
      for (const found of sampled.found) console.log(found);
    }
  } finally {
    await close();
  }
  const before = savedRows();
  const report = {
    what: 'vitest run --project long tests/long/inject.test.ts',
    cores: availableParallelism(),
    seed: seedOfRun,
    wallSeconds: before.wallSeconds + Math.round((performance.now() - begun) / 1_000),
    rows: [...before.rows, ...rows],
  };
  writeFileSync(result, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`written to ${result}`);
  expect(rows.flatMap(({ found }) => found)).toEqual([]);
});
