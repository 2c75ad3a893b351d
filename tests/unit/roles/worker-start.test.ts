/**
 * Goal: a page does not wait for ever for its worker, and every tab is told when another version has taken
 * over. Method: a registration and the worker container of a browser, moved by hand.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  activated,
  applyUpdate,
  controlled,
  watchUpdates,
} from '../../../src/page/worker-start.ts';

class Worker extends EventTarget {
  state = 'installing';
  readonly posted: string[] = [];
  postMessage(message: { readonly kind: string }): void {
    this.posted.push(message.kind);
  }
  become(state: string): void {
    this.state = state;
    this.dispatchEvent(new Event('statechange'));
  }
}
class Registration extends EventTarget {
  installing: Worker | null = null;
  waiting: Worker | null = null;
  active: Worker | null = null;
}
class Container extends EventTarget {
  controller: Worker | null = null;
  take(worker: Worker): void {
    this.controller = worker;
    this.dispatchEvent(new Event('controllerchange'));
  }
}

let container: Container;
let registration: Registration;
let reloads: number;
let entry: object | null;
const given = () => registration as unknown as ServiceWorkerRegistration;
const asWorker = (worker: Worker) => worker as unknown as ServiceWorker;
beforeEach(() => {
  vi.useFakeTimers();
  container = new Container();
  registration = new Registration();
  [reloads, entry] = [0, null];
  vi.stubGlobal('navigator', { serviceWorker: container });
  vi.stubGlobal('location', { reload: () => (reloads += 1) });
  vi.stubGlobal('history', {
    get state() {
      return entry;
    },
    replaceState: (state: object) => (entry = state),
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});
const ended = async (what: Promise<unknown>): Promise<unknown> => {
  let end: unknown = 'waits';
  what.then(
    () => (end = 'done'),
    (error: Error) => (end = error.message),
  );
  await vi.advanceTimersByTimeAsync(60_000);
  return end;
};

test('a first version that cannot be installed is an error, not a wait', async () => {
  const worker = (registration.installing = new Worker());
  const waiting = activated(given());
  registration.installing = null;
  worker.become('redundant');
  expect(await ended(waiting)).toMatch(/could not be stored/);
});

test('a version that is being installed is waited for until it is active', async () => {
  const worker = (registration.installing = new Worker());
  const waiting = activated(given());
  [registration.installing, registration.waiting] = [null, worker];
  worker.become('installed');
  [registration.waiting, registration.active] = [null, worker];
  worker.become('activating');
  await expect(waiting).resolves.toBe(worker);
});

test('a page that cannot be claimed is loaded once more, and then the person is told', async () => {
  const worker = new Worker();
  expect(await ended(controlled(asWorker(worker)))).toMatch(/does not answer/);
  expect([reloads, worker.posted]).toEqual([1, ['claim']]);
  // After the reload, with the same history entry.
  expect(await ended(controlled(asWorker(worker)))).toMatch(/does not answer/);
  expect(reloads).toBe(1);
});

test('a page that is claimed goes on without a reload', async () => {
  const worker = new Worker();
  const waiting = controlled(asWorker(worker));
  container.take(worker);
  expect(await ended(waiting)).toBe('done');
  expect(reloads).toBe(0);
});

test('a tab that did not ask for the update is told of it, and its button reloads it', () => {
  const [first, second] = [new Worker(), new Worker()];
  container.controller = first;
  let told = 0;
  watchUpdates(given(), () => (told += 1));
  // Another tab asked for it: here nothing waits any more.
  container.take(second);
  expect([told, reloads]).toEqual([1, 0]);
  applyUpdate(given());
  expect(reloads).toBe(1);
});

test('the first worker that takes a page over is no update', () => {
  let told = 0;
  watchUpdates(given(), () => (told += 1));
  container.take(new Worker());
  expect(told).toBe(0);
});

test('an update that waits is told, and the tab that asks for it reloads when it is in force', () => {
  const [first, second] = [new Worker(), new Worker()];
  container.controller = first;
  let told = 0;
  watchUpdates(given(), () => (told += 1));
  registration.installing = second;
  registration.dispatchEvent(new Event('updatefound'));
  [registration.installing, registration.waiting] = [null, second];
  second.become('installed');
  expect(told).toBe(1);
  applyUpdate(given());
  expect([second.posted, reloads]).toEqual([['applyUpdate'], 0]);
  container.take(second);
  expect(reloads).toBe(1);
});
