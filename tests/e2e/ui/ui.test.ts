/**
 * Goal: a person can use every screen, by sight, screen reader or keyboard. Method: each state of the list
 * in states.ts in a real browser over the fake Safe; axe in both colour schemes; no complaints of the
 * browser (script errors, refused content, foreign requests).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { networks, phrase } from '../fake-app/scenes.ts';
import { buildStage, openUiStage, type UiStage } from './stage.ts';
import { states } from './states.ts';

const phone = { viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' } as const;
/** SvelteKit logs an unknown path, which is the subject of that state. */
const expected = (complaint: string): boolean => complaint.includes('Not found: /nowhere');

let stage: UiStage;

beforeAll(async () => {
  await buildStage();
  stage = await openUiStage();
}, 180_000);

afterAll(() => stage.close());

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const field = (page: Page, name: string) => page.getByLabel(name, { exact: true });

const axePackage = createRequire(import.meta.resolve('@axe-core/playwright')).resolve('axe-core');
/** Half as long as the source that the package exports: it is parsed in each state. */
const axeSource = readFileSync(join(dirname(axePackage), 'axe.min.js'), 'utf8');

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

/** Violated rules, with their elements; `only` names one rule. */
async function violations(page: Page, only?: string): Promise<readonly string[]> {
  // Evaluated by the debugger, so the page's own content policy applies unchanged.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axeSource);
  const { violations: found } = await page.evaluate(async (rule) => {
    const { axe } = window as unknown as {
      readonly axe: { readonly run: (options: object) => Promise<AxeResult> };
    };
    return axe.run(rule === undefined ? {} : { runOnly: [rule] });
  }, only);
  return found.map(
    (one) =>
      `${one.id}: ${one.help} (${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')})`,
  );
}

describe('every state', () => {
  test.each(states)(
    '$name is accessible in light and dark and breaks no content policy',
    async (state) => {
      const shown = await stage.open(state.scene, state.path, { ...phone, colorScheme: 'light' });
      const { page } = shown;
      await state.act?.(page);
      expect(await violations(page)).toEqual([]);
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await violations(page, 'color-contrast')).toEqual([]);
      // WCAG 1.4.10: nothing is wider than the screen.
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(
        360,
      );
      expect(shown.complaints.filter((complaint) => !expected(complaint))).toEqual([]);
    },
  );
});

describe('reflow', () => {
  test.each(['/', '/files', '/money', '/network'])(
    '%s fits a 320 px wide screen (1280 px at 400 %)',
    async (path) => {
      const { page } = await stage.open('stalled', path, {
        viewport: { width: 320, height: 256 },
      });
      await page.locator('h1').waitFor();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(
        320,
      );
    },
  );

  test.each(['/', '/files', '/money', '/network'])(
    '%s: everything to press is at least 44 px high',
    async (path) => {
      const { page } = await stage.open('open', path, phone);
      await page.locator('h1').waitFor();
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('button, nav a, select, input:not([hidden]), summary')]
          .filter(
            (element) => element.checkVisibility() && element.getBoundingClientRect().height < 43.5,
          )
          .map((element) => element.outerHTML.slice(0, 120)),
      );
      expect(small).toEqual([]);
    },
  );

  test('forced colours keep borders, marks and text', async () => {
    const { page } = await stage.open('sending', '/files', {
      ...phone,
      forcedColors: 'active',
    });
    await page.locator('h1').waitFor();
    expect(await violations(page)).toEqual([]);
  });
});

describe('keyboard', () => {
  test('a Safe is created with the keyboard alone, and the focus follows the steps', async () => {
    const { page } = await stage.open('none', '/', phone);
    const pressOn = async (name: string): Promise<void> => {
      for (let presses = 0; presses < 40; presses++) {
        await page.keyboard.press('Tab');
        const at = await page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
        if (at === name) return page.keyboard.press('Enter');
      }
      throw new Error(`“${name}” is not in the keyboard's path`);
    };
    const heading = () => page.evaluate(() => document.activeElement?.textContent?.trim());
    await pressOn('Create a Safe');
    await expect.poll(heading).toBe('Choose a password');
    await page.keyboard.press('Tab');
    await page.keyboard.type('correct horse battery staple');
    for (let presses = 0; presses < 3; presses++) await page.keyboard.press('Tab');
    await page.keyboard.type('correct horse battery staple');
    await page.keyboard.press('Enter');
    await expect.poll(heading).toBe('Your phrase');
    await pressOn('Show');
    await pressOn('I wrote it down');
    await expect.poll(heading).toBe('Check what you wrote');
    await page.keyboard.press('Tab');
    await page.keyboard.type(phrase.join(' '));
    await pressOn('Check and create');
    await expect.poll(heading).toBe('Your Safe');
    const asked = await page.evaluate(() => window.safeFake!.asked.map(({ kind }) => kind));
    expect(asked.filter((kind) => kind !== 'passwordStrength')).toEqual([
      'newPhrase',
      'checkPhrase',
      'createSafe',
    ]);
  });

  test('a dialog keeps the focus inside, Escape closes it, and the focus goes back', async () => {
    const { page } = await stage.open('open', '/', phone);
    await button(page, 'Forget this device').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    for (let presses = 0; presses < 6; presses++) {
      await page.keyboard.press('Tab');
      expect(
        await page.evaluate(() => document.activeElement?.closest('[role=dialog]') !== null),
      ).toBe(true);
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await expect
      .poll(() => page.evaluate(() => document.activeElement?.textContent?.trim()))
      .toBe('Forget this device');
    expect(await page.evaluate(() => window.safeFake!.asked.length)).toBe(0);
  });
});

describe('the network', () => {
  test('a section opens and closes with the keyboard, with its seven elders and its adults', async () => {
    const { page } = await stage.open('split', '/network', phone);
    const elders = page.getByRole('list', { name: 'Elders of 1' });
    expect(await elders.isVisible()).toBe(false);
    await page.locator('summary', { hasText: 'Section 1' }).focus();
    await page.keyboard.press('Enter');
    await elders.waitFor();
    expect(await elders.getByRole('listitem').count()).toBe(7);
    const adults = page.getByRole('list', { name: 'Adults (2)' });
    expect(await adults.getByRole('listitem').allInnerTexts()).toEqual([
      'f00dca age 5',
      '88aa11 age 5',
    ]);
    await page.keyboard.press('Enter');
    await elders.waitFor({ state: 'hidden' });
  });

  test('a handover and a split appear without a reload, in the picture and as text', async () => {
    const { page } = await stage.open('open', '/network', phone);
    const say = (network: unknown) =>
      page.evaluate((view) => window.safeFake!.show({ network: view as never }), network as never);
    const log = page.getByRole('log', { name: 'While you watched' });
    await page.getByText('Verified up to epoch 0').waitFor();
    await say(networks.handedOver);
    await log.getByText('new among its elders: 2e7741').waitFor();
    await page.locator('[data-prefix="()"][data-epoch="1"]').waitFor();
    await page.getByText('Verified up to epoch 1').waitFor();
    await say(networks.split);
    await log.getByText('The section split: 0 has elders of its own now.').waitFor();
    await log.getByText('The section split: 1 has elders of its own now.').waitFor();
    await page.getByRole('img', { name: 'divided among the sections 0, 1' }).waitFor();
    await page.locator('[data-prefix="1"][data-epoch="2"]').waitFor();
  });

  test.each(['/network', '/money'])(
    'N29: %s announces a stalled section politely, exactly while it is stalled',
    async (path) => {
      const { page } = await stage.open('open', path, phone);
      const say = (network: unknown) =>
        page.evaluate(
          (view) => window.safeFake!.show({ network: view as never }),
          network as never,
        );
      // The region exists before its text: only then a screen reader reads it.
      const region = page.locator('[role=status][data-stalled]');
      await region.waitFor({ state: 'attached' });
      expect(await region.innerText()).toBe('');
      await say(networks.stalled);
      await region.getByText('4 of its 7 elders answer this device, and 5 are needed').waitFor();
      expect(await page.getByRole('alert').count()).toBe(0);
      await say(networks.halfStalled);
      await region.getByText('Section 1 cannot decide at the moment').waitFor();
      expect(await region.getAttribute('data-stalled')).toBe('1');
      await say(networks.good);
      await expect.poll(() => region.innerText()).toBe('');
    },
  );

  test.each(['/', '/files', '/money', '/network'])(
    'N33: a conflicting successor is shown on %s in one sentence',
    async (path) => {
      const { page } = await stage.open('forked', path, phone);
      await page.getByText(/^\s*A section has named two different successors.*network\./).waitFor();
      expect(await violations(page)).toEqual([]);
    },
  );
});

describe('rules', () => {
  test('strong key first, password last: a new device asks for no password before the phrase is accepted', async () => {
    const { page } = await stage.open('none', '/', phone);
    await button(page, 'Open my Safe').click();
    expect(await field(page, 'Password').count()).toBe(0);
    await field(page, 'Phrase').fill([...phrase.slice(0, 12), 'wrong'].join(' '));
    await page.getByText('Word 13 looks wrong').waitFor();
    expect(await field(page, 'Password').count()).toBe(0);
    await button(page, 'Use “orbit”').click();
    await field(page, 'Password').waitFor();
    await field(page, 'Phrase').fill('legal');
    expect(await field(page, 'Password').count()).toBe(0);
  });

  test('a phrase other than the one shown does not make a Safe', async () => {
    const { page } = await stage.open('none', '/', phone);
    await states.find(({ name }) => name === 'create-check-wrong')?.act?.(page);
    const asked = await page.evaluate(() => window.safeFake!.asked.map(({ kind }) => kind));
    expect(asked).not.toContain('createSafe');
  });

  test('money is sent only after Confirm, with the amount and address that were shown', async () => {
    const { page } = await stage.open('open', '/money', phone);
    await states.find(({ name }) => name === 'money-confirm')?.act?.(page);
    expect(await page.evaluate(() => window.safeFake!.asked.length)).toBe(0);
    await page.getByRole('dialog').getByText('12.5').waitFor();
    await button(page, 'Confirm').click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await page.evaluate(() => window.safeFake!.asked)).toMatchObject([
      { kind: 'send', amount: '12.5', memo: 'Bread and cheese' },
    ]);
  });

  test('added files go to the vault, and a removed one is restored by Undo', async () => {
    const { page } = await stage.open('open', '/files', phone);
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      button(page, 'Add files').click(),
    ]);
    await chooser.setFiles([
      { name: 'one.txt', mimeType: 'text/plain', buffer: Buffer.from('one') },
      { name: 'two.txt', mimeType: 'text/plain', buffer: Buffer.from('two') },
    ]);
    await expect
      .poll(() => page.evaluate(() => window.safeFake!.asked.map(({ kind }) => kind)))
      .toEqual(['upload', 'upload']);
    const row = page
      .getByRole('list', { name: 'Files', exact: true })
      .getByRole('listitem', { name: 'harbour.jpg' });
    await button(page, 'More for harbour.jpg').click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await row.waitFor({ state: 'detached' });
    await button(page, 'Undo').click();
    await row.waitFor();
  });

  test('texts that end-to-end tests and people wait for: Ready for offline, Use the new version', async () => {
    const { page } = await stage.open('starting', '/', phone);
    expect(await page.getByText('Ready for offline', { exact: true }).count()).toBe(0);
    await page.evaluate(() =>
      window.safeFake!.show({
        shell: { offlineReady: true, online: true, updateReady: true, unsupported: null },
      }),
    );
    await page.getByText('Ready for offline', { exact: true }).waitFor();
    await button(page, 'Use the new version').click();
    await page.getByText('A new version').waitFor({ state: 'detached' });
  });

  test('the printed sheet contains the words and nothing else of the page', async () => {
    const { page } = await stage.open('none', '/', phone);
    await states.find(({ name }) => name === 'create-phrase-shown')?.act?.(page);
    await page.emulateMedia({ media: 'print' });
    const visible = await page.evaluate(() => document.body.innerText);
    expect(visible).toContain('13. orbit');
    expect(visible).not.toContain('I wrote it down');
    expect(visible).not.toContain('correct horse');
  });
});
