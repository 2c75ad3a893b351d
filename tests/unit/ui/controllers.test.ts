/** The controllers over a SafeApp with scripted replies: their requests, and what they show. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SafeApp } from '../../../src/bridge/page.ts';
import type { VaultError, VaultRequest, VaultView } from '../../../src/bridge/vault.ts';
import { FilesController, transferLine } from '../../../src/ui/files/files-controller.svelte.ts';
import {
  cleanAddress,
  cleanAmount,
  memoOverrun,
  MoneyController,
} from '../../../src/ui/money/money-controller.svelte.ts';
import {
  connectedCount,
  pointOnCircle,
} from '../../../src/ui/network/network-controller.svelte.ts';
import { UnlockController } from '../../../src/ui/safe/unlock-controller.svelte.ts';
import { App, asVaultError } from '../../../src/ui/shared/app.svelte.ts';
import { Toasts, toasts } from '../../../src/ui/shared/toasts.svelte.ts';
import { isOwnWorker } from '../../../src/ui/shared/trusted-urls.ts';

type Answer = (request: VaultRequest) => unknown;

function appThat(answer: Answer): { readonly app: App; readonly asked: VaultRequest[] } {
  const asked: VaultRequest[] = [];
  const safeApp = {
    onVault: () => () => {},
    onNetwork: () => () => {},
    onShell: () => () => {},
    ask: async (request: VaultRequest) => {
      asked.push(request);
      return answer(request);
    },
    setRoad: async () => {},
    watchNetwork: () => () => {},
    applyUpdate: () => {},
  } as unknown as SafeApp;
  return { app: new App(Promise.resolve(safeApp)), asked };
}

const words = Array.from({ length: 13 }, (_, index) => `word${String.fromCharCode(97 + index)}`);
const error = (kind: VaultError['kind'], message = 'A sentence.'): VaultError => ({
  kind,
  message,
});

describe('unlocking', () => {
  const easy: Answer = ({ kind }) => {
    if (kind === 'newPhrase') return { words };
    if (kind === 'passwordStrength') return { acceptable: true, score: 4, sentence: '' };
    return kind === 'checkPhrase' ? { problem: null } : null;
  };
  const upToCheck = async (
    answer: Answer,
  ): Promise<{ door: UnlockController; asked: VaultRequest[] }> => {
    const { app, asked } = appThat(answer);
    const door = new UnlockController(app);
    door.go('password');
    door.password = door.repeated = 'a long password';
    await door.choosePassword();
    door.go('check');
    return { door, asked };
  };

  test('a weak password stays on the first step', async () => {
    const { app, asked } = appThat(() => ({ acceptable: false, score: 0, sentence: 'Too easy.' }));
    const door = new UnlockController(app);
    door.go('password');
    door.password = door.repeated = 'summer';
    await door.choosePassword();
    expect(door.step).toBe('password');
    expect(door.passwordProblem).toBe('Too easy.');
    expect(asked.map(({ kind }) => kind)).toEqual(['passwordStrength']);
  });

  test('a Safe is created with the words shown and the password chosen, and no secret stays', async () => {
    const { door, asked } = await upToCheck(easy);
    door.typed = words.map((word, index) => `${index + 1}. ${word.toUpperCase()}`).join('\n');
    await door.create();
    expect(asked.at(-1)).toEqual({
      kind: 'createSafe',
      words: words.join(' '),
      password: 'a long password',
    });
    expect([door.password, door.repeated, door.typed, ...door.phrase]).toEqual(['', '', '']);
  });

  test('a valid phrase other than the one shown is refused, with the position', async () => {
    const { door, asked } = await upToCheck(easy);
    door.typed = words.with(4, 'other').join(' ');
    await door.create();
    expect(asked.map(({ kind }) => kind)).not.toContain('createSafe');
    expect(door.phraseNote).toContain('Word 5');
  });

  test('typed text survives a failure, so that a person can try again', async () => {
    const { door } = await upToCheck((request) => {
      if (request.kind === 'createSafe') throw error('storageFull');
      return easy(request);
    });
    door.typed = words.join(' ');
    await door.create();
    expect(door.task.error?.kind).toBe('storageFull');
    expect(door.typed).not.toBe('');
    expect(door.step).toBe('check');
  });

  test('strong key first, password last: no unlocking before the phrase was accepted', async () => {
    const { app, asked } = appThat(easy);
    const door = new UnlockController(app);
    door.go('open');
    door.password = 'a long password';
    await door.unlockWithPhrase();
    expect(asked).toEqual([]);
  });

  test('a late answer about words that have changed is ignored', async () => {
    const waiting: (() => void)[] = [];
    const { app } = appThat(
      () => new Promise((resolve) => waiting.push(() => resolve({ problem: null }))),
    );
    const door = new UnlockController(app);
    door.go('open');
    door.typed = words.join(' ');
    const check = door.checkPhrase();
    await Promise.resolve();
    door.typed = 'word';
    door.phraseTyped();
    await vi.waitFor(() => expect(waiting.length).toBe(1), { timeout: 20_000 });
    waiting[0]?.();
    await check;
    expect(door.phraseAccepted).toBe(false);
  });
});

describe('files', () => {
  const base = {
    id: 't',
    name: 'a',
    size: 64_000_000,
    doneBytes: 32_000_000,
    bytesPerSecond: 3_200_000,
    sentence: '',
  };

  test('a progressing transfer shows percent, speed and time left', () => {
    expect(transferLine({ ...base, state: 'sending' })).toEqual({
      percent: 50,
      headline: 'Sending',
      detail: '32 MB of 64 MB · 3.2 MB/s · about 10 seconds left',
    });
  });

  test('a waiting transfer shows its sentence and no speed', () => {
    const line = transferLine({
      ...base,
      bytesPerSecond: 0,
      state: 'waiting',
      sentence: 'No elder answers.',
    });
    expect(line.detail).toBe('32 MB of 64 MB · No elder answers.');
  });

  test('one refused file does not block the others, and its sentence has its name', async () => {
    const { app, asked } = appThat((request) => {
      if (request.kind === 'upload' && request.file.name === 'big')
        throw error('storageFull', 'The device is full.');
      return { transferId: 't' };
    });
    const toasts = new Toasts();
    await new FilesController(app, toasts).add([new File([], 'big'), new File([], 'small')]);
    expect(asked.length).toBe(2);
    expect(toasts.list.map(({ text }) => text)).toEqual(['“big”: The device is full.']);
  });
});

describe('money', () => {
  test.each([
    ['2.5', '2.5'],
    [' 2,5 ', '2.5'],
    ['1000', '1000'],
    ['0', null],
    ['0.00', null],
    ['-1', null],
    ['1e3', null],
    ['1.', null],
    ['1,000,000', null],
    ['', null],
  ])('an amount typed as “%s” is read as %s', (text, amount) =>
    expect(cleanAmount(text)).toBe(amount),
  );

  test('an address may be pasted with spaces and line ends', () => {
    expect(cleanAddress(' safe1 abc\n def ')).toBe('safe1abcdef');
  });

  test('the vault gets no request before the payment is confirmed', () => {
    const { app, asked } = appThat(() => ({ paymentId: 'p' }));
    const money = new MoneyController(app, new Toasts());
    money.address = 'safe1other';
    money.amount = '1';
    money.review('safe1own');
    expect(money.confirming).toBe(true);
    expect(asked).toEqual([]);
  });

  test('a note that is too long is reported before any request', () => {
    expect(memoOverrun('é'.repeat(32))).toBe(0);
    expect(memoOverrun(` ${'a'.repeat(64)} `)).toBe(0);
    const money = new MoneyController(appThat(() => null).app, new Toasts());
    money.address = 'safe1other';
    money.amount = '1';
    money.memo = 'é'.repeat(33);
    money.review('safe1own');
    expect(money.confirming).toBe(false);
    expect(money.memoProblem).toContain('2 letters too long');
  });

  test("sending to one's own address is refused", () => {
    const money = new MoneyController(appThat(() => null).app, new Toasts());
    money.address = 'safe1own';
    money.amount = '1';
    money.review('safe1own');
    expect(money.confirming).toBe(false);
    expect(money.addressProblem).not.toBe('');
  });

  test('the confirmed payment is sent, even when the form has changed since', async () => {
    const { app, asked } = appThat(() => ({ paymentId: 'p' }));
    const money = new MoneyController(app, new Toasts());
    money.address = 'safe1other';
    money.amount = '1';
    money.review('safe1own');
    money.amount = '100';
    await money.send();
    expect(asked).toEqual([{ kind: 'send', address: 'safe1other', amount: '1', memo: '' }]);
  });

  test.each([
    ['badAddress', 'addressProblem'],
    ['badAmount', 'amountProblem'],
    ['notEnoughMoney', 'amountProblem'],
  ] as const)('%s is shown at its field', async (kind, at) => {
    const { app } = appThat(() => {
      throw error(kind, 'Not like this.');
    });
    const money = new MoneyController(app, new Toasts());
    money.address = 'safe1other';
    money.amount = '1';
    money.review('safe1own');
    await money.send();
    expect(money[at]).toBe('Not like this.');
    expect(money.confirming).toBe(false);
  });
});

describe('network', () => {
  test('elders are evenly spaced on the ring, the first on top', () => {
    expect(pointOnCircle(0, 7, 10)).toEqual([expect.closeTo(0), expect.closeTo(-10)]);
    const [x, y] = pointOnCircle(3, 7, 10);
    expect(Math.hypot(x, y)).toBeCloseTo(10);
  });

  test('only a connected elder counts as connected', () => {
    const elder = { name: '', age: 1, transport: null, roundTripMs: null, bytesIn: 0, bytesOut: 0 };
    expect(
      connectedCount([
        { ...elder, state: 'connected' },
        { ...elder, state: 'dialling' },
      ]),
    ).toBe(1);
  });
});

describe('shared by every screen', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('any failure becomes a sentence', () => {
    expect(asVaultError(new Error('boom')).message).toContain('Try again');
    expect(asVaultError(error('offline', 'No network.')).message).toBe('No network.');
  });

  test('a neutral message disappears by itself, an error stays until it is read', () => {
    const toasts = new Toasts();
    toasts.show('calm');
    toasts.fail('bad');
    vi.advanceTimersByTime(60_000);
    expect(toasts.list.map(({ text }) => text)).toEqual(['bad']);
  });

  test.each([
    ['/service-worker.js', true],
    ['/_app/immutable/workers/index-BvRk9kiK.js', true],
    ['http://localhost:4100/_app/immutable/workers/index-a.js', true],
    ['https://evil.example/service-worker.js', false],
    ['/safe/files/abc.js', false],
    ['/_app/immutable/workers/../../../safe/files/abc.js', false],
    ['data:text/javascript,1', false],
    ['blob:http://localhost:4100/1', false],
    ['http://[', false],
  ])('the content policy treats %s as a worker of this app: %s', (address, own) => {
    expect(isOwnWorker(address, 'http://localhost:4100/files')).toBe(own);
  });
});

test('messages about an open Safe are removed when it is locked', async () => {
  let show: (view: VaultView) => void = () => undefined;
  const safeApp = {
    onVault: (heard: typeof show) => {
      show = heard;
      return () => {};
    },
    onNetwork: () => () => {},
    onShell: () => () => {},
  } as unknown as SafeApp;
  const app = new App(Promise.resolve(safeApp));
  await Promise.resolve();
  show({ kind: 'open' } as VaultView);
  toasts.fail('“letter.txt” could not be read.');
  show({ kind: 'open' } as VaultView);
  expect(toasts.list).toHaveLength(1);
  show({ kind: 'locked', fingerprint: 'a b c' });
  expect(toasts.list).toEqual([]);
  expect(app.vault.kind).toBe('locked');
});
