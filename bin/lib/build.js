/** Builds the PWA when its sources have changed since the last build. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { root, Stop } from './root.js';
import { runTool, step } from './run.js';

const stamp = join(root, 'build', '.stamp');
const files = [
  'package.json',
  'package-lock.json',
  'svelte.config.js',
  'vite.config.ts',
  'tsconfig.json',
];
/** Parts of src that only Node programs run. */
const nodeOnly = ['src/node/', 'src/storage/node/', 'src/network/node-'];

/** A hash of all inputs of the build. */
export function hashOfSources() {
  const hash = createHash('sha256');
  const paths = ['src', 'static'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        relative(root, join(entry.parentPath ?? entry.path, entry.name))
          .split(sep)
          .join('/'),
      ),
  );
  const read = [...files, ...paths.sort()].filter(
    (path) => !nodeOnly.some((prefix) => path.startsWith(prefix)) && existsSync(join(root, path)),
  );
  for (const path of read)
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

/** Runs `svelte-kit sync` when its generated files are missing (types and tests need them). */
export async function ensureSynced() {
  if (existsSync(join(root, '.svelte-kit', 'tsconfig.json'))) return;
  const code = await runTool('@sveltejs/kit/svelte-kit.js', ['sync'], { quiet: true });
  if (code !== 0) throw new Stop('svelte-kit sync failed: its own lines are above.');
}

/** Builds if needed; `force` builds always. */
export async function ensureBuilt({ force = false } = {}) {
  const hash = hashOfSources();
  if (!force && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  await ensureSynced();
  const code = await step('Building the app', () =>
    runTool('vite/bin/vite.js', ['build', '--logLevel', 'warn'], { quiet: true }),
  );
  if (code !== 0) throw new Stop('The build failed: its own lines are above.');
  writeFileSync(stamp, hash);
}
