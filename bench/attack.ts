/**
 * What honest people and members lose while the network is attacked: uploads, payments and section
 * messages per second, quiet and beside once and ten times as much invalid work; and with lying elders in it.
 *
 * The adversary (tests/adversary) is a process of its own. "Once" means as many invalid requests per
 * second as the honest programs completed in the quiet run.
 *
 * On one machine the adversary also takes processor time from everybody by running at all. So each
 * attack stands beside a run with as much processor time burned by a program that sends nothing
 * (`besideIdle`), as well as beside the quiet run.
 */
import { openHonest, type Honest } from '../tests/adversary/honest.ts';
import { startAdversary, type Adversary } from '../tests/adversary/process.ts';
import { who } from '../tests/adversary/attackers.ts';
import { totalOf } from '../tests/adversary/attempt.ts';
import { openTarget } from '../tests/adversary/target.ts';
import { startNetwork } from '../tests/e2e/support/network.ts';
import { processorSeconds, startBurner } from './support/burner.ts';
import { median, report, row, say, type Row } from './support/report.ts';

const secondsEach = Number(process.env['ATTACK_SECONDS'] ?? 30);
const seed = Number(process.env['ATTACK_SEED'] ?? 1);
/**
 * Two lying elders come last and by themselves: the section votes them out, which ends in a key generation and
 * a handover, and what is measured then is mostly these.
 */
const others = who.filter((each) => each !== 'elders');
const stages = [
  { stage: '1x', times: 1, by: others },
  { stage: '10x', times: 10, by: others },
  { stage: '10xElders', times: 10, by: who },
] as const;
const warmRounds = 3;
/** Of each kind at once: a client that waits for its answer before it asks again. */
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
        say(`  ${kind}: ${String(error)}`);
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
  say('Quiet …');
  const memoryBefore = (await network.memory()).bytes / 1024 / 1024;
  const quiet = await measure(honest, secondsEach);
  const requestsPerSecond = kinds.reduce((sum, kind) => sum + quiet.rate[kind], 0);
  for (const { stage, times, by } of stages) {
    const perSecond = times * requestsPerSecond;
    say(`${stage}: ${perSecond.toFixed(0)} a second by ${by.join(', ')} …`);
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
    say(`As much processor time (${share.toFixed(2)}) taken by a program that sends nothing …`);
    const stopBurner = startBurner(share);
    const burned = await measure(honest, secondsEach);
    stopBurner();
    for (const kind of kinds) {
      const name = `${kind}.beside${stage}`;
      const besideIdle = { name: `${kind}.besideIdle`, value: burned.rate[kind] };
      rows.push(row(`${name}.ofIdle`, measured.rate[kind], 'per second', besideIdle));
      const beside = { name: `${kind}.quiet`, value: quiet.rate[kind] };
      rows.push(row(name, measured.rate[kind], 'per second', beside));
      const usual = { name: `${kind}.quiet.median`, value: quiet.took[kind] };
      rows.push(row(`${name}.median`, measured.took[kind], 'ms', usual));
    }
    rows.push(
      // Of what was intended: a program that is cut off again and again makes no more on this machine.
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
  say('Afterwards …');
  const after = await measure(honest, secondsEach / 2);
  for (const kind of kinds) {
    const beside = { name: `${kind}.quiet`, value: quiet.rate[kind] };
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
