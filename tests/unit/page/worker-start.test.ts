/**
 * Goal: a page never waits for its worker for ever, and every tab is notified when another version has
 * taken over. Method: a registration and a worker container, driven by hand.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Workbox } from 'workbox-window';
import {
  activated,
  applyUpdate,
  controlled,
  watchUpdates,
} from '../../../src/page/worker-start.ts';

const script = 'https://safe.test/service-worker.js';
class Worker extends EventTarget {
  state = 'installing';
  readonly scriptURL = script;
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
  register = async (): Promise<Registration> => registration;
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
  vi.stubGlobal('location', { href: `${script}/..`, pathname: '/', reload: () => (reloads += 1) });
  vi.stubGlobal('self', globalThis);
  vi.stubGlobal('document', { baseURI: 'https://safe.test/', readyState: 'complete' });
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

test('a version being installed is awaited until it is active', async () => {
  const worker = (registration.installing = new Worker());
  const waiting = activated(given());
  [registration.installing, registration.waiting] = [null, worker];
  worker.become('installed');
  [registration.waiting, registration.active] = [null, worker];
  worker.become('activating');
  await expect(waiting).resolves.toBe(worker);
});

test('a page that cannot be claimed is reloaded once, then an error is shown', async () => {
  const worker = new Worker();
  expect(await ended(controlled(asWorker(worker)))).toMatch(/does not answer/);
  expect([reloads, worker.posted]).toEqual([1, ['claim']]);
  // After the reload, with the same history entry.
  expect(await ended(controlled(asWorker(worker)))).toMatch(/does not answer/);
  expect(reloads).toBe(1);
});

test('a claimed page continues without a reload', async () => {
  const worker = new Worker();
  const waiting = controlled(asWorker(worker));
  container.take(worker);
  expect(await ended(waiting)).toBe('done');
  expect(reloads).toBe(0);
});

/** The page's own registration, with the library's events. */
async function watch(ready: () => void): Promise<void> {
  const workbox = new Workbox('/service-worker.js');
  watchUpdates(workbox, ready);
  await workbox.register({ immediate: true });
}

test('a tab that did not request the update shows it, and its button reloads', async () => {
  const [first, second] = [new Worker(), new Worker()];
  container.controller = first;
  let told = 0;
  await watch(() => (told += 1));
  // Another tab requested it: here none is waiting any longer.
  container.take(second);
  expect([told, reloads]).toEqual([1, 0]);
  applyUpdate(given());
  expect(reloads).toBe(1);
});

test('the first worker that claims a page is no update', async () => {
  let told = 0;
  await watch(() => (told += 1));
  container.take(new Worker());
  expect(told).toBe(0);
});

test('a waiting update is shown, and the tab that requests it reloads once it is active', async () => {
  const [first, second] = [new Worker(), new Worker()];
  container.controller = first;
  let told = 0;
  await watch(() => (told += 1));
  registration.installing = second;
  registration.dispatchEvent(new Event('updatefound'));
  [registration.installing, registration.waiting] = [null, second];
  second.become('installed');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toBe(1);
  applyUpdate(given());
  expect([second.posted, reloads]).toEqual([['applyUpdate'], 0]);
  container.take(second);
  expect(reloads).toBe(1);
});
