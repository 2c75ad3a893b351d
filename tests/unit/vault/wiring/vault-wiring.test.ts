/** Goal: the parts of an open Safe are connected, and the check finds one that is not. */
import { expect, test } from 'vitest';
import { wiringCheck } from '../../../support/wiring-check.ts';

const wiring = wiringCheck('tests/unit/vault/wiring/vault-wiring.ts');

test('an open Safe connects its parts, the page and the other tabs', async () => {
  expect(await wiring.faults()).toEqual([]);
});

wiring.testPlanted('src/vault/running-safe.ts', [
  [
    'uploads wake nothing',
    'an added file → the index exchange',
    'openUploads(safe, () => parts.sync?.request())',
    'openUploads(safe, () => undefined)',
  ],
  [
    'money waits for the next poll',
    'a change of the wallet → the index exchange',
    'parts.sync?.request();\n        return wallet',
    'return wallet',
  ],
  [
    'uploads wait for their own pause',
    'a successful exchange → waiting uploads',
    '() => uploads.wake()',
    '() => undefined',
  ],
  [
    'the wallet knows no network',
    'the Safe’s network → the wallet',
    'network: () => safe.known.network',
    'network: () => null',
  ],
  [
    'the wallet changes silently',
    'a change the wallet shows → the page',
    'changed: context.changed',
    'changed: () => undefined',
  ],
  [
    'the wallet starts empty',
    'the stored money → the wallet of the next unlocking',
    'section: safe.known.index.wallet',
    'section: new Uint8Array()',
  ],
  [
    'the wallet outlives Lock',
    'Lock → the wallet',
    '      closed,\n',
    '      closed: new AbortController().signal,\n',
  ],
]);

wiring.testPlanted('src/vault/vault.ts', [
  [
    'a removal stays here',
    'a removed file → the index exchange',
    '  sync.request();\n',
    '  void sync;\n',
  ],
  [
    'a refresh forgets the money',
    'a refresh → the index exchange and the wallet',
    'await safe.wallet?.refresh()',
    'await Promise.resolve()',
  ],
  [
    'money requests end',
    'a question of money → the wallet',
    'return wallet.ask(request)',
    'return null',
  ],
  [
    'a lost key stays lost',
    'an opened file → the worker, also after its restart',
    'vault.open?.downloads.resend(token)',
    'void token',
  ],
  [
    'tabs do not read each other’s changes',
    'a change in another tab → this tab',
    'open?.safe.owner === owner',
    'open?.safe.owner !== owner',
  ],
]);
