/**
 * Files between a browser and the network, compared with a raw connection: one libp2p stream from the
 * same service worker through the same page to one node in the same process.
 */
import { maxInvalidPerPeer } from '#network/limits/inbound-limits.ts';
import { addFile, download, goTo, makeFile, waitForStored } from '../tests/e2e/support/person.ts';
import { fittedExponent, median, report, row, printLine, type Row } from './support/report.ts';
import { openBrowserBench, type BrowserBench } from './support/browser-bench.ts';

/** MB as on a file's label: 10⁶ bytes. */
const megabyte = 1_000_000;
const sizes = [1, 10, 100] as const;
const roundsFor = { 1: 5, 10: 3, 100: 1 } as const;
const piecesForReplicas = 64;
/** Pieces with a wrong name are invalid requests, which an elder bans after a few. */
const piecesRefused = maxInvalidPerPeer - 1;

interface Took {
  readonly size: number;
  /** Seconds, the median of its rounds. */
  readonly up: number;
  readonly down: number;
  readonly rawUp: number;
  readonly rawDown: number;
}

async function measure(stage: BrowserBench, size: (typeof sizes)[number]): Promise<Took> {
  const { page } = stage.person;
  const bytes = size * megabyte;
  const rounds = { up: [], down: [], rawUp: [], rawDown: [] } as Record<string, number[]>;
  const time = async (name: string, act: () => Promise<unknown>): Promise<void> => {
    const startedMs = performance.now();
    await act();
    rounds[name]?.push((performance.now() - startedMs) / 1000);
  };
  for (let round = 0; round < roundsFor[size]; round++) {
    const file = makeFile(bytes, `bench${round}`);
    for (const direction of ['up', 'down'] as const) {
      const ms = await stage.inWorker('raw', direction, stage.relay, stage.rawPeer, bytes);
      rounds[direction === 'up' ? 'rawUp' : 'rawDown']?.push(ms / 1000);
    }
    await time('up', async () => {
      await addFile(page, file.path);
      await waitForStored(page, file.name);
    });
    await time('down', async () => {
      if ((await download(page, file.name)) !== file.sha256) throw new Error('altered bytes');
    });
  }
  const of = (name: string): number => median(rounds[name] ?? []);
  return { size, up: of('up'), down: of('down'), rawUp: of('rawUp'), rawDown: of('rawDown') };
}

const stage = await openBrowserBench();
const rows: Row[] = [];
try {
  await goTo(stage.person.page, 'Files');
  const took: Took[] = [];
  for (const size of sizes) {
    printLine(`${size} MB …`);
    const one = await measure(stage, size);
    took.push(one);
    for (const direction of ['up', 'down'] as const) {
      const raw = size / (direction === 'up' ? one.rawUp : one.rawDown);
      rows.push(
        row(`file.${direction}.${size}MB`, size / one[direction], 'MB/s', {
          name: `raw.${direction}.${size}MB`,
          value: raw,
        }),
      );
    }
  }
  for (const direction of ['up', 'down'] as const) {
    const raw = direction === 'up' ? 'rawUp' : 'rawDown';
    rows.push(
      row(
        `file.${direction}.exponent`,
        fittedExponent(took.map((one) => [one.size, one[direction]])),
        'of time over size',
        {
          name: `raw.${direction}.exponent`,
          value: fittedExponent(took.map((one) => [one.size, one[raw]])),
        },
      ),
    );
  }
  printLine('Four copies …');
  const [elder = ''] = stage.elders;
  const { relay, networkId, inWorker } = stage;
  const speed = (count: number, ms: number): number => (count * 1.048576) / (ms / 1000);
  const refused = await inWorker('pieces', relay, networkId, elder, piecesRefused, false);
  const kept = await inWorker('pieces', relay, networkId, elder, piecesForReplicas, true);
  rows.push(
    row('pieces.fourCopies', speed(piecesForReplicas, kept), 'MB/s', {
      name: 'pieces.noCopy',
      value: speed(piecesRefused, refused),
    }),
  );
} finally {
  await stage.close();
}
report('files', rows);
process.exit(0);
