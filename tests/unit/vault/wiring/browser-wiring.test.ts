/** Goal: the vault's worker is connected to its browser, and the check finds what is not. */
import { expect, test } from 'vitest';
import { wiringCheck } from '../../../support/wiring-check.ts';

const wiring = wiringCheck('tests/unit/vault/wiring/browser-wiring.ts', {
  'src/runtime/jobs/argon2.ts': 'tests/unit/vault/wiring/quick-stretch.ts',
});

test('the vault’s worker connects the page, the other tabs and the browser’s stores', async () => {
  expect(await wiring.faults()).toEqual([]);
});
wiring.testPlanted('src/vault/index.ts', [
  [
    'the page sees nothing',
    'the vault’s view → the page',
    'stretchParameters: STRETCH_STANDARD,\n  post,',
    'stretchParameters: STRETCH_STANDARD,\n  post: () => undefined,',
  ],
  [
    'errors are answers',
    'a failed request → its error',
    "post({ kind: 'error', id, error: error as VaultError })",
    "post({ kind: 'reply', id, value: error })",
  ],
  [
    'a request waits for ever',
    'an unreadable request → an error',
    'return refuse(data)',
    'return undefined',
  ],
  [
    'no estimate',
    'the page’s address of the worker → the password estimate',
    'guessWorker = message.url',
    "guessWorker = ''",
  ],
  [
    'tabs write at the same time',
    'an opened Safe → browser storage, under its lock, and the other tabs',
    'navigator.locks.request(name, body)',
    'body()',
  ],
  [
    'the other tabs get nothing',
    'an opened Safe → browser storage, under its lock, and the other tabs',
    'tabs.postMessage(owner)',
    'undefined',
  ],
  ['a Safe without money', 'the wallet → the page', 'wallets: walletFactory', 'wallets: null'],
  [
    'a shown page gets old files',
    'a page that is shown → a refresh',
    "if (visible) vault.ask({ kind: 'refresh' })",
    "if (!visible) vault.ask({ kind: 'refresh' })",
  ],
  [
    'other tabs are not heard',
    'a change in another tab → a new view',
    'vault.storeChanged(data)',
    'Promise.resolve()',
  ],
]);
