/**
 * Goal: effects in order, and every failure reaches the owner of the driver once.
 * Method: a machine that adds numbers, with a disk and jobs that fail on request.
 */
import { beforeEach, expect, test } from 'vitest';
import type { Machine, NodeId } from '#core/machine.ts';
import { startDriver, type Driver, type Ports } from '#runtime/driver.ts';

interface Adding {
  readonly input: number;
  readonly message: number;
  readonly fact: number;
  readonly output: number;
  readonly fault: { readonly kind: string; readonly culprit: NodeId };
  readonly timer: 'tick';
  readonly job: number;
  readonly jobId: 'double';
  readonly result: number;
}
/** An input is doubled by a job; its result is stored, then output. Negative inputs are our bug. */
const adding: Machine<readonly number[], number, Adding> = {
  start: (jobs, facts) => ({
    state: facts.reduce((sum, n) => sum + n, 0),
    effects: [
      { kind: 'setTimer', timer: 'tick', afterMs: 1 },
      ...jobs.map((job) => ({ kind: 'compute', id: 'double', job }) as const),
      { kind: 'persist', fact: 0 },
      { kind: 'output', output: 0 },
    ],
  }),
  step: (_jobs, state, event) => {
    if (event.kind === 'input') {
      if (event.input < 0) throw new Error('invariant broken');
      return { state, effects: [{ kind: 'compute', id: 'double', job: event.input }] };
    }
    if (event.kind !== 'computed') return { state, effects: [] };
    return {
      state: state + event.result,
      effects: [
        { kind: 'persist', fact: event.result },
        { kind: 'output', output: state + event.result },
      ],
    };
  },
};

let outputs: number[];
let failures: string[];
let timers: Set<() => void>;
let diskRefuses: boolean;
let jobsFail: boolean;
beforeEach(() => {
  outputs = [];
  failures = [];
  timers = new Set();
  diskRefuses = false;
  jobsFail = false;
});
const ports: Ports<Adding> = {
  clock: {
    now: () => 0,
    setTimer: (callback) => {
      timers.add(callback);
      return () => void timers.delete(callback);
    },
  },
  randomBytes: (length) => new Uint8Array(length),
  facts: {
    load: async () => [],
    append: async () => {
      await new Promise((turn) => setImmediate(turn));
      if (diskRefuses) throw new Error('no space');
    },
  },
  compute: async (job) => {
    await new Promise((turn) => setImmediate(turn));
    if (jobsFail) throw new Error('job failed');
    return 2 * job;
  },
  transport: { send: () => undefined },
  onOutput: (output) => void outputs.push(output),
  onFault: () => undefined,
  onFailure: (error) => void failures.push((error as Error).message),
};
const settled = async (driver: Driver<Adding>): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((go) => setImmediate(go));
    await driver.idle();
  }
};

test.each([
  ['a fact that cannot be stored', 'no space', 1],
  ['a job that throws', 'job failed', 1],
  ['a broken invariant', 'invariant broken', -1],
])('%s → reported once, and no later event is handled', async (_, what, input) => {
  const driver = await startDriver(adding, [], ports);
  diskRefuses = what === 'no space';
  jobsFail = what === 'job failed';
  driver.push({ kind: 'input', input });
  driver.push({ kind: 'input', input });
  await settled(driver);
  [diskRefuses, jobsFail] = [false, false];
  driver.push({ kind: 'input', input: 1 });
  await settled(driver);
  expect(failures).toEqual([what]);
  expect(outputs).toEqual([0]);
  expect(timers.size).toBe(0);
});

test('a failure after stop → is not reported', async () => {
  const driver = await startDriver(adding, [], ports);
  jobsFail = true;
  driver.push({ kind: 'input', input: 1 });
  await driver.idle();
  driver.stop();
  await settled(driver);
  expect(failures).toEqual([]);
});

test('a first step that cannot be stored → startDriver rejects, and its timers end', async () => {
  diskRefuses = true;
  await expect(startDriver(adding, [1], ports)).rejects.toThrow('no space');
  expect(timers.size).toBe(0);
  expect(outputs).toEqual([]);
});

test('a result that arrives during the first step → handled after its effects', async () => {
  const driver = await startDriver(adding, [1], ports);
  await settled(driver);
  expect(outputs).toEqual([0, 2]);
});

test('a job that throws while the first step stores → startDriver rejects, and nothing follows', async () => {
  jobsFail = true;
  const slowDisk = {
    ...ports.facts,
    append: async () => {
      for (let turn = 0; turn < 3; turn++) await new Promise((go) => setImmediate(go));
    },
  };
  await expect(startDriver(adding, [1], { ...ports, facts: slowDisk })).rejects.toThrow(
    'job failed',
  );
  expect(outputs).toEqual([]);
  expect(failures).toEqual([]);
  expect(timers.size).toBe(0);
});
