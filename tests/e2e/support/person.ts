/** A person with a browser profile: acts by role and label. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext, type CDPSession, type Page } from 'playwright-core';
import {
  callHeader,
  rpcPath,
  type NetworkView,
  type TransportPreference,
} from '#bridge/worker-messages.ts';
import {
  workerCalls,
  type CallInput,
  type CallOutput,
  type WorkerCallName,
} from '#bridge/worker-calls.ts';
import { patienceMs } from './until.ts';

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
/** Chrome will refuse WebRTC-Direct's changed SDP one day; this simulates it. */
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
  page.setDefaultTimeout(patienceMs);
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

/** Runs in the page before the app: counts the real connections. */
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

/** Starts to create a Safe and reads the new phrase: well-formed, and not yet in use. */
export async function showPhrase(page: Page, secret = password): Promise<string> {
  await page.getByRole('button', { name: 'Create a Safe' }).click();
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByLabel('Repeat password').fill(secret);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'Your phrase' }).waitFor();
  await page.getByRole('button', { name: 'Show' }).click();
  const items = page.getByRole('list', { name: 'Words to write down' }).getByRole('listitem');
  const words = (await items.allInnerTexts()).map((text) => /[a-z]+/.exec(text)?.[0] ?? '');
  return words.join(' ');
}

/** Creates a Safe by hand; returns its thirteen words. */
export async function createSafeInPage(page: Page, secret = password): Promise<string> {
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

export const waitForPublished = (page: Page): Promise<void> =>
  page.getByText('Kept by the network').first().waitFor();

export async function goTo(
  page: Page,
  place: 'Safe' | 'Files' | 'Money' | 'Network',
): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: place }).first().click();
}

/** A file of seeded bytes: incompressible, the same in every run. */
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

/** Waits until the list (not the transfers) shows a file. */
export const waitForStored = (page: Page, name: string, timeout = patienceMs): Promise<void> =>
  page.getByRole('button', { name: `Download ${name}` }).waitFor({ timeout });

/** Downloads the file; returns the SHA-256 of the received bytes. */
export async function download(page: Page, name: string, timeout = patienceMs): Promise<string> {
  const arriving = page.waitForEvent('download', { timeout });
  await page.getByRole('button', { name: `Download ${name}` }).click();
  const path = await (await arriving).path();
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest('hex');
}

/** Stops the service worker like an idle browser does: all memory is lost. */
export async function stopWorker(page: Page): Promise<void> {
  const session: CDPSession = await page.context().newCDPSession(page);
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await session.detach();
}

/** A call of the page to its worker, written and read by the same table. Errors: throws the failure's text. */
export async function callWorker<Name extends WorkerCallName>(
  page: Page,
  name: Name,
  input: CallInput<Name>,
): Promise<CallOutput<Name>> {
  const body = Buffer.from(workerCalls[name].in.encode(input)).toString('base64');
  const { ok, text } = await page.evaluate(
    async ([path, header, sent]) => {
      const bytes = Uint8Array.from(atob(sent ?? ''), (c) => c.charCodeAt(0));
      const headers = { [header ?? '']: '1' };
      const answer = await fetch(path ?? '', { method: 'POST', headers, body: bytes });
      const got = new Uint8Array(await answer.arrayBuffer());
      return { ok: answer.ok, text: Array.from(got, (b) => String.fromCharCode(b)).join('') };
    },
    [rpcPath + name, callHeader, body] as const,
  );
  const output = ok ? workerCalls[name].out.decode(Buffer.from(text, 'latin1')) : undefined;
  if (output === undefined) throw new Error(text);
  return output;
}

/** The worker's status of itself and its network. */
export const networkStatus = (page: Page): Promise<NetworkView> =>
  callWorker(page, 'status', { look: false });

export const setTransport = async (page: Page, preference: TransportPreference): Promise<void> =>
  void (await callWorker(page, 'transport', { preference }));

/** Of the section this device asks first. */
export const elderNames = async (page: Page): Promise<readonly Uint8Array[]> =>
  ((await networkStatus(page)).section?.elders ?? []).map(({ name }) => Buffer.from(name, 'hex'));
