/** Goal: the curves and pairings of a payment never block a node's main thread. */
import { afterAll, expect, test } from 'vitest';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { genesisCoin, addCoin, emptyWallet, planPayment, spendable } from '#safe/wallet/index.ts';
import { addressOf } from '#money/wallet-address.ts';
import { singleSectionKeys } from '#money/spend-certificate.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import { decodeTransaction, slotName } from '#money/transaction.ts';
import { performSpentbookJob, type SpentbookJob } from '#protocol/spentbook/index.ts';
import { createJobPool } from '#runtime/jobs/job-pool.ts';

const pool = createJobPool(1);
afterAll(() => pool.stop());

/** A real PREPARE of the network's first coin, as an elder's slot gives it to the pool. */
function prepareJob(): SpentbookJob {
  const keys = walletKeys(new Uint8Array(32).fill(3));
  const secretShare = new Uint8Array(32).fill(5);
  const section = {
    networkId: new Uint8Array(32).fill(1),
    prefix: { bitCount: 0, bits: new Uint8Array(32) },
    key: blsSuite.publicKey(secretShare),
    epoch: 0n,
    genesisOutput: {
      oneTimeKey: genesisKeyPair(keys.seed.reveal()).oneTimeKey,
      amount: 1000n,
    },
  };
  const first = genesisCoin(keys, section);
  if (first === null) throw new Error('the first coin is ours');
  const planned = planPayment({
    keys,
    networkId: section.networkId,
    coins: spendable(addCoin(emptyWallet, first.coin, first.source, 0)),
    address: addressOf(walletKeys(new Uint8Array(32).fill(4))),
    amount: 10n,
    memo: new Uint8Array(),
    entropy: new Uint8Array(32).fill(9),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  const { transaction, sources } = planned.value.bundle;
  const decoded = decodeTransaction(transaction);
  if (!decoded.ok) throw new Error(decoded.error);
  const slot = slotName(decoded.value.inputs[0]?.keyImage ?? new Uint8Array(32));
  const known = singleSectionKeys(section);
  const spend = { ballot: 0, slot, transaction, sources };
  return {
    kind: 'prepare',
    section,
    secretShare,
    known,
    bound: null,
    top: null,
    ...spend,
  };
}

test('a job in a thread has the same result as here', async () => {
  const job = prepareJob();
  const result = await pool.run('spentbook', job);
  expect(result.kind).toBe('shared');
  expect(result).toEqual(performSpentbookJob(job, blsSuite));
});

/** Milliseconds that this thread has computed. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

test('while payments are checked no turn of the event loop takes 50 ms', async () => {
  const job = prepareJob();
  await pool.run('spentbook', job); // Warms up the thread.
  // Time on a core, as the system may pause us on a busy machine. The best of five: a collection of
  // garbage is no part of a payment.
  let best = Infinity;
  for (let n = 0; n < 5; n++) {
    let longest = 0;
    let last = threadMs();
    let over = false;
    const running = Promise.all(Array.from({ length: 8 }, () => pool.run('spentbook', job))).then(
      () => {
        over = true;
      },
    );
    while (!over) {
      await new Promise((turn) => setImmediate(turn));
      const now = threadMs();
      longest = Math.max(longest, now - last);
      last = now;
    }
    await running;
    best = Math.min(best, longest);
  }
  expect(best).toBeLessThan(50);
});

test('a job that throws fails alone, and the thread continues', async () => {
  await expect(pool.run('spentbook', { kind: 'nonsense' } as never)).rejects.toThrow();
  expect((await pool.run('spentbook', prepareJob())).kind).toBe('shared');
});

test('a stopped pool rejects jobs', async () => {
  const other = createJobPool(1);
  await other.stop();
  await expect(other.run('spentbook', prepareJob())).rejects.toThrow('stopped');
});

const { section, known } = prepareJob();
const ofSection = { kind: 'check', section, known, entries: [] } as const;

test("the section's jobs do not wait behind those of clients, and clients are not starved", async () => {
  const one = createJobPool(1);
  const order: string[] = [];
  const client = prepareJob();
  const all = [
    ...Array.from({ length: 12 }, (_, n) =>
      one.run('spentbook', client).then(() => order.push(`client ${n}`)),
    ),
    ...Array.from({ length: 8 }, (_, n) =>
      one.run('snapshot', ofSection).then(() => order.push(`section ${n}`)),
    ),
  ];
  await Promise.all(all);
  await one.stop();
  // The first had started before the section's came; then four section jobs per client job.
  expect(order.slice(0, 10)).toEqual([
    ...['client 0', 'section 0', 'section 1', 'section 2', 'section 3', 'client 1'],
    ...['section 4', 'section 5', 'section 6', 'section 7'],
  ]);
});

test("clients never occupy all threads, so the section's next job starts immediately", async () => {
  const two = createJobPool(2);
  await Promise.all([two.run('snapshot', ofSection), two.run('spentbook', prepareJob())]);
  const order: string[] = [];
  const flood = Array.from({ length: 10 }, (_, n) =>
    two.run('spentbook', prepareJob()).then(() => order.push(`client ${n}`)),
  );
  await two.run('snapshot', ofSection).then(() => order.push('section'));
  expect(order.length).toBeLessThanOrEqual(2);
  await Promise.all(flood);
  await two.stop();
});
