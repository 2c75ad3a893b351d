/** What people do on the Money page. */
import { expect } from 'vitest';
import type { Page } from 'playwright-core';

export const addressOf = async (page: Page): Promise<string> => {
  const element = page.getByLabel('Your address');
  await element.first().waitFor();
  const text = await element.first().evaluate((node) => {
    return node instanceof HTMLInputElement || node instanceof HTMLTextAreaElement
      ? node.value
      : (node.textContent ?? '');
  });
  return text.replace(/\s/g, '');
};

export const askFaucet = (page: Page): Promise<void> =>
  page.getByRole('button', { name: 'Get test money' }).click();

export const balanceOf = async (page: Page): Promise<string> =>
  ((await page.getByLabel('Balance', { exact: true }).first().textContent()) ?? '').trim();

/** Waits until the balance is this number. */
export const balanceIs = async (page: Page, amount: string, timeout = 60_000): Promise<void> => {
  await expect
    .poll(async () => Number(/[\d.]+/.exec(await balanceOf(page))?.[0] ?? -1), { timeout, interval: 200 })
    .toBe(Number(amount));
};

/** Fills the form, confirms, and waits until the payment stands in the list as final. */
export async function pay(page: Page, address: string, amount: string): Promise<void> {
  await beginPayment(page, address, amount);
  await page.getByText(/Final|Arrived/).first().waitFor();
}

export async function beginPayment(page: Page, address: string, amount: string): Promise<void> {
  await page.getByLabel('Address', { exact: true }).fill(address);
  await page.getByLabel('Amount', { exact: true }).fill(amount);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
}
