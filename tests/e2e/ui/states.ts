/** Every state of every screen, and how a person reaches it: for axe and for screenshots. */
import type { Page } from 'playwright-core';
import { changelessOnly } from '../../../src/vault/wallet/payment-sentences.ts';
import { networks, phrase, type SceneName } from '../fake-app/scenes.ts';

export interface UiState {
  readonly name: string;
  readonly scene: SceneName;
  readonly path: string;
  readonly act?: (page: Page) => Promise<void>;
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const field = (page: Page, name: string) => page.getByLabel(name, { exact: true });
const address = 'safe1zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz77qk2a';

const toPassword = (page: Page) => button(page, 'Create a Safe').click();
const toPhrase = async (page: Page) => {
  await toPassword(page);
  await field(page, 'Password').fill('correct horse battery staple');
  await field(page, 'Repeat password').fill('correct horse battery staple');
  await button(page, 'Continue').click();
  await page.getByRole('heading', { name: 'Your phrase' }).waitFor();
};
const toCheck = async (page: Page) => {
  await toPhrase(page);
  await button(page, 'Show').click();
  await button(page, 'I wrote it down').click();
};
const toConfirm = async (page: Page) => {
  await field(page, 'Address').fill(address);
  await field(page, 'Amount').fill('12,5');
  await field(page, 'Note').fill('Bread and cheese');
  await button(page, 'Send').click();
  await page.getByRole('dialog').waitFor();
};

export const states: readonly UiState[] = [
  { name: 'starting', scene: 'starting', path: '/' },
  { name: 'welcome', scene: 'none', path: '/' },
  {
    name: 'welcome-how',
    scene: 'offline',
    path: '/',
    act: (page) => page.getByText('How it works').click(),
  },
  { name: 'unsupported', scene: 'unsupported', path: '/' },
  { name: 'lost', scene: 'none', path: '/nowhere' },
  {
    name: 'create-password-weak',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toPassword(page);
      await field(page, 'Password').fill('summer');
      await field(page, 'Repeat password').fill('summar');
      await button(page, 'Continue').click();
      await page.getByText('differ at character 5').waitFor();
      await page.getByText('too easy to guess').waitFor();
    },
  },
  {
    name: 'create-password-checking',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toPassword(page);
      await page.evaluate(() => void (window.safeFake!.delayMs = 60_000));
      await field(page, 'Password').fill('correct horse battery staple');
      await page.getByText('Checking how hard it is to guess…').waitFor();
    },
  },
  {
    name: 'create-password-not-checked',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toPassword(page);
      const failNext = () =>
        page.evaluate(() =>
          window.safeFake!.failNext('passwordStrength', {
            kind: 'offline',
            message:
              'The word lists that passwords are checked against could not be loaded. Nothing was changed. Check your connection, then try again.',
          }),
        );
      const delay = (ms: number) => page.evaluate((to) => void (window.safeFake!.delayMs = to), ms);
      // While the person types, and again for Continue.
      await failNext();
      await delay(1_000);
      await field(page, 'Password').fill('correct horse battery staple');
      await field(page, 'Repeat password').fill('correct horse battery staple');
      await page.getByText('Checking how hard it is to guess…').waitFor();
      await page.getByText('Checking how hard it is to guess…').waitFor({ state: 'detached' });
      await delay(0);
      await failNext();
      await button(page, 'Continue').click();
      await page.getByRole('alert').waitFor();
    },
  },
  {
    name: 'create-password-made',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toPassword(page);
      await button(page, 'Make one for me').click();
      await page.getByText('would pay').waitFor();
    },
  },
  { name: 'create-phrase-hidden', scene: 'none', path: '/', act: toPhrase },
  {
    name: 'create-phrase-shown',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toPhrase(page);
      await button(page, 'Show').click();
    },
  },
  {
    name: 'create-check-wrong',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toCheck(page);
      await field(page, 'Phrase').fill(
        [...phrase.slice(0, 6), 'wroth', ...phrase.slice(7)].join(' '),
      );
      await button(page, 'Check and create').click();
      await page.getByText('Word 7 looks wrong').waitFor();
    },
  },
  {
    name: 'create-busy',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toCheck(page);
      await field(page, 'Phrase').fill(phrase.join(' '));
      await page.evaluate(() => void (window.safeFake!.delayMs = 60_000));
      await button(page, 'Check and create').click();
      await page.getByText('Creating your Safe').waitFor();
    },
  },
  {
    name: 'created',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await toCheck(page);
      await field(page, 'Phrase').fill(
        phrase.map((word, index) => `${index + 1}. ${word}`).join('\n'),
      );
      await button(page, 'Check and create').click();
      await page.getByText('Your Safe is ready.').waitFor();
    },
  },
  { name: 'locked', scene: 'locked', path: '/' },
  {
    name: 'locked-wrong-password',
    scene: 'locked',
    path: '/files',
    act: async (page) => {
      await page.evaluate(() =>
        window.safeFake!.failNext('unlockHere', {
          kind: 'wrongPassword',
          message:
            'That password doesn’t fit this Safe. Check Caps Lock and the keyboard’s language, then try again.',
        }),
      );
      await field(page, 'Password').fill('wrong');
      await button(page, 'Unlock').click();
      await page.getByRole('alert').waitFor();
    },
  },
  {
    name: 'open-phrase',
    scene: 'none',
    path: '/',
    act: (page) => button(page, 'Open my Safe').click(),
  },
  {
    name: 'open-phrase-short',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await button(page, 'Open my Safe').click();
      await field(page, 'Phrase').fill('legal winner thank');
      await button(page, 'Continue').click();
      await page.getByText('Here are 3 words').waitFor();
    },
  },
  {
    name: 'open-phrase-accepted',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await button(page, 'Open my Safe').click();
      await field(page, 'Phrase').fill(phrase.join(' '));
      await field(page, 'Password').waitFor();
    },
  },
  {
    name: 'open-phrase-unknown',
    scene: 'none',
    path: '/',
    act: async (page) => {
      await button(page, 'Open my Safe').click();
      await field(page, 'Phrase').fill(phrase.join(' '));
      await field(page, 'Password').fill('correct horse battery staple');
      await page.evaluate(() =>
        window.safeFake!.failNext('unlockWithPhrase', {
          kind: 'phraseUnknown',
          message:
            'The phrase is well-formed, but no Safe was found for it. If you created it offline and never connected, open it on the device where you created it.',
        }),
      );
      await button(page, 'Unlock').click();
      await page.getByRole('alert').waitFor();
    },
  },
  { name: 'other-network', scene: 'otherNetwork', path: '/money' },
  {
    name: 'other-network-forget',
    scene: 'otherNetwork',
    path: '/money',
    act: async (page) => {
      await button(page, 'Forget this device').click();
      await page.getByRole('dialog').waitFor();
    },
  },
  { name: 'safe', scene: 'open', path: '/' },
  { name: 'safe-unreadable-money', scene: 'unreadableMoney', path: '/' },
  { name: 'safe-fresh', scene: 'fresh', path: '/' },
  { name: 'safe-update', scene: 'update', path: '/' },
  {
    name: 'safe-forget',
    scene: 'fresh',
    path: '/',
    act: async (page) => {
      await button(page, 'Forget this device').click();
      await page.getByRole('dialog').waitFor();
    },
  },
  { name: 'files', scene: 'open', path: '/files' },
  { name: 'files-empty', scene: 'fresh', path: '/files' },
  { name: 'files-sending', scene: 'sending', path: '/files' },
  {
    name: 'files-menu',
    scene: 'open',
    path: '/files',
    act: async (page) => {
      await button(page, 'More for harbour.jpg').click();
      await page.getByRole('menu').waitFor();
    },
  },
  {
    name: 'files-removed',
    scene: 'open',
    path: '/files',
    act: async (page) => {
      await button(page, 'More for harbour.jpg').click();
      await page.getByRole('menuitem', { name: 'Remove' }).click();
      await button(page, 'Undo').waitFor();
      await page.getByText('Removed files (2)').click();
    },
  },
  { name: 'money', scene: 'open', path: '/money' },
  { name: 'money-empty', scene: 'fresh', path: '/money' },
  {
    name: 'money-problems',
    scene: 'open',
    path: '/money',
    act: async (page) => {
      await field(page, 'Amount').fill('much');
      await button(page, 'Send').click();
      await page.getByText('Write the amount as a number').waitFor();
    },
  },
  { name: 'money-confirm', scene: 'open', path: '/money', act: toConfirm },
  {
    name: 'money-confirm-failed',
    scene: 'open',
    path: '/money',
    act: async (page) => {
      await toConfirm(page);
      await page.evaluate(() =>
        window.safeFake!.failNext('send', {
          kind: 'offline',
          message:
            'The network did not answer, so nothing was sent. Check the connection and press Confirm again.',
        }),
      );
      await button(page, 'Confirm').click();
      await page.getByRole('alert').waitFor();
    },
  },
  {
    name: 'money-full',
    scene: 'open',
    path: '/money',
    act: async (page) => {
      await toConfirm(page);
      const { kind, message } = changelessOnly(1_234_567_890_123n);
      await page.evaluate((error) => window.safeFake!.failNext('send', error as never), {
        kind,
        message,
      });
      await button(page, 'Confirm').click();
      await page.getByRole('alert').waitFor();
    },
  },
  { name: 'money-unreadable', scene: 'unreadableMoney', path: '/money' },
  { name: 'network', scene: 'open', path: '/network' },
  {
    name: 'network-handover',
    scene: 'open',
    path: '/network',
    act: async (page) => {
      await page.getByText('Nothing has changed yet').waitFor();
      await page.evaluate(
        (network) => window.safeFake!.show({ network: network as never }),
        networks.handedOver as unknown as Record<string, never>,
      );
      await page.getByText('handed over to a new key, epoch 1').waitFor();
    },
  },
  { name: 'network-split', scene: 'split', path: '/network' },
  { name: 'network-many', scene: 'many', path: '/network' },
  { name: 'network-stalled', scene: 'stalled', path: '/network' },
  { name: 'network-half-stalled', scene: 'halfStalled', path: '/network' },
  { name: 'money-stalled', scene: 'stalled', path: '/money' },
  { name: 'files-stalled', scene: 'stalled', path: '/files' },
  { name: 'network-forked', scene: 'forked', path: '/network' },
  { name: 'network-refused', scene: 'refused', path: '/network' },
  { name: 'network-unknown', scene: 'offline', path: '/network' },
];
