/**
 * The app's own files, kept so that it opens without a network. A missing hashed asset is answered
 * from the network, and its 404 is passed on as it is: never an HTML page in place of a script.
 */
import { build, files, version } from '$service-worker';
import { scope } from './scope.ts';

const cacheName = `safe-shell-${version}`;
const start = '/';
const assets: readonly string[] = [...build, ...files, start];
const known = new Set(assets);

/** Stores every file of this version; the version counts as installed only when all are there. */
export async function storeShell(): Promise<void> {
  const cache = await caches.open(cacheName);
  await cache.addAll(assets.map((path) => new Request(path, { cache: 'reload' })));
}

/** Drops the shells of other versions. */
export async function dropOldShells(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith('safe-shell-') && name !== cacheName) await caches.delete(name);
  }
}

export async function shellStored(): Promise<boolean> {
  const cache = await caches.open(cacheName);
  return (await cache.keys()).length >= known.size;
}

export const isShell = (request: Request): boolean => {
  const url = new URL(request.url);
  if (url.origin !== scope.location.origin || request.method !== 'GET') return false;
  return request.mode === 'navigate' ? !url.pathname.startsWith('/safe/') : known.has(url.pathname);
};

export async function answerShell(request: Request): Promise<Response> {
  const path = request.mode === 'navigate' ? start : new URL(request.url).pathname;
  const cache = await caches.open(cacheName);
  const kept = await cache.match(path);
  return kept ?? fetch(request);
}
