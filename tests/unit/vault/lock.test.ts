/** Goal: Lock ends everything. Nothing is signed, encrypted, sent or given away with wiped keys. */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { pointerAddress } from '#data/pointer-record.ts';
import { StrongKey } from '#safe/credentials/derive-root-keys.ts';
import {
  createBrowser,
  createNetwork,
  goodPassword,
  isOpen,
  openTab,
  openWith,
  patterned,
  wait,
  type Browser,
  type FakeNetwork,
  type Tab,
} from './world.ts';

const fileOf = (name: string, size = 1000): File => new File([patterned(size)], name);
const password = goodPassword;
const newWords = async (tab: Tab): Promise<string> =>
  (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
const isLocked = (view: ReturnType<Tab['view']>): view is typeof view => view.kind === 'locked';
/** Long enough for everything still running to finish. */
const settle = (): Promise<void> => wait(60);

async function openedSafe(names: readonly string[] = []) {
  const network = createNetwork('home');
  const browser = createBrowser(network);
  const tab = openTab(browser);
  const words = await newWords(tab);
  await tab.ask({ kind: 'createSafe', words, password });
  for (const name of names) await tab.ask({ kind: 'upload', file: fileOf(name) });
  await tab.until(published(names.length));
  return { network, browser, tab, words };
}

const published = (files: number) =>
  openWith(
    (view) =>
      view.files.length === files && view.transfers.length === 0 && view.published === 'published',
  );

const idOf = (tab: Tab, at = 0): string => {
  const view = tab.view();
  return (isOpen(view) ? view.files[at]?.id : undefined) ?? '';
};

const namesIn = (tab: Tab): readonly string[] => {
  const view = tab.view();
  return isOpen(view) ? view.files.map(({ name }) => name).sort() : [];
};

/** The address of a Safe whose member key is zeros: anyone can compute it and decrypt its content. */
function readableByAnybody(network: FakeNetwork): boolean {
  const { owner } = StrongKey.fromDevice(new Uint8Array(32));
  return network.pointers.has(toHex(pointerAddress(network.networkId, owner)));
}

/** A fresh tab opens the Safe with its password, and lists these files after one exchange. */
async function expectWhole(browser: Browser, names: readonly string[]): Promise<void> {
  const tab = openTab(browser);
  await tab.until(isLocked);
  await tab.ask({ kind: 'unlockHere', password });
  await tab.ask({ kind: 'refresh' });
  await tab.until(published(names.length));
  expect(namesIn(tab)).toEqual([...names].sort());
  await tab.ask({ kind: 'lock' });
}

/** Locks the tab inside the first call of this name, then answers it normally. */
function lockDuring(browser: Browser, tab: Tab, call: string): void {
  let armed = true;
  browser.intercept = async (name) => {
    if (!armed || name !== call) return;
    armed = false;
    await tab.ask({ kind: 'lock' });
  };
}

test('a new Safe locked during its first network exchange publishes nothing', async () => {
  const network = createNetwork('home');
  const browser = createBrowser(network);
  const tab = openTab(browser);
  lockDuring(browser, tab, 'pointer/get');
  await tab.ask({ kind: 'createSafe', words: await newWords(tab), password });
  await tab.until(isLocked);
  await settle();
  expect(network.pointers.size).toBe(0);
  await expectWhole(browser, []);
});

test('a Safe locked while its large list is being sent leaves nothing readable without its keys', async () => {
  const names = Array.from({ length: 70 }, (_, i) => `tax return ${i} ${'n'.repeat(900)}`);
  const { network, browser, tab } = await openedSafe(names);
  const at = network.pointers.size;
  lockDuring(browser, tab, 'chunk/put');
  const gone = idOf(tab);
  const [first] = namesIn(tab).filter((_, i) => i === 0);
  expect(first).toBeDefined();
  const view = tab.view();
  const name = isOpen(view) ? view.files.find(({ id }) => id === gone)?.name : undefined;
  await tab.ask({ kind: 'removeFile', fileId: gone });
  await tab.until(isLocked);
  await settle();
  expect(readableByAnybody(network)).toBe(false);
  expect(network.pointers.size).toBe(at);
  await expectWhole(
    browser,
    names.filter((each) => each !== name),
  );
});

test('a Safe locked while it merges another device’s change publishes nothing', async () => {
  const { network, browser, tab, words } = await openedSafe(['passport.pdf']);
  const laptop = openTab(createBrowser(network));
  await laptop.ask({ kind: 'unlockWithPhrase', words, password, remember: true });
  await laptop.ask({ kind: 'upload', file: fileOf('from the laptop') });
  await laptop.until(published(2));
  const getSafe = browser.store.getSafe;
  let armed = true;
  Object.assign(browser.store, {
    getSafe: async (id: string) => {
      const record = await getSafe(id);
      if (armed) await tab.ask({ kind: 'lock' });
      armed = false;
      return record;
    },
  });
  await tab.ask({ kind: 'refresh' }).catch(() => undefined);
  await settle();
  expect(readableByAnybody(network)).toBe(false);
  await expectWhole(browser, ['from the laptop', 'passport.pdf']);
});

test('a change interrupted by Lock is refused, and the record still opens with the password', async () => {
  const { browser, tab, words } = await openedSafe(['first.txt']);
  const [before] = await browser.store.listSafes();
  const getSafe = browser.store.getSafe;
  let armed = true;
  Object.assign(browser.store, {
    getSafe: async (id: string) => {
      const record = await getSafe(id);
      if (armed) await tab.ask({ kind: 'lock' });
      armed = false;
      return record;
    },
  });
  await expect(tab.ask({ kind: 'removeFile', fileId: idOf(tab) })).rejects.toMatchObject({
    kind: 'locked',
  });
  expect((await browser.store.listSafes())[0]?.envelope).toEqual(before?.envelope);
  await expectWhole(browser, ['first.txt']);
  const fresh = openTab(browser);
  await fresh.ask({ kind: 'unlockWithPhrase', words, password, remember: true });
  await fresh.until(published(1));
});

test('an upload interrupted by Lock at its end keeps its plan, and resumes from it', async () => {
  const { browser, tab } = await openedSafe();
  const owner = (await browser.store.listSafes())[0]?.owner ?? '';
  let release: () => void = () => undefined;
  const held = new Promise<void>((done) => (release = done));
  let puts = 0;
  browser.intercept = (call) => {
    // Another tab is writing when the list of pieces has been stored.
    if (call === 'chunk/put' && ++puts === 2)
      void browser.withLock(`safe-store-${owner}`, () => held);
  };
  const file = fileOf('thesis.pdf');
  await tab.ask({ kind: 'upload', file });
  await tab.until(openWith((view) => view.transfers[0]?.doneBytes === 1000));
  await settle();
  const locking = tab.ask({ kind: 'lock' });
  release();
  await locking;
  await settle();
  browser.intercept = () => undefined;
  const again = openTab(browser);
  await again.ask({ kind: 'unlockHere', password });
  const view = await again.until(openWith((each) => each.transfers.length === 1));
  await again.ask({ kind: 'resumeUpload', transferId: view.transfers[0]?.id ?? '', file });
  await again.until(published(1));
  expect(namesIn(again)).toEqual(['thesis.pdf']);
});

test('an upload planned while Lock is pressed leaves no plan under a wiped key', async () => {
  const { browser, tab } = await openedSafe();
  const file = fileOf('diary.txt');
  const slice = file.slice.bind(file);
  file.slice = (from, to) => {
    void tab.ask({ kind: 'lock' });
    return slice(from, to);
  };
  await tab.ask({ kind: 'upload', file });
  await settle();
  expect(browser.plans.size).toBe(0);
});

test('a file being read for an upload while Lock is pressed is read no further', async () => {
  const { tab } = await openedSafe();
  const pieces = 12;
  const file = fileOf('large.bin', pieces * 1024 * 1024);
  const slice = file.slice.bind(file);
  let reads = 0;
  file.slice = (from, to) => {
    reads += 1;
    if (reads === 2) void tab.ask({ kind: 'lock' });
    return slice(from, to);
  };
  await tab.ask({ kind: 'upload', file });
  await tab.until(isLocked);
  await wait(200);
  expect(reads).toBeLessThan(pieces / 2);
});

test('a file being opened while Lock is pressed leaves no key with the worker', async () => {
  for (const call of ['chunk/get', 'file/key']) {
    const { browser, tab } = await openedSafe(['diary.txt']);
    lockDuring(browser, tab, call);
    await expect(tab.ask({ kind: 'openFile', fileId: idOf(tab) })).rejects.toMatchObject({
      kind: 'locked',
    });
    await settle();
    expect(browser.keys.size).toBe(0);
  }
});

/** A Safe with a file the worker can read, and the worker's reaction to revoking its key. */
async function lockedWhile(atForget: () => Promise<void>) {
  const { browser, tab } = await openedSafe(['a']);
  await tab.ask({ kind: 'openFile', fileId: idOf(tab) });
  expect(browser.keys.size).toBe(1);
  browser.intercept = (call) => (call === 'file/forget' ? atForget() : undefined);
  let confirmed = 0;
  const presses = [1, 2].map(async () => {
    await tab.ask({ kind: 'lock' });
    confirmed += 1;
  });
  await tab.until(isLocked);
  return { browser, tab, presses, confirmed: () => confirmed };
}

test('the screen locks immediately, and Lock is confirmed when the worker has no read key any longer', async () => {
  let answer = (): void => undefined;
  const { browser, presses, confirmed } = await lockedWhile(
    () => new Promise((go) => (answer = go)),
  );
  await settle();
  expect(browser.keys.size).toBe(1);
  expect(confirmed()).toBe(0);
  answer();
  await Promise.all(presses);
  expect(browser.keys.size).toBe(0);
});

test('a worker that fails once is called again before Lock is confirmed', async () => {
  let failures = 0;
  const { browser, presses } = await lockedWhile(async () => {
    if (++failures === 1) throw new TypeError('Failed to fetch');
  });
  await Promise.all(presses);
  expect(browser.keys.size).toBe(0);
  expect(failures).toBe(2);
});

test('a worker that never answers does not prevent locking, and is awaited once', async () => {
  const { browser, tab, presses } = await lockedWhile(() => new Promise(() => undefined));
  await Promise.all(presses);
  await tab.ask({ kind: 'unlockHere', password });
  browser.waits.length = 0;
  await tab.ask({ kind: 'lock' });
  expect(browser.waits).not.toContain(10_000);
});

test('Lock revokes every read key, however many files were opened', async () => {
  const { browser, tab } = await openedSafe(['a']);
  const fileId = idOf(tab);
  for (let opened = 0; opened < 1025; opened++) await tab.ask({ kind: 'openFile', fileId });
  expect(browser.keys.size).toBe(1025);
  await tab.ask({ kind: 'lock' });
  expect(browser.keys.size).toBe(0);
});

test('after Lock the worker gets no call except to revoke its keys', async () => {
  const { browser, tab } = await openedSafe(['a']);
  await tab.ask({ kind: 'openFile', fileId: idOf(tab) });
  expect(browser.keys.size).toBe(1);
  await tab.ask({ kind: 'upload', file: fileOf('b', 3 << 20) });
  await tab.ask({ kind: 'lock' });
  browser.calls.length = 0;
  await settle();
  expect(browser.calls.filter((call) => call !== 'file/forget')).toEqual([]);
  expect(browser.keys.size).toBe(0);
});

test('wherever Lock interrupts, listed files are there afterwards and nothing is readable without keys', async () => {
  // Lock is pressed at the n-th await of the vault, whatever it is.
  for (let n = 1, last = false; !last; n++) {
    const { network, browser, tab } = await openedSafe(['kept', 'removed']);
    const view = tab.view();
    const files = isOpen(view) ? view.files : [];
    const fileId = files.find(({ name }) => name === 'removed')?.id ?? '';
    let left = n;
    const step = async (): Promise<void> => {
      if (--left === 0) await tab.ask({ kind: 'lock' });
    };
    browser.intercept = step;
    const { store } = browser;
    const { getSafe, putSafe, putPlan, getPlan, markPiece } = store;
    Object.assign(store, {
      getSafe: async (id: string) => getSafe(id).finally(step),
      putSafe: async (...values: Parameters<typeof putSafe>) => putSafe(...values).finally(step),
      putPlan: async (...values: Parameters<typeof putPlan>) => putPlan(...values).finally(step),
      getPlan: async (id: string) => getPlan?.(id).finally(step),
      markPiece: async (...values: Parameters<typeof markPiece>) =>
        markPiece(...values).finally(step),
    });
    const shown = new Set(['kept']);
    const done = await tab.ask({ kind: 'removeFile', fileId }).then(
      () => true,
      () => false,
    );
    await tab.ask({ kind: 'upload', file: fileOf('added') }).catch(() => undefined);
    await Promise.race([
      tab.until(isLocked),
      tab.until(openWith((each) => each.transfers.length === 0 && each.published === 'published')),
    ]);
    for (const name of namesIn(tab)) shown.add(name);
    last = left > 0;
    await tab.ask({ kind: 'lock' });
    await settle();
    Object.assign(store, { getSafe, putSafe, putPlan, getPlan, markPiece });
    browser.intercept = () => undefined;
    expect(readableByAnybody(network), `locked at ${n}`).toBe(false);
    const again = openTab(browser);
    await again.ask({ kind: 'unlockHere', password });
    await again.ask({ kind: 'refresh' });
    await again.until(openWith((each) => each.published === 'published'));
    const now = again.view();
    const listed = namesIn(again);
    for (const name of shown) if (name !== 'removed') expect(listed).toContain(name);
    if (done) expect(listed).not.toContain('removed');
    // Partly sent, sent or not begun: never lost once the plan was stored.
    if (!listed.includes('added') && isOpen(now)) {
      expect(now.transfers.length, `locked at ${n}`).toBe(browser.plans.size);
    }
    await again.ask({ kind: 'lock' });
  }
}, 60_000);

/** Starts to unlock, and acts while the password is being stretched. */
async function whileStretching(
  browser: Browser,
  tab: Tab,
  act: () => Promise<unknown>,
): Promise<() => Promise<unknown>> {
  const [begun, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  browser.beforeStretch = () => {
    begun.resolve();
    return held.promise;
  };
  const opening = tab.ask({ kind: 'unlockHere', password });
  opening.catch(() => undefined);
  await begun.promise;
  const acting = act();
  held.resolve();
  await acting;
  return () => opening;
}

test('Lock pressed while a Safe is being opened takes precedence', async () => {
  const { browser, tab } = await openedSafe(['a']);
  await tab.ask({ kind: 'lock' });
  const opening = await whileStretching(browser, tab, () => tab.ask({ kind: 'lock' }));
  await expect(opening()).rejects.toMatchObject({ kind: 'locked' });
  expect(tab.view().kind).toBe('locked');
  await settle();
  expect(tab.view().kind).toBe('locked');
  await expectWhole(browser, ['a']);
});

test('Forget pressed while a Safe is being opened takes precedence, and its record is not written again', async () => {
  const { browser, tab } = await openedSafe(['a']);
  await tab.ask({ kind: 'lock' });
  const opening = await whileStretching(browser, tab, () =>
    tab.ask({ kind: 'forget', evenUnsaved: false }),
  );
  await expect(opening()).rejects.toMatchObject({ kind: 'locked' });
  await settle();
  expect(tab.view().kind).toBe('none');
  expect(await browser.store.listSafes()).toEqual([]);
});
