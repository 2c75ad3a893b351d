/**
 * Goal: choosing a password never waits for ever for the dictionaries, and a second try can succeed. Method:
 * the client over workers driven by hand.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { passwordStrength } from '#safe/credentials/strength.ts';
import { createGuessClient } from '../../../src/vault/guesses/guess-client.ts';

type Handlers = Pick<Worker, 'onmessage' | 'onerror' | 'onmessageerror'>;
class FakeWorker implements Handlers {
  onmessage: Worker['onmessage'] = null;
  onerror: Worker['onerror'] = null;
  onmessageerror: Worker['onmessageerror'] = null;
  readonly asked: string[] = [];
  ended = false;
  postMessage(password: string): void {
    this.asked.push(password);
  }
  terminate(): void {
    this.ended = true;
  }
  answer(log10: unknown): void {
    this.onmessage?.call(this as never, { data: log10 } as MessageEvent);
  }
  fail(): void {
    this.onerror?.call(this as never, {} as ErrorEvent);
  }
  answerUnreadably(): void {
    this.onmessageerror?.call(this as never, {} as MessageEvent);
  }
}

let workers: FakeWorker[];
const open = () =>
  createGuessClient(() => {
    const worker = new FakeWorker();
    workers.push(worker);
    return worker;
  });
const turn = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
beforeEach(() => {
  vi.useFakeTimers();
  workers = [];
});
afterEach(() => void vi.useRealTimers());

test('the words are loaded for the first password, asked in order, and freed when idle', async () => {
  const estimate = open();
  expect(workers).toHaveLength(0);
  const both = Promise.all([estimate('one'), estimate('two')]);
  await turn();
  expect(workers[0]?.asked).toEqual(['one']);
  workers[0]?.answer(3);
  await turn();
  workers[0]?.answer(5);
  expect(await both).toEqual([3, 5]);
  await vi.advanceTimersByTimeAsync(61_000);
  expect(workers.map(({ ended }) => ended)).toEqual([true]);
});

test('words that cannot be loaded are a sentence with a next step; trying again loads them anew', async () => {
  const estimate = open();
  const refused = expect(passwordStrength('violet harbour 41', estimate)).rejects.toMatchObject({
    kind: 'offline',
    message: expect.stringMatching(/could not be loaded.* try again\.$/) as string,
  });
  await turn();
  workers[0]?.fail();
  await refused;
  expect(workers[0]?.ended).toBe(true);
  const again = passwordStrength('violet harbour 41', estimate);
  await turn();
  workers[1]?.answer(11);
  expect((await again).acceptable).toBe(true);
});

test('words that never arrive end the wait after a minute', async () => {
  const refused = expect(open()('one')).rejects.toMatchObject({ kind: 'offline' });
  await vi.advanceTimersByTimeAsync(61_000);
  await refused;
  expect(workers[0]?.ended).toBe(true);
});

test('an answer that cannot be read ends the wait at once', async () => {
  const refused = expect(open()('one')).rejects.toMatchObject({ kind: 'offline' });
  await turn();
  workers[0]?.answerUnreadably();
  await refused;
  expect(workers[0]?.ended).toBe(true);
});

test('of waiting passwords only the newest is estimated, and the same password once', async () => {
  const estimate = open();
  const [first, old, ...newest] = ['one', 'two', 'three', 'three'].map(async (each) =>
    estimate(each),
  );
  const superseded = expect(old).rejects.toMatchObject({ kind: 'busy' });
  await superseded;
  workers[0]?.answer(3);
  expect(await first).toBe(3);
  await turn();
  workers[0]?.answer(7);
  expect(await Promise.all(newest)).toEqual([7, 7]);
  expect(workers[0]?.asked).toEqual(['one', 'three']);
});

test('a worker that cannot be started is a failure like words that cannot be loaded', async () => {
  const refuse = () => {
    throw new DOMException('blocked', 'SecurityError');
  };
  for (const start of [refuse, () => null]) {
    await expect(createGuessClient(start)('one')).rejects.toMatchObject({ kind: 'offline' });
  }
});

test('a short password needs no words', async () => {
  expect((await passwordStrength('short', open())).sentence).toBe('Use at least 8 characters.');
  expect(workers).toHaveLength(0);
});
