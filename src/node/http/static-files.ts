/** Serves the built app over HTTP: content types, caching, and 404 for missing files. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';

export interface StaticAnswer {
  readonly status: 200 | 304 | 404;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

export interface StaticFiles {
  /** The answer for a path of the URL, still percent-encoded; `etag` is the client's. */
  readonly answer: (urlPath: string, etag: string | undefined) => StaticAnswer;
}

/**
 * @param folder the build. Serves only files that are in its listing, by comparing names: a
 * requested path never reaches the file system.
 * @param routes paths of the app's own pages, which all open index.html.
 */
export function openStaticFiles(folder: string, routes: readonly string[]): StaticFiles {
  const paths = new Set(listFiles(folder));
  const pages = new Set(routes);
  const read = createReader();

  return {
    answer: (urlPath, etag) => {
      const path = decodePath(urlPath);
      if (path === undefined) return notFound();
      const page = pages.has(path === '/' ? '/' : path.replace(/\/$/, ''));
      const file = page ? 'index.html' : path.slice(1);
      if (!paths.has(file)) return notFound();
      try {
        const { body, tag } = read(join(folder, file));
        const headers = {
          'content-type': types[extname(file)] ?? 'application/octet-stream',
          // Files with hashed names never change; all others are revalidated.
          'cache-control': file.startsWith('_app/immutable/')
            ? 'public, max-age=31536000, immutable'
            : 'no-cache',
          etag: tag,
        };
        if (etag === tag) return { status: 304, headers, body: Buffer.alloc(0) };
        return { status: 200, headers, body };
      } catch {
        return notFound();
      }
    },
  };
}

interface Copy {
  readonly version: string;
  readonly body: Buffer;
  readonly tag: string;
}

/**
 * Reads a file once, and again when it has changed. All responses share these bytes, however slow
 * their clients are: memory holds the build once, not one copy per connection.
 */
function createReader(): (path: string) => Copy {
  const copies = new Map<string, Copy>();
  return (path) => {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    const version = [ino, size, mtimeMs, ctimeMs].join();
    const kept = copies.get(path);
    if (kept?.version === version) return kept;
    const body = readFileSync(path);
    const tag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    const copy = { version, body, tag };
    copies.set(path, copy);
    return copy;
  };
}

/** The app's pages: every folder of src/routes with a `+page.svelte`. */
export function routesIn(folder: string): readonly string[] {
  return listFiles(folder)
    .filter((path) => path.endsWith('+page.svelte'))
    .map((path) => `/${path.slice(0, -'+page.svelte'.length)}`.replace(/(.)\/$/, '$1'));
}

/** Files below a folder, with `/` between names, without dotfiles. */
function listFiles(folder: string): readonly string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
}

function decodePath(urlPath: string): string | undefined {
  try {
    return decodeURIComponent(urlPath);
  } catch {
    return undefined;
  }
}

const notFound = (): StaticAnswer => ({
  status: 404,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
  body: Buffer.from('Not found.\n'),
});
