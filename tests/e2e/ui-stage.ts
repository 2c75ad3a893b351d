/** A stage for the screens: the app built over the fake Safe, a plain server, one browser. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize, resolve } from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { SceneName } from './fake-app/scenes.ts';

const root = resolve(import.meta.dirname, '../..');
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

export interface Stage {
  readonly browser: Browser;
  readonly origin: string;
  /** A fresh page in `scene` at `path`, with every complaint of the browser written down. */
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
  readonly complaints: string[];
  readonly close: () => Promise<void>;
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

export async function openStage(): Promise<Stage> {
  const server = await serve();
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  const browser = await launchBrowser();
  return {
    browser,
    origin,
    open: async (scene, path, options = {}) => {
      const context = await browser.newContext({ serviceWorkers: 'block', ...options });
      await context.addInitScript((name) => (window.safeScene = name), scene);
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning')
          complaints.push(`${message.type()}: ${message.text()}`);
      });
      page.on('request', (request) => {
        const foreign =
          !request.url().startsWith(origin) && !/^(data|blob|about):/.test(request.url());
        if (foreign) complaints.push(`foreign request: ${request.url()}`);
      });
      await page.goto(origin + path);
      await page.locator('main').waitFor();
      await page.waitForFunction(() => window.safeFake !== undefined);
      return { page, complaints, close: () => context.close() };
    },
    close: async () => {
      await browser.close();
      await new Promise((done) => server.close(done));
    },
  };
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
