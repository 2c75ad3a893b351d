/** Goal: an unfinished upload belongs to one Safe of one network, and resumes or ends on request. */
import { expect, test } from 'vitest';
import { PIECE_BYTES } from '#data/chunk.ts';
import type { PlanRecord } from '#storage/browser/vault-store.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  patterned,
  readAs,
  wait,
  type Browser,
  type Tab,
} from './world.ts';

const password = goodPassword;
const size = 4 * PIECE_BYTES;
const bytes = patterned(size);
const fileOf = (name = 'film.mp4'): File => new File([bytes], name, { lastModified: 1 });

async function openedSafe(browser: Browser) {
  const tab = openTab(browser);
  const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
  await tab.ask({ kind: 'createSafe', words, password });
  await tab.until(openWith((view) => view.published === 'published'));
  return { tab, words };
}

/** Two pieces are stored, then the tab is locked. */
async function halfUploaded(browser: Browser, tab: Tab): Promise<void> {
  let stored = 0;
  browser.intercept = async (call) => {
    if (call === 'chunk/put' && ++stored > 2) await new Promise(() => undefined);
  };
  await tab.ask({ kind: 'upload', file: fileOf() });
  await tab.until(
    openWith(
      ({ transfers: [first] }) => first?.state === 'sending' && first.doneBytes === 2 * PIECE_BYTES,
    ),
  );
  await wait(20);
  await tab.ask({ kind: 'lock' });
  browser.intercept = () => undefined;
}

const waitingFiles = (tab: Tab): readonly string[] => {
  const view = tab.view();
  return isOpen(view) ? view.transfers.map(({ name }) => name) : [];
};

async function readWhole(browser: Browser, tab: Tab, transferId: string): Promise<boolean> {
  await tab.ask({ kind: 'resumeUpload', transferId, file: fileOf() });
  const view = await tab.until(
    openWith(({ files, transfers }) => files.length === 1 && transfers.length === 0),
  );
  const { url } = await tab.ask({ kind: 'openFile', fileId: view.files[0]?.id ?? '' });
  return Buffer.compare(await readAs(browser, url), bytes) === 0;
}

test('the same phrase on a second network does not count pieces of the first as stored', async () => {
  const browser = createBrowser(createNetwork('home'));
  const first = await openedSafe(browser);
  await halfUploaded(browser, first.tab);
  const home = browser.network;
  browser.network = createNetwork('elsewhere');
  const abroad = openTab(browser);
  await abroad.ask({ kind: 'createSafe', words: first.words, password });
  await abroad.until(openWith((view) => view.published === 'published'));
  expect(waitingFiles(abroad)).toEqual([]);
  // Nor does forgetting the Safe there delete the plan.
  await abroad.ask({ kind: 'forget', evenUnsaved: false });
  expect(browser.plans.size).toBe(1);

  browser.network = home;
  const back = openTab(browser);
  await back.ask({ kind: 'unlockHere', password });
  const view = await back.until(openWith(({ transfers }) => transfers.length === 1));
  expect(view.transfers[0]?.doneBytes).toBe(2 * PIECE_BYTES);
  expect(await readWhole(browser, back, view.transfers[0]?.id ?? '')).toBe(true);
});

test('a plan of version 0.1 resumes, and of two Safes of one phrase neither trusts its pieces', async () => {
  const browser = createBrowser(createNetwork('home'));
  const { tab, words } = await openedSafe(browser);
  await halfUploaded(browser, tab);
  for (const [id, { owner, sealed }] of browser.plans) browser.plans.set(id, { id, owner, sealed });
  const again = openTab(browser);
  await again.ask({ kind: 'unlockHere', password });
  const alone = await again.until(openWith(({ transfers }) => transfers.length === 1));
  expect(alone.transfers[0]?.doneBytes).toBe(2 * PIECE_BYTES);
  await again.ask({ kind: 'lock' });

  browser.network = createNetwork('elsewhere');
  const abroad = openTab(browser);
  await abroad.ask({ kind: 'createSafe', words, password });
  const view = await abroad.until(
    openWith(({ transfers, published }) => transfers.length === 1 && published === 'published'),
  );
  expect(view.transfers[0]?.doneBytes).toBe(0);
  expect(await readWhole(browser, abroad, view.transfers[0]?.id ?? '')).toBe(true);
});

test('a plan that cannot be decrypted is left alone: it may belong to a newer app or another password', async () => {
  const browser = createBrowser(createNetwork('home'));
  const { tab } = await openedSafe(browser);
  const [record] = await browser.store.listSafes();
  const strange: PlanRecord = {
    id: 'aa',
    owner: record?.owner ?? '',
    network: null,
    sealed: patterned(99),
  };
  await browser.store.putPlan(strange);
  await tab.ask({ kind: 'lock' });
  await tab.ask({ kind: 'unlockHere', password });
  await tab.until(isOpen);
  expect(waitingFiles(tab)).toEqual([]);
  expect(await browser.store.listPlans(strange.owner)).toEqual([strange]);
});

test('an upload finished in a second tab after its file was removed does not restore the file', async () => {
  const browser = createBrowser(createNetwork('home'));
  const { tab } = await openedSafe(browser);
  await halfUploaded(browser, tab);
  await tab.ask({ kind: 'unlockHere', password });
  const second = openTab(browser);
  await second.ask({ kind: 'unlockHere', password });
  const view = await second.until(openWith(({ transfers }) => transfers.length === 1));
  const transferId = view.transfers[0]?.id ?? '';
  let release: () => void = () => undefined;
  const held = new Promise<void>((done) => (release = done));
  const { getPlan } = browser.store;
  let looks = 0;
  // The second tab has sent everything, and waits before it writes the list.
  Object.assign(browser.store, {
    getPlan: async (id: string) => {
      const plan = await getPlan(id);
      if (++looks === 2) await held;
      return plan;
    },
  });
  await second.ask({ kind: 'resumeUpload', transferId, file: fileOf() });
  await second.until(openWith(({ transfers }) => transfers[0]?.doneBytes === size));
  while (looks < 2) await wait(5);
  await tab.ask({ kind: 'resumeUpload', transferId, file: fileOf() });
  const { files } = await tab.until(openWith((each) => each.files.length === 1));
  await tab.ask({ kind: 'removeFile', fileId: files[0]?.id ?? '' });
  release();
  await second.until(openWith(({ transfers }) => transfers.length === 0));
  await second.ask({ kind: 'refresh' });
  const after = await second.until(openWith(({ removedFiles }) => removedFiles.length === 1));
  expect(after.files).toEqual([]);
});

test('an upload cancelled in another tab ends without a file', async () => {
  const browser = createBrowser(createNetwork('home'));
  const { tab } = await openedSafe(browser);
  await halfUploaded(browser, tab);
  await tab.ask({ kind: 'unlockHere', password });
  const view = await tab.until(openWith(({ transfers }) => transfers.length === 1));
  const transferId = view.transfers[0]?.id ?? '';
  const second = openTab(browser);
  await second.ask({ kind: 'unlockHere', password });
  let puts = 0;
  browser.intercept = async (call) => {
    if (call === 'chunk/put' && ++puts === 2)
      await second.ask({ kind: 'cancelUpload', transferId });
  };
  await tab.ask({ kind: 'resumeUpload', transferId, file: fileOf() });
  const after = await tab.until(openWith(({ transfers }) => transfers.length === 0));
  expect(after.files).toEqual([]);
  expect(browser.plans.size).toBe(0);
  expect(await browser.store.listPieces(transferId)).toEqual(new Map());
});

test('a short read of a file system is detected', async () => {
  const browser = createBrowser(createNetwork('home'));
  const { tab } = await openedSafe(browser);
  const file = fileOf();
  const slice = file.slice.bind(file);
  file.slice = (from = 0, to = 0) => slice(from, from === 0 ? to : to - 1);
  await tab.ask({ kind: 'upload', file });
  const view = await tab.until(openWith(({ transfers }) => transfers[0]?.state === 'failed'));
  expect(view.files).toEqual([]);
  expect(view.transfers[0]?.sentence).toContain('not the one');
});

test('retrying an upload that failed before it was planned clears the failure', async () => {
  const browser = createBrowser(createNetwork('home'));
  const { tab } = await openedSafe(browser);
  const unreadable = fileOf();
  unreadable.slice = () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) as never;
  await tab.ask({ kind: 'upload', file: unreadable });
  const view = await tab.until(openWith(({ transfers }) => transfers[0]?.state === 'failed'));
  const transferId = view.transfers[0]?.id ?? '';
  await tab.ask({ kind: 'resumeUpload', transferId, file: fileOf() });
  const now = tab.view();
  expect(now.kind === 'open' ? now.transfers.map(({ state }) => state) : []).not.toContain(
    'failed',
  );
  await tab.until(openWith(({ files }) => files.length === 1));
});
