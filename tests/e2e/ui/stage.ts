/** A stage for the screens: the app built over the fake Safe, a plain server, one browser. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize, resolve } from 'node:path';
import { promisify } from 'node:util';
import {
  chromium,
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
} from 'playwright-core';
import type { SceneName } from '../fake-app/scenes.ts';

const root = resolve(import.meta.dirname, '../../..');
const built = join(root, 'test-results/fake-app');

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
};

/** A browser for every test: Debian's Chromium, quiet and without a sandbox of its own. */
export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env['CHROME_PATH'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

export interface UiStage {
  /** `path` loaded anew in `scene`; records every complaint of the browser. */
  readonly open: (
    scene: SceneName,
    path: string,
    options?: BrowserContextOptions,
  ) => Promise<Shown>;
  readonly close: () => Promise<void>;
}

export interface Shown {
  readonly page: Page;
  /** Script errors, refused content (CSP, Trusted Types), failed or foreign requests. */
  readonly complaints: readonly string[];
}

/** One for all tests with the same options: a new one takes as long as the test itself. */
interface Tab {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Of the page shown now. */
  complaints: string[];
}

export async function buildStage(): Promise<void> {
  const vite = join(root, 'node_modules/vite/bin/vite.js');
  await promisify(execFile)(
    process.execPath,
    [vite, 'build', '--mode', 'fake', '--logLevel', 'error'],
    {
      cwd: root,
      env: {
        ...process.env,
        SAFE_BUILD: 'test-results/fake-app',
        VITEST: '',
        SAFE_VERSION: 'fake',
        NODE_ENV: 'production',
      },
    },
  );
}

export async function openUiStage(): Promise<UiStage> {
  const server = await serve();
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  const browser = await launchBrowser();
  const tabs = new Map<string, Tab>();
  return {
    open: async (scene, path, options = {}) => {
      const look = JSON.stringify(options);
      const tab = tabs.get(look) ?? (await openTab(browser, origin, options));
      tabs.set(look, tab);
      tab.complaints = [];
      const { context, page, complaints } = tab;
      const { colorScheme = null, reducedMotion = null, forcedColors = null } = options;
      await page.emulateMedia({ media: null, colorScheme, reducedMotion, forcedColors });
      await context.addCookies([{ name: 'scene', value: scene, url: origin }]);
      await page.goto(origin + path);
      await page.locator('main').waitFor();
      await page.waitForFunction(() => window.safeFake !== undefined);
      return { page, complaints };
    },
    close: async () => {
      await browser.close();
      await new Promise((done) => server.close(done));
    },
  };
}

async function openTab(
  browser: Browser,
  origin: string,
  options: BrowserContextOptions,
): Promise<Tab> {
  const context = await browser.newContext({ serviceWorkers: 'block', ...options });
  await context.addInitScript(() => {
    window.safeScene = /scene=([^;]*)/.exec(document.cookie)?.[1] as SceneName;
  });
  const page = await context.newPage();
  const tab: Tab = { context, page, complaints: [] };
  page.on('pageerror', (error) => tab.complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      tab.complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('request', (request) => {
    const foreign = !request.url().startsWith(origin) && !/^(data|blob|about):/.test(request.url());
    if (foreign) tab.complaints.push(`foreign request: ${request.url()}`);
  });
  return tab;
}

async function serve(): Promise<Server> {
  const shell = await readFile(join(built, 'index.html'));
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://stage').pathname);
    readFile(join(built, path)).then(
      (body) =>
        response.writeHead(200, { 'content-type': types[extname(path)] ?? 'text/plain' }).end(body),
      () =>
        extname(path) === ''
          ? response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(shell)
          : response.writeHead(404).end(),
    );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return server;
}
