/**
 * Goal: a tab of an earlier version finds its own parts until it is reloaded, and shells without a tab are
 * deleted. Method: the browser's caches, clients and network as tables.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const build = vi.hoisted(() => ({ version: '1', build: [] as string[] }));
vi.mock('$service-worker', () => ({
  get version() {
    return build.version;
  },
  get build() {
    return build.build;
  },
  files: ['/icon.png'],
}));
const tabs: string[] = [];
vi.mock('../../../src/service-worker/scope.ts', () => ({
  scope: {
    location: { origin: 'http://localhost' },
    clients: { matchAll: async () => tabs.map((id) => ({ id })) },
  },
}));

type Kept = Map<string, string>;
let stored: Map<string, Kept>;
const pathOf = (asked: string | Request): string =>
  new URL(typeof asked === 'string' ? asked : asked.url, 'http://localhost').pathname;
const cacheOf = (kept: Kept) => ({
  addAll: async (requests: readonly Request[]) => {
    for (const each of requests) kept.set(pathOf(each), `${build.version} ${pathOf(each)}`);
  },
  put: async (path: string, answer: Response) => void kept.set(path, await answer.text()),
  match: async (asked: string | Request) => {
    const text = kept.get(pathOf(asked));
    return text === undefined ? undefined : new Response(text);
  },
  delete: async (path: string) => kept.delete(path),
  keys: async () => [...kept.keys()].map((path) => ({ url: `http://localhost${path}` })),
});
beforeEach(() => {
  stored = new Map();
  tabs.splice(0);
  vi.stubGlobal('caches', {
    open: async (name: string) => {
      const kept: Kept = stored.get(name) ?? new Map<string, string>();
      stored.set(name, kept);
      return cacheOf(kept);
    },
    keys: async () => [...stored.keys()],
    delete: async (name: string) => stored.delete(name),
    match: async (asked: string) => {
      for (const kept of stored.values()) {
        const found = await cacheOf(kept).match(asked);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  });
  vi.stubGlobal('fetch', async () => new Response('gone', { status: 404 }));
  const Real = Request;
  vi.stubGlobal(
    'Request',
    class extends Real {
      constructor(input: string, init?: RequestInit) {
        super(new URL(input, 'http://localhost'), init);
      }
    },
  );
});
afterEach(() => void vi.unstubAllGlobals());

/** The worker of a version right after its installation. */
async function install(version: string) {
  build.version = version;
  build.build = [`/_app/immutable/part.${version}.js`];
  vi.resetModules();
  const shell = await import('../../../src/service-worker/http/app-shell.ts');
  await shell.storeShell();
  return shell;
}
const part = (version: string) => new Request(`/_app/immutable/part.${version}.js`);
const page = (): Request =>
  Object.defineProperty(new Request('/'), 'mode', { value: 'navigate' }) as Request;

test('an open tab of an earlier version finds its parts, also after two updates', async () => {
  await (await install('1')).keepShellsInUse();
  tabs.push('old tab');
  await (await install('2')).keepShellsInUse();
  const shell = await install('3');
  await shell.keepShellsInUse();
  expect(shell.isShell(part('1'))).toBe(true);
  for (const version of ['1', '2', '3']) {
    const answer = await shell.answerShell(part(version));
    expect(await answer.text()).toBe(`${version} /_app/immutable/part.${version}.js`);
  }
  // A page always belongs to the active version.
  expect(await (await shell.answerShell(page())).text()).toBe('3 /');
});

test('when the last tab of an earlier version closes, only the current shell is kept', async () => {
  await (await install('1')).keepShellsInUse();
  tabs.push('old tab', 'another');
  const shell = await install('2');
  await shell.keepShellsInUse();
  expect(await shell.shellStored()).toBe(true);
  tabs.splice(0, 2, 'another', 'of the new version');
  await shell.dropShellsOutOfUse();
  expect([...stored.keys()]).toEqual(['safe-shell-1', 'safe-shell-2']);
  tabs.splice(0, 1);
  await shell.answerShell(page());
  await vi.waitFor(() => expect([...stored.keys()]).toEqual(['safe-shell-2']), { timeout: 20_000 });
  expect((await shell.answerShell(part('1'))).status).toBe(404);
  expect(await shell.shellStored()).toBe(true);
});

test('without an open tab, other shells are deleted immediately, and an incomplete shell is not stored', async () => {
  await (await install('1')).keepShellsInUse();
  const shell = await install('2');
  await shell.keepShellsInUse();
  expect([...stored.keys()]).toEqual(['safe-shell-2']);
  tabs.push('a tab');
  await shell.keepShellsInUse();
  stored.get('safe-shell-2')?.delete('/icon.png');
  expect(await shell.shellStored()).toBe(false);
});
