/** A person's actions on the Money page. */
import type { Page } from 'playwright-core';
import { patienceMs, until } from './until.ts';

export async function shownAddress(page: Page): Promise<string> {
  const element = page.getByLabel('Your address', { exact: true }).first();
  const text = async (): Promise<string> =>
    ((await element.textContent()) ?? '').replace(/\s/g, '');
  // The address appears after the Safe's first contact with a network.
  return until(text, (address) => address.startsWith('safe1'));
}

export const askFaucet = (page: Page): Promise<void> =>
  page.getByRole('button', { name: 'Get test money' }).click();

export const shownBalance = async (page: Page): Promise<string> =>
  ((await page.getByLabel('Balance', { exact: true }).first().textContent()) ?? '').trim();

/** Waits until the balance is this number. */
export const waitForBalance = async (
  page: Page,
  amount: string,
  timeout = patienceMs,
): Promise<void> => {
  const number = async (): Promise<number> =>
    Number(/[\d.]+/.exec(await shownBalance(page))?.[0] ?? -1);
  await until(number, (balance) => balance === Number(amount), timeout);
};

/** Fills the form, confirms, and waits until the list shows the payment as final. */
export async function payInPage(page: Page, address: string, amount: string): Promise<void> {
  await beginPayment(page, address, amount);
  await sentPayment(page, amount)
    .getByText(/^(Final|Arrived)$/)
    .first()
    .waitFor();
}

/** The newest payment of this amount in the list. */
export const sentPayment = (page: Page, amount: string) =>
  page.getByRole('listitem').filter({ hasText: 'Sent' }).filter({ hasText: amount }).first();

export async function beginPayment(page: Page, address: string, amount: string): Promise<void> {
  await page.getByLabel('Address', { exact: true }).fill(address);
  await page.getByLabel('Amount', { exact: true }).fill(amount);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
}
