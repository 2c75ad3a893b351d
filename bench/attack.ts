/**
 * What honest clients and members lose while the network is attacked: uploads, payments and section
 * messages per second, in a quiet run, with as much and with ten times as much invalid work, and with
 * lying elders.
 *
 * The adversary (tests/adversary) is a separate process. "Once" means as many invalid requests per
 * second as the honest programs completed in the quiet run.
 *
 * On one computer the adversary also takes processor time from all others just by running. So each
 * attack is compared with a run in which a program that sends nothing burns as much processor time
 * (`besideIdle`), and with the quiet run.
 */
import { openHonest, type Honest } from '../tests/adversary/honest.ts';
import { startAdversary, type Adversary } from '../tests/adversary/process.ts';
import { who } from '../tests/adversary/attackers.ts';
import { totalOf } from '../tests/adversary/attempt.ts';
import { openTarget } from '../tests/adversary/target.ts';
import { startNetwork } from '../tests/e2e/support/network.ts';
import { processorSeconds, startBurner } from './support/burner.ts';
import { median, report, row, printLine, type Row } from './support/report.ts';

const secondsEach = Number(process.env['ATTACK_SECONDS'] ?? 30);
const seed = Number(process.env['ATTACK_SEED'] ?? 1);
/**
 * The run with two lying elders is last: the section votes them out, which causes a key generation and
 * a handover, and these dominate the measurement.
 */
const others = who.filter((each) => each !== 'elders');
const stages = [
  { stage: '1x', times: 1, by: others },
  { stage: '10x', times: 10, by: others },
  { stage: '10xElders', times: 10, by: who },
] as const;
const warmRounds = 3;
/** Clients of each kind; each waits for its answer before the next request. */
const lanesOf = { uploads: 2, payments: 1, sectionMessages: 2 } as const;
type Kind = keyof typeof lanesOf;
const kinds = Object.keys(lanesOf) as Kind[];

interface Measured {
  /** Completed per second. */
  readonly rate: Readonly<Record<Kind, number>>;
  /** Median time of one, in milliseconds. */
  readonly took: Readonly<Record<Kind, number>>;
  readonly failed: number;
}

async function measure(honest: Honest, seconds: number): Promise<Measured> {
  const acts: Readonly<Record<Kind, () => Promise<void>>> = {
    uploads: honest.upload,
    payments: honest.pay,
    sectionMessages: honest.sectionMessage,
  };
  const took: Record<Kind, number[]> = { uploads: [], payments: [], sectionMessages: [] };
  let failed = 0;
  const begunMs = performance.now();
  const endMs = begunMs + seconds * 1000;
  const lane = async (kind: Kind): Promise<void> => {
    while (performance.now() < endMs) {
      const startedMs = performance.now();
      try {
        await acts[kind]();
        took[kind].push(performance.now() - startedMs);
      } catch (error) {
        failed += 1;
        printLine(`  ${kind}: ${String(error)}`);
      }
    }
  };
  await Promise.all(
    kinds.flatMap((kind) => Array.from({ length: lanesOf[kind] }, () => lane(kind))),
  );
  const measuredSeconds = (performance.now() - begunMs) / 1000;
  const each = <T>(of: (kind: Kind) => T): Record<Kind, T> =>
    Object.fromEntries(kinds.map((kind) => [kind, of(kind)])) as Record<Kind, T>;
  return {
    rate: each((kind) => took[kind].length / measuredSeconds),
    took: each((kind) => median(took[kind])),
    failed,
  };
}

const rows: Row[] = [];
const network = await startNetwork();
try {
  const target = await openTarget(network.url, network.data);
  const honest = await openHonest(target);
  for (let n = 0; n < warmRounds; n++) {
    await honest.upload();
    await honest.pay();
    await honest.sectionMessage();
  }
  printLine('Quiet …');
  const memoryBefore = (await network.memory()).bytes / 1024 / 1024;
  const baseline = await measure(honest, secondsEach);
  const requestsPerSecond = kinds.reduce((sum, kind) => sum + baseline.rate[kind], 0);
  for (const { stage, times, by } of stages) {
    const perSecond = times * requestsPerSecond;
    printLine(`${stage}: ${perSecond.toFixed(0)} a second by ${by.join(', ')} …`);
    const adversary: Adversary = await startAdversary(network, {
      seed,
      seconds: secondsEach + 2,
      perSecond,
      atOnce: 64,
      who: by,
    });
    const before = processorSeconds(adversary.pid);
    const measured = await measure(honest, secondsEach);
    const share = (processorSeconds(adversary.pid) - before) / secondsEach;
    const total = totalOf(await adversary.ended);
    const made = Object.values(total).reduce((sum, count) => sum + count, 0);
    printLine(
      `As much processor time (${share.toFixed(2)}) taken by a program that sends nothing …`,
    );
    const stopBurner = startBurner(share);
    const burned = await measure(honest, secondsEach);
    stopBurner();
    for (const kind of kinds) {
      const name = `${kind}.beside${stage}`;
      const besideIdle = { name: `${kind}.besideIdle`, value: burned.rate[kind] };
      rows.push(row(`${name}.ofIdle`, measured.rate[kind], 'per second', besideIdle));
      const beside = { name: `${kind}.quiet`, value: baseline.rate[kind] };
      rows.push(row(name, measured.rate[kind], 'per second', beside));
      const usual = { name: `${kind}.quiet.median`, value: baseline.took[kind] };
      rows.push(row(`${name}.median`, measured.took[kind], 'ms', usual));
    }
    rows.push(
      // Measured against the intended rate: a program that is often cut off cannot send more here.
      row(`invalid.${stage}`, made / (secondsEach + 2), 'per second', {
        name: 'intended',
        value: perSecond,
      }),
      row(`invalid.${stage}.ofHonest`, made / (secondsEach + 2), 'per second', {
        name: 'honest requests in the quiet run',
        value: requestsPerSecond,
      }),
      row(`adversary.processors.${stage}`, share, 'of one'),
      row(`honest.failed.${stage}`, measured.failed, 'of all'),
    );
  }
  printLine('Afterwards …');
  const after = await measure(honest, secondsEach / 2);
  for (const kind of kinds) {
    const beside = { name: `${kind}.quiet`, value: baseline.rate[kind] };
    rows.push(row(`${kind}.after`, after.rate[kind], 'per second', beside));
  }
  const memoryAfter = (await network.memory()).bytes / 1024 / 1024;
  rows.push(
    row('memory.after', memoryAfter, 'MiB', { name: 'memory.before', value: memoryBefore }),
  );
  rows.push(row('chunks.missing', await honest.missing(), 'chunks'));
  await Promise.race([honest.stop(), new Promise((go) => setTimeout(go, 3_000))]);
} finally {
  await network.stop();
  network.remove();
}
report('attack', rows);
process.exit(0);
