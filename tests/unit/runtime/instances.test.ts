/** Goal: keyed instances behave like the driver, one event at a time, and survive disk errors. */
import { beforeEach, expect, test } from 'vitest';
import type { Machine, NodeId } from '#core/machine.ts';
import { createInstances, type InstancePorts } from '#runtime/instances.ts';

/** Adds numbers: a job doubles the number, then the sum is stored and sent to the caller. */
interface Adding {
  readonly input: never;
  readonly message:
    { readonly kind: 'add'; readonly n: number } | { readonly kind: 'sum'; readonly sum: number };
  readonly fact: { readonly kind: 'added'; readonly n: number };
  readonly output: number;
  readonly fault: { readonly kind: string; readonly culprit: NodeId };
  readonly timer: 'late';
  readonly job: number;
  readonly jobId: NodeId;
  readonly result: number;
}
interface Sum {
  readonly sum: number;
  readonly askers: readonly NodeId[];
}
const adding: Machine<null, Sum, Adding> = {
  start: (_config, facts) => ({
    state: { sum: facts.reduce((sum, { n }) => sum + n, 0), askers: [] },
    effects: [],
  }),
  step: (_config, state, event) => {
    if (event.kind === 'received' && event.message.kind === 'add' && event.message.n > 0) {
      const { n } = event.message;
      return {
        state: { ...state, askers: [...state.askers, event.from] },
        effects: [{ kind: 'compute', id: event.from, job: n }],
      };
    }
    if (event.kind !== 'computed') return { state, effects: [] };
    const sum = state.sum + event.result;
    return {
      state: { sum, askers: state.askers.filter((asker) => asker !== event.id) },
      effects: [
        { kind: 'persist', fact: { kind: 'added', n: event.result } },
        { kind: 'send', to: [event.id], message: { kind: 'sum', sum } },
        { kind: 'output', output: sum },
      ],
    };
  },
};

const disk = new Map<string, Adding['fact'][]>();
let outputs: number[];
let failures: unknown[];
let diskRefuses: boolean;
let jobs: (() => void)[] | undefined;
beforeEach(() => {
  disk.clear();
  outputs = [];
  failures = [];
  diskRefuses = false;
  jobs = undefined;
});

const ports: InstancePorts<Adding> = {
  clock: { now: () => 0, setTimer: () => () => undefined },
  randomBytes: (length) => new Uint8Array(length),
  facts: {
    load: async (key) => disk.get(key) ?? [],
    append: async (key, fact) => {
      await Promise.resolve();
      if (diskRefuses) throw new Error('no space');
      disk.set(key, [...(disk.get(key) ?? []), fact]);
    },
  },
  compute: (n) => new Promise((done) => (jobs ? jobs.push(() => done(2 * n)) : done(2 * n))),
  onOutput: (_key, output) => outputs.push(output),
  onFault: () => undefined,
  onFailure: (_key, error) => failures.push(error),
};
const create = () => createInstances(adding, () => null, ports);
const add = (n: number): Adding['message'] => ({ kind: 'add', n });

test('each caller gets its own reply, also with many concurrent callers', async () => {
  const instances = create();
  const answers = await Promise.all([1, 2, 3].map((n) => instances.ask('a', add(n))));
  expect(answers).toEqual([2, 6, 12].map((sum) => ({ ok: true, value: { kind: 'sum', sum } })));
  expect(outputs).toEqual([2, 6, 12]);
});

test('an idle instance leaves memory and continues from its facts', async () => {
  const instances = create();
  await instances.ask('a', add(1));
  await new Promise((turn) => setImmediate(turn));
  expect(instances.size()).toBe(0);
  expect(await instances.ask('a', add(2))).toMatchObject({ value: { sum: 6 } });
});

test('an ignored message is answered with noAnswer', async () => {
  expect(await create().ask('a', add(-1))).toEqual({ ok: false, error: 'noAnswer' });
});

test('keys do not wait for each other', async () => {
  jobs = [];
  const instances = create();
  const slow = instances.ask('a', add(1));
  const fast = instances.ask('b', add(5));
  while (jobs.length < 2) await new Promise((turn) => setImmediate(turn));
  jobs[1]?.();
  expect(await fast).toMatchObject({ value: { sum: 10 } });
  jobs[0]?.();
  expect(await slow).toMatchObject({ value: { sum: 2 } });
});

test('a disk error sends nothing, and the instance is reloaded from its facts', async () => {
  const instances = create();
  await instances.ask('a', add(1));
  diskRefuses = true;
  expect(await instances.ask('a', add(1))).toEqual({ ok: false, error: 'failed' });
  expect(failures).toHaveLength(1);
  expect(outputs).toEqual([2]);
  diskRefuses = false;
  expect(await instances.ask('a', add(1))).toMatchObject({ value: { sum: 4 } });
});

test('too many callers of one key get busy, and stop answers every pending call', async () => {
  jobs = [];
  const instances = create();
  const asked = Array.from({ length: 40 }, () => instances.ask('a', add(1)));
  expect(await asked[39]).toEqual({ ok: false, error: 'busy' });
  instances.stop();
  expect(await asked[0]).toEqual({ ok: false, error: 'failed' });
  expect(await instances.ask('a', add(1))).toEqual({ ok: false, error: 'busy' });
});
