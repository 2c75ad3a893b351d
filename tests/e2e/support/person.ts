/** A person at a browser profile of their own: does what people do, by role and label. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext, type CDPSession, type Page } from 'playwright-core';

export const chromiumPath = process.env['CHROME_PATH'] ?? '/usr/bin/chromium';
export const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
] as const;
/** Chrome will refuse WebRTC-Direct's changed SDP one day; this makes today that day. */
export const noSdpMangling = '--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/';

export interface Person {
  readonly context: BrowserContext;
  page: Page;
  readonly profile: string;
  readonly close: () => Promise<void>;
  /** Closes the browser and opens it again with the same profile. */
  readonly reopen: () => Promise<Person>;
}

export async function openProfile(
  url: string,
  options: { readonly profile?: string; readonly flags?: readonly string[] } = {},
): Promise<Person> {
  const profile = options.profile ?? mkdtempSync(join(tmpdir(), 'safe-profile-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    args: [...chromiumFlags, ...(options.flags ?? [])],
    acceptDownloads: true,
    viewport: { width: 1280, height: 800 },
  });
  await context.addInitScript(countPeerConnections);
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(30_000);
  await page.goto(url);
  return {
    context,
    page,
    profile,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
    reopen: async () => {
      await context.close();
      return openProfile(url, { ...options, profile });
    },
  };
}

/** Runs in the page before the app: counts the real connections from outside. */
function countPeerConnections(): void {
  const Real = globalThis.RTCPeerConnection;
  const open = new Set<RTCPeerConnection>();
  globalThis.RTCPeerConnection = class extends Real {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      open.add(this);
    }
    override close(): void {
      super.close();
      open.delete(this);
    }
  };
  Object.assign(globalThis, { countOpenPeerConnections: () => open.size });
}

export const openPeerConnections = (page: Page): Promise<number> =>
  page.evaluate(() =>
    (
      globalThis as unknown as { countOpenPeerConnections: () => number }
    ).countOpenPeerConnections(),
  );

export const password = 'violet harbour 41 lantern';

/** Waits until the first visit has stored everything the app needs. */
export const readyForOffline = (page: Page): Promise<void> =>
  page.getByText('Ready for offline', { exact: true }).first().waitFor();

/** Begins to create a Safe and reads the phrase that is shown: well-formed, and nobody's yet. */
export async function showPhrase(page: Page, secret = password): Promise<string> {
  await page.getByRole('button', { name: 'Create a Safe' }).click();
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByLabel('Repeat password').fill(secret);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Show' }).click();
  const items = page.getByRole('list', { name: 'Words to write down' }).getByRole('listitem');
  const words = (await items.allInnerTexts()).map((text) => /[a-z]+/.exec(text)?.[0] ?? '');
  return words.join(' ');
}

/** Creates a Safe by hand; returns its thirteen words. */
export async function createSafe(page: Page, secret = password): Promise<string> {
  const words = await showPhrase(page, secret);
  await page.getByRole('button', { name: 'I wrote it down' }).click();
  await page.getByLabel('Phrase', { exact: true }).fill(words);
  await page.getByRole('button', { name: 'Check and create' }).click();
  await page.getByRole('button', { name: 'Lock', exact: true }).waitFor();
  return words;
}

export async function unlock(page: Page, secret = password): Promise<void> {
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByRole('button', { name: 'Unlock' }).click();
}

export async function openWithPhrase(page: Page, words: string, secret = password): Promise<void> {
  await page.getByRole('button', { name: 'Open my Safe' }).click();
  await page.getByLabel('Phrase', { exact: true }).fill(words);
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByRole('button', { name: 'Unlock' }).click();
}

export const published = (page: Page): Promise<void> =>
  page.getByText('Kept by the network').first().waitFor();

export async function goTo(
  page: Page,
  place: 'Safe' | 'Files' | 'Money' | 'Network',
): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: place }).first().click();
}

/** A file of seeded bytes: not compressible, the same in every run. */
export function makeFile(
  bytes: number,
  seed = 'safe',
): { path: string; name: string; sha256: string } {
  const folder = mkdtempSync(join(tmpdir(), 'safe-file-'));
  const name = `picture-${seed}-${bytes}.bin`;
  const path = join(folder, name);
  const block = 1024 * 1024;
  const whole = Buffer.alloc(bytes);
  for (let at = 0, i = 0; at < bytes; at += block, i++) {
    let chain = createHash('sha512').update(`${seed} ${i}`).digest();
    for (let inner = at; inner < Math.min(at + block, bytes); inner += 64) {
      chain.copy(whole, inner);
      if ((inner & 0xffff) === 0) chain = createHash('sha512').update(chain).digest();
      else chain.writeUInt32LE(inner, 0);
    }
  }
  writeFileSync(path, whole);
  return { path, name, sha256: createHash('sha256').update(whole).digest('hex') };
}

/** Chooses the file on the Files page; does not wait for the transfer. */
export async function addFile(page: Page, path: string): Promise<void> {
  const choosing = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Add files' }).first().click();
  await (await choosing).setFiles(path);
}

/** Waits until a file stands in the list (not among the transfers). */
export const stored = (page: Page, name: string, timeout = 180_000): Promise<void> =>
  page.getByRole('button', { name: `Download ${name}` }).waitFor({ timeout });

/** Downloads the file; returns the SHA-256 of what arrived. */
export async function download(page: Page, name: string, timeout = 180_000): Promise<string> {
  const arriving = page.waitForEvent('download', { timeout });
  await page.getByRole('button', { name: `Download ${name}` }).click();
  const path = await (await arriving).path();
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest('hex');
}

/** Stops the service worker as the browser does when it is idle: all memory is gone. */
export async function stopWorker(page: Page): Promise<void> {
  const session: CDPSession = await page.context().newCDPSession(page);
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await session.detach();
}

/** What the worker says about itself and its network. */
export const networkStatus = (page: Page): Promise<Record<string, never> & NetworkStatus> =>
  page.evaluate(async () => {
    const answer = await fetch('/safe/rpc/status', {
      method: 'POST',
      headers: { 'x-safe-call': '1' },
    });
    return (await answer.json()) as never;
  });

export interface NetworkStatus {
  readonly instance: string;
  readonly trust: string;
  readonly rtc: {
    readonly used: number;
    readonly open: number;
    readonly limit: number;
    readonly host: boolean;
  };
  readonly section: null | {
    readonly elders: readonly {
      readonly name: string;
      readonly road: string | null;
      readonly state: string;
      readonly bytesOut: number;
    }[];
  };
}

export const setRoad = (page: Page, preference: string): Promise<void> =>
  page.evaluate(async (chosen) => {
    await fetch('/safe/rpc/road', {
      method: 'POST',
      headers: { 'x-safe-call': '1' },
      body: JSON.stringify({ preference: chosen }),
    });
  }, preference);
