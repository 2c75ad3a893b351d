/**
 * Checks what the vault connects when a Safe is opened: uploads, downloads, wallet and index exchange, with
 * each other, with the requests of the page and with the other tabs. Only interruptible waits are long, so
 * that nothing happens by itself later.
 */
import { openTab, type Browser, type Tab } from '../world.ts';
import { createBrowser, createNetwork, failed, goodPassword, isOpen, wait } from '../world.ts';
import { bytesOfText, textOf } from '../world.ts';
import { brokenConnections, within, type Connections } from '../../../support/connections.ts';
import { fakeWallets } from '../fake-wallets.ts';

interface World {
  readonly browser: Browser;
  readonly tab: Tab;
  readonly wallets: ReturnType<typeof fakeWallets>;
}

/** @returns the connections that are missing or wrong. */
export async function wiringFaults(): Promise<readonly string[]> {
  const browser = createBrowser(createNetwork('home'));
  const wallets = fakeWallets();
  const tab = openQuietTab(browser, wallets);
  const words = (await tab.ask({ kind: 'newPhrase' })).words.join(' ');
  await tab.ask({ kind: 'createSafe', words, password: goodPassword });
  await within(() => published(tab));
  return brokenConnections(connections, { browser, tab, wallets });
}

/** The last one locks the Safe. */
const connections: Connections<World> = {
  'an added file → the index exchange': async ({ tab }) => {
    await tab.ask({ kind: 'upload', file: new File(['text'], 'a.txt') });
    return within(() => files(tab).includes('a.txt') && published(tab));
  },
  'a change of the wallet → the index exchange': async ({ browser, wallets }) => {
    const puts = countOf(browser, 'pointer/put');
    await wallets.contexts[0]?.update(() => bytesOfText('coin'));
    return within(() => countOf(browser, 'pointer/put') > puts);
  },
  'a successful exchange → waiting uploads': async ({ browser, tab, wallets }) => {
    browser.intercept = (call) => {
      if (call === 'chunk/put') throw failed(503, 'offline');
    };
    await tab.ask({ kind: 'upload', file: new File(['more'], 'b.txt') });
    await within(() => isOpen(tab.view()) && browser.calls.at(-1) === 'chunk/put');
    browser.intercept = () => undefined;
    await wallets.contexts[0]?.update(() => bytesOfText('coin,coin2'));
    return within(() => files(tab).includes('b.txt'));
  },
  'a removed file → the index exchange': async ({ browser, tab }) => {
    await within(() => published(tab));
    const puts = countOf(browser, 'pointer/put');
    await tab.ask({ kind: 'removeFile', fileId: fileId(tab, 'b.txt') });
    return within(() => !files(tab).includes('b.txt') && countOf(browser, 'pointer/put') > puts);
  },
  'a refresh → the index exchange and the wallet': async ({ browser, tab, wallets }) => {
    const gets = countOf(browser, 'pointer/get');
    await tab.ask({ kind: 'refresh' });
    return countOf(browser, 'pointer/get') > gets && wallets.seen.includes('refresh');
  },
  'a question of money → the wallet': async ({ tab, wallets }) => {
    await tab.ask({ kind: 'askFaucet' }).catch(() => undefined);
    return wallets.seen.includes('askFaucet');
  },
  'the Safe’s network → the wallet': ({ browser, wallets }) =>
    wallets.contexts[0]?.network()?.networkId === browser.network?.file['networkId'],
  'a change the wallet shows → the page': async ({ tab, wallets }) => {
    const views = tab.posted.length;
    wallets.contexts[0]?.changed();
    return within(() => tab.posted.length > views);
  },
  'an opened file → the worker, also after its restart': async ({ browser, tab }) => {
    const { url } = await tab.ask({ kind: 'openFile', fileId: fileId(tab, 'a.txt') });
    const token = url.split('/')[3] ?? '';
    const wasGiven = browser.keys.delete(token);
    await tab.vault.resendFileKey(token);
    return wasGiven && browser.keys.has(token);
  },
  'a change in another tab → this tab': async ({ browser, tab }) => {
    const other = openQuietTab(browser, fakeWallets());
    await other.ask({ kind: 'unlockHere', password: goodPassword });
    await other.ask({ kind: 'removeFile', fileId: fileId(tab, 'a.txt') });
    return within(() => !files(tab).includes('a.txt'));
  },
  'the stored money → the wallet of the next unlocking': async ({ browser }) => {
    const wallets = fakeWallets();
    await openQuietTab(browser, wallets).ask({ kind: 'unlockHere', password: goodPassword });
    return textOf(wallets.contexts[0]?.section ?? bytesOfText('')) === 'coin,coin2';
  },
  'Lock → the wallet': async ({ tab, wallets }) => {
    await tab.ask({ kind: 'lock' });
    return wallets.contexts[0]?.closed.aborted === true && tab.view().kind === 'locked';
  },
};

const openQuietTab = (browser: Browser, wallets: ReturnType<typeof fakeWallets>): Tab =>
  openTab(browser, wallets.factory, {
    wait: (ms, signal) =>
      ms < 1_000
        ? wait(ms / 50, signal)
        : new Promise((go) => signal.addEventListener('abort', () => go())),
  });

function files(tab: Tab): readonly string[] {
  const view = tab.view();
  return isOpen(view) ? view.files.map(({ name }) => name) : [];
}

function fileId(tab: Tab, name: string): string {
  const view = tab.view();
  return (isOpen(view) && view.files.find((file) => file.name === name)?.id) || '';
}

function published(tab: Tab): boolean {
  const view = tab.view();
  return isOpen(view) && view.published === 'published' && view.transfers.length === 0;
}

const countOf = ({ calls }: Browser, name: string): number =>
  calls.filter((call) => call === name).length;
