/**
 * How a page comes under its service worker, and how it notices that another version has taken over.
 * Nothing here waits for ever: what cannot come about any more is an error for the person to see.
 */
import type { PageToWorker } from '#bridge/worker.ts';

/** A claimed page hears of it at once; where it cannot be claimed, one ordinary load helps. */
const claimMs = 2_000;
const reloadMs = 10_000;

/** Resolves when a version is active. Errors: rejects when the only one there was could not be installed. */
export function activated(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  return new Promise((done, fail) => {
    const look = (): void => {
      if (registration.active !== null) return done(registration.active);
      const coming = registration.waiting ?? registration.installing;
      // What could not be stored whole is given up by the browser, and nothing follows by itself.
      if (coming === null || coming.state === 'redundant') {
        return fail(new Error('the app could not be stored whole'));
      }
      coming.addEventListener('statechange', look, { once: true });
    };
    look();
  });
}

/**
 * Resolves when the worker answers this page's fetches; a hard reload may need one soft one. Errors:
 * rejects when that did not help.
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
      // The page goes away with the reload; if it stays, that was no help either.
      if (alreadyReloaded()) return late();
      setTimeout(late, reloadMs);
      location.reload();
    }, claimMs);
  });
}

/** Marked in the history entry: survives the reload, needs no storage, ends with the tab. */
function alreadyReloaded(): boolean {
  const state = (history.state ?? {}) as { safeReloaded?: boolean };
  if (state.safeReloaded === true) return true;
  history.replaceState({ ...state, safeReloaded: true }, '');
  return false;
}

/**
 * Calls `ready` when another version waits, and when one has taken over that another tab asked for: this
 * page is of the version before, and a reload makes it one of the new.
 */
export function watchUpdates(registration: ServiceWorkerRegistration, ready: () => void): void {
  const workers = navigator.serviceWorker;
  const look = (): void => {
    if (registration.waiting !== null && workers.controller !== null) ready();
  };
  look();
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', look);
  });
  let present = workers.controller;
  workers.addEventListener('controllerchange', () => {
    if (present !== null && workers.controller !== present) ready();
    present = workers.controller;
  });
}

/** Reloads under the version that waits, or at once when it has taken over already. */
export function applyUpdate(registration: ServiceWorkerRegistration | undefined): void {
  const waiting = registration?.waiting ?? null;
  if (waiting === null) return location.reload();
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), {
    once: true,
  });
  waiting.postMessage({ kind: 'applyUpdate' } satisfies PageToWorker);
}
