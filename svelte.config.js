import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import adapter from '@sveltejs/adapter-static';

/**
 * A name made of what is built, not of when: building the same sources twice gives the same
 * service worker, so nobody is asked to take an update that changes nothing.
 */
function nameOfSources() {
  const hash = createHash('sha256');
  for (const folder of ['src', 'static']) {
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const path of paths) hash.update(path).update('\0').update(readFileSync(path));
  }
  return hash.update(readFileSync('package-lock.json')).digest('hex').slice(0, 16);
}

// Kit loads this file again in the processes it starts; all of one build must hear one name, even
// when somebody saves a file meanwhile.
process.env.SAFE_VERSION ??= nameOfSources();

/** @type {import('@sveltejs/kit').Config} */
export default {
  kit: {
    // A build for tests leaves the app's own build alone.
    outDir: process.env.SAFE_BUILD ? 'test-results/svelte-kit' : '.svelte-kit',
    adapter: adapter({
      pages: process.env.SAFE_BUILD ?? 'build',
      assets: process.env.SAFE_BUILD ?? 'build',
      fallback: 'index.html',
    }),
    // The page registers the worker itself: it must know when the first visit is stored.
    serviceWorker: { register: false },
    version: { name: process.env.SAFE_VERSION, pollInterval: 0 },
    csp: {
      mode: 'hash',
      directives: {
        'default-src': ['self'],
        // WebAssembly only: Argon2id. No eval, no inline script beyond Kit's hashed starter.
        'script-src': ['self', 'wasm-unsafe-eval'],
        'style-src': ['self'],
        // One style attribute, word for word: Kit's route announcer hides itself with it.
        'style-src-attr': ['unsafe-hashes', 'sha256-S8qMpvofolR8Mpjy4kQvEm7m1q8clzU4dfDH0AmvZjo='],
        'img-src': ['self', 'blob:', 'data:'],
        // Elders are reached by WebSocket at hosts the network names.
        'connect-src': ['self', 'ws:', 'wss:'],
        'worker-src': ['self'],
        'manifest-src': ['self'],
        'object-src': ['none'],
        'base-uri': ['none'],
        'form-action': ['self'],
        'require-trusted-types-for': ['script'],
        // `default` is ui/shell/trusted-urls.ts: it lets two kinds of worker address through.
        'trusted-types': ['svelte-trusted-html', 'default'],
      },
    },
  },
};
