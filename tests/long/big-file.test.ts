/**
 * Goal: a file of 1 GB is uploaded and downloaded byte for byte, and neither keeps it in memory.
 * `SAFE_LONG_MB` makes it smaller for a trial run; only the full size is written to docs.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from '../e2e/support/network.ts';
import {
  addFile,
  createSafeInPage,
  download,
  goTo,
  openProfile,
  waitForPublished,
  readyForOffline,
  waitForStored,
  type Person,
} from '../e2e/support/person.ts';
import { pssOfBrowser, samplePss, type Pss } from './browser-memory.ts';

const mebibyte = 1024 * 1024;
const fullSize = 1_000_000_000;
const size = Number(process.env['SAFE_LONG_MB'] ?? fullSize / 1_000_000) * 1_000_000;
const mayGrowBytes = 256 * mebibyte;
const patienceMs = 40 * 60_000;
const results = resolve(import.meta.dirname, '../../docs/measurements/test-long.json');

let network: TestNetwork;
let person: Person;
let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'safe-long-'));
  network = await startNetwork();
  person = await openProfile(network.url);
  await readyForOffline(person.page);
  await createSafeInPage(person.page);
  await waitForPublished(person.page);
  await goTo(person.page, 'Files');
});

afterAll(async () => {
  await person?.close();
  await network?.stop();
  network?.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Writes and hashes incompressible bytes. */
async function writeBigFile(path: string): Promise<string> {
  const stream = createWriteStream(path);
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 1), Buffer.alloc(16));
  const hash = createHash('sha256');
  const zeros = Buffer.alloc(mebibyte);
  for (let at = 0; at < size; at += mebibyte) {
    const part = cipher.update(zeros.subarray(0, Math.min(mebibyte, size - at)));
    hash.update(part);
    if (!stream.write(part)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'finish');
  return hash.digest('hex');
}

const inMebibytes = (bytes: number): number => Math.round(bytes / mebibyte);

interface Transfer {
  readonly seconds: number;
  readonly megabytesPerSecond: number;
  readonly pssGrowthMiB: number;
  /** Sum over all processes of the browser. */
  readonly browserPssGrowthMiB: number;
  /** The renderers' mean growth in each tenth of the time: a leak climbs, garbage does not. */
  readonly meanGrowthMiBByTenth: readonly number[];
  readonly samples: number;
}

/** Runs one transfer and measures its time and how far memory rose above `before`. */
async function measured(before: Pss, run: () => Promise<void>): Promise<Transfer> {
  const sampler = samplePss(person.profile, 1_000);
  const startedMs = performance.now();
  try {
    await run();
  } catch (error) {
    sampler.stop();
    throw error;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const { highest, tenths, count } = sampler.stop();
  return {
    seconds: Math.round(seconds),
    megabytesPerSecond: Number((size / 1e6 / seconds).toFixed(2)),
    pssGrowthMiB: inMebibytes(highest.renderers - before.renderers),
    browserPssGrowthMiB: inMebibytes(highest.browser - before.browser),
    meanGrowthMiBByTenth: tenths.map((mean) => inMebibytes(mean - before.renderers)),
    samples: count,
  };
}

test(
  '1 GB uploaded and downloaded → the same bytes, less than 256 MiB more memory in the browser',
  async () => {
    const path = join(folder, 'big.bin');
    const sha256 = await writeBigFile(path);
    const before = pssOfBrowser(person.profile);
    expect(before.renderers).toBeGreaterThan(10 * mebibyte);

    const up = await measured(before, async () => {
      await addFile(person.page, path);
      await waitForStored(person.page, 'big.bin', patienceMs);
    });
    console.log('up', up);
    let arrived = '';
    const down = await measured(before, async () => {
      arrived = await download(person.page, 'big.bin', patienceMs);
    });
    console.log('down', down);

    const result = {
      test: 'big-file',
      at: new Date().toISOString(),
      bytes: size,
      sha256Equal: arrived === sha256,
      pssBeforeMiB: inMebibytes(before.renderers),
      up,
      down,
      machine: { cores: availableParallelism(), loadAfter: loadavg()[0] },
    };
    if (size === fullSize) writeFileSync(results, `${JSON.stringify(result, null, 2)}\n`);
    expect(arrived).toBe(sha256);
    for (const { samples, seconds } of [up, down]) expect(samples).toBeGreaterThan(seconds / 3);
    expect(Math.max(up.pssGrowthMiB, down.pssGrowthMiB)).toBeLessThan(inMebibytes(mayGrowBytes));
  },
  2 * patienceMs,
);
