/**
 * Brings a page under its service worker, and detects that another version has taken over. Nothing here
 * waits for ever: whatever can no longer happen is an error for the person to see.
 */
import type { Workbox } from 'workbox-window';
import type { PageToWorker } from '#bridge/worker-messages.ts';

/** A claimed page is notified immediately; if it cannot be claimed, one ordinary load helps. */
const claimMs = 2_000;
const reloadMs = 10_000;

/** Resolves when a version is active. Errors: rejects when the only version could not be installed. */
export function activated(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  return new Promise((done, fail) => {
    const check = (): void => {
      if (registration.active !== null) return done(registration.active);
      const candidate = registration.waiting ?? registration.installing;
      // The browser gives up a version that could not be stored completely, and does not retry.
      if (candidate === null || candidate.state === 'redundant') {
        return fail(new Error('the app could not be stored whole'));
      }
      candidate.addEventListener('statechange', check, { once: true });
    };
    check();
  });
}

/**
 * Resolves when the worker answers this page's fetches; after a hard reload that may need one soft reload.
 * Errors: rejects when that did not help.
 */
export async function controlled(active: ServiceWorker): Promise<void> {
  const workers = navigator.serviceWorker;
  if (workers.controller !== null) return;
  await new Promise<void>((done, fail) => {
    workers.addEventListener('controllerchange', () => done(), { once: true });
    active.postMessage({ kind: 'claim' } satisfies PageToWorker);
    setTimeout(() => {
      if (workers.controller !== null) return done();
      const late = (): void => fail(new Error('it does not answer this page'));
      // The reload ends this page; if the page is still here, the reload failed.
      if (alreadyReloaded()) return late();
      setTimeout(late, reloadMs);
      location.reload();
    }, claimMs);
  });
}

/** Stored in the history entry: survives the reload, needs no storage, ends with the tab. */
function alreadyReloaded(): boolean {
  const state = (history.state ?? {}) as { safeReloaded?: boolean };
  if (state.safeReloaded === true) return true;
  history.replaceState({ ...state, safeReloaded: true }, '');
  return false;
}

/**
 * Calls `ready` when another version waits, and when one has taken over at another tab's request: this page
 * runs the previous version until its person reloads it. Call it before the registration.
 */
export function watchUpdates(workbox: Pick<Workbox, 'addEventListener'>, ready: () => void): void {
  const workers = navigator.serviceWorker;
  let current = workers.controller;
  workbox.addEventListener('waiting', () => {
    if (workers.controller !== null) ready();
  });
  workbox.addEventListener('controlling', () => {
    if (current !== null && workers.controller !== current) ready();
    current = workers.controller;
  });
}

/** Reloads under the waiting version, or immediately when it has already taken over. */
export function applyUpdate(registration: ServiceWorkerRegistration | undefined): void {
  const waiting = registration?.waiting ?? null;
  if (waiting === null) return location.reload();
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), {
    once: true,
  });
  waiting.postMessage({ kind: 'applyUpdate' } satisfies PageToWorker);
}
