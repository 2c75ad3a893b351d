/**
 * Goal: unknown peers, a lying client, a lying adult and two lying elders attack a real local
 * network; its process survives, it accepts no invalid work, and everything that honest clients and
 * members do meanwhile succeeds.
 * Method: the adversary is a separate process and attacks for `ATTACK_SECONDS` (20); the seed is
 * printed, `ATTACK_SEED` repeats it.
 */
import { toHex } from '#core/codec/bytes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNetwork, type TestNetwork } from '../e2e/support/network.ts';
import { until } from '../e2e/support/until.ts';
import type { Tally } from './attempt.ts';
import { startAdversary } from './process.ts';
import { openHonest, type Honest } from './honest.ts';
import { openTarget, type Target } from './target.ts';

const seed = Number(process.env['ATTACK_SEED'] ?? Date.now() % 1_000_000);
const seconds = Number(process.env['ATTACK_SECONDS'] ?? 20);
const attemptsPerSecond = 60;
const mayGrowBytes = 32 * 1024 * 1024;
/** Time for requests in progress to end and for half-open handshakes to reach their limits. */
const settleWithinMs = 60_000;

let network: TestNetwork;
let target: Target;
let honest: Honest;

beforeAll(async () => {
  console.log(`attack seed ${seed}, ${seconds} s`);
  network = await startNetwork();
  target = await openTarget(network.url, network.data);
  honest = await openHonest(target);
});
afterAll(async () => {
  await honest?.stop();
  await network?.stop();
  network?.remove();
});

/** Repeats the three honest acts until `stop`; each must succeed. */
function keepWorking(): { readonly stop: () => Promise<Record<string, number>> } {
  let working = true;
  const done: Record<string, number> = { uploads: 0, payments: 0, sectionMessages: 0 };
  const lane = async (name: string, act: () => Promise<void>, pauseMs: number): Promise<void> => {
    while (working) {
      await act();
      done[name] = (done[name] ?? 0) + 1;
      await new Promise((go) => setTimeout(go, pauseMs));
    }
  };
  const lanes = Promise.all([
    lane('uploads', honest.upload, 100),
    lane('payments', honest.pay, 100),
    lane('sectionMessages', honest.sectionMessage, 100),
  ]);
  // `stop` awaits it; until then a rejection must not count as unhandled.
  lanes.catch(() => undefined);
  return {
    stop: async () => {
      working = false;
      await lanes;
      return done;
    },
  };
}

test('unknown peers, a lying client, a lying adult and two lying elders → honest work succeeds', async () => {
  // Warm up: caches, threads and connections that stay open are not leaks.
  for (const act of [honest.upload, honest.pay, honest.sectionMessage]) await act();
  const before = await network.memory();
  const pid = network.pid();

  // The adult's own process serves from a falsified disk, while the adversary acts with its key.
  await network.adult(5, 'lie');
  const adversary = await startAdversary(network, { seed, seconds, perSecond: attemptsPerSecond });
  const work = keepWorking();
  const tally = await adversary.ended;
  const done = await work.stop();
  console.log(`honest meanwhile: ${JSON.stringify(done)}`);
  report(tally);

  expect(network.pid()).toBe(pid);
  for (const [name, counts] of Object.entries(tally)) {
    if (!adversary.harmless.includes(name)) expect(counts.served, name).toBe(0);
  }
  expect(Object.keys(tally).length).toBeGreaterThan(30);
  for (const [name, times] of Object.entries(done)) expect(times, name).toBeGreaterThan(0);
  expect(await honest.missing()).toBe(0);

  // No honest node was blamed, and no machine failed.
  const liars = new Set(
    ['adult-6', 'elder-6', 'elder-7'].map((label) => toHex(target.node(label).name)),
  );
  const members = new Set(target.nodes.map(({ name }) => toHex(name)));
  const log = network.log();
  expect(log).not.toContain('machineFailed');
  for (const line of log.split('\n').filter((each) => each.includes('"blamed"'))) {
    const { peer = '' } = JSON.parse(line) as { peer?: string };
    expect(members.has(peer) && !liars.has(peer), line).toBe(false);
  }

  await honest.upload();
  await honest.pay();
  const after = await until(
    network.memory,
    ({ bytes }) => bytes - before.bytes <= mayGrowBytes,
    settleWithinMs,
  );
  console.log(
    `memory after a collection: ${((after.bytes - before.bytes) / 1024 / 1024).toFixed(1)} MiB more`,
  );
}, 240_000);

function report(tally: Tally): void {
  for (const [name, { refused, served, cut, unanswered }] of Object.entries(tally).sort()) {
    console.log(
      `${name}: refused ${refused}, served ${served}, cut ${cut}, unanswered ${unanswered}`,
    );
  }
}
