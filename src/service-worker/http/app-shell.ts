/**
 * Caches the app's own files, so that it opens without a network. A missing hashed asset is answered from
 * the shell of an earlier version while a tab runs that version, else from the network; its 404 is passed
 * on unchanged, never replaced by an HTML page.
 */
import { build, files, version } from '$service-worker';
import { scope } from '../scope.ts';

const shellPrefix = 'safe-shell-';
const cacheName = shellPrefix + version;
const start = '/';
const assets: readonly string[] = [...build, ...files, start];
const known = new Set(assets);
/** Named by a content hash, so files of all versions are distinct. */
const hashed = '/_app/immutable/';

/** Stores every file of this version; the version counts as installed only when all are stored. */
export async function storeShell(): Promise<void> {
  const cache = await caches.open(cacheName);
  await cache.addAll(assets.map((path) => new Request(path, { cache: 'reload' })));
}

/** An entry in this version's cache: ids of tabs that run an earlier version. */
const earlierTabs = '/safe/earlier-tabs';

/**
 * Called when this version takes over: tabs of earlier versions run until they are reloaded, and load parts
 * that only the shells of their versions have.
 */
export async function keepShellsInUse(): Promise<void> {
  const tabs = (await scope.clients.matchAll({ type: 'window', includeUncontrolled: true })).map(
    ({ id }) => id,
  );
  const cache = await caches.open(cacheName);
  await cache.put(earlierTabs, new Response(JSON.stringify(tabs)));
  await dropShellsOutOfUse();
}

/** Deletes the shells of other versions once none of their tabs is open. */
export async function dropShellsOutOfUse(): Promise<void> {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(earlierTabs);
  if (kept === undefined) return;
  const tabs = (await kept.json()) as readonly string[];
  const open = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (open.some(({ id }) => tabs.includes(id))) return;
  for (const name of await caches.keys()) {
    if (name.startsWith(shellPrefix) && name !== cacheName) await caches.delete(name);
  }
  await cache.delete(earlierTabs);
}

export async function shellStored(): Promise<boolean> {
  const cache = await caches.open(cacheName);
  const kept = (await cache.keys()).filter(({ url }) => known.has(new URL(url).pathname));
  return kept.length >= known.size;
}

export const isShell = (request: Request): boolean => {
  const url = new URL(request.url);
  if (url.origin !== scope.location.origin || request.method !== 'GET') return false;
  if (request.mode === 'navigate') return !url.pathname.startsWith('/safe/');
  return known.has(url.pathname) || url.pathname.startsWith(hashed);
};

export async function answerShell(request: Request): Promise<Response> {
  const path = request.mode === 'navigate' ? start : new URL(request.url).pathname;
  const cache = await caches.open(cacheName);
  const kept = await cache.match(path);
  if (request.mode === 'navigate') void dropShellsOutOfUse().catch(() => undefined);
  const earlier = kept === undefined && path.startsWith(hashed) ? caches.match(path) : undefined;
  return kept ?? (await earlier) ?? fetch(request);
}
