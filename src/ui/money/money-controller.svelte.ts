/** Sending, receiving and redeeming. Amounts stay text: the vault counts, the page only shows. */
import { asVaultError, type App } from '../shared/app.svelte.ts';
import { Task } from '../shared/task.svelte.ts';
import type { Toasts } from '../shared/toasts.svelte.ts';
import { moneyTexts } from './texts.ts';

/** A person's amount as decimal text with a point, or null when it is not a number above zero. */
export function cleanAmount(text: string): string | null {
  const amount = text.trim().replace(',', '.');
  return /^\d{1,20}(\.\d{1,20})?$/.test(amount) && /[1-9]/.test(amount) ? amount : null;
}

/** A note's room in a payment, in bytes of UTF-8; every payment's note box has this one size. */
const maxMemoBytes = 64;

/** How many bytes of UTF-8 a note is too long; zero or less when it fits. */
export const memoOverrun = (memo: string): number =>
  new TextEncoder().encode(memo.trim()).length - maxMemoBytes;

export const cleanAddress = (text: string): string => text.replace(/\s+/g, '');

export class MoneyController {
  address = $state('');
  amount = $state('');
  memo = $state('');
  addressProblem = $state('');
  amountProblem = $state('');
  memoProblem = $state('');
  confirming = $state(false);
  /** The payment as it will be sent, fixed when the person is asked. */
  asked = $state.raw({ address: '', amount: '', memo: '' });

  receipt = $state('');
  receiptProblem = $state('');
  /** A receipt that could not be copied, shown to be selected by hand. */
  shownReceipt = $state('');

  readonly faucetTask = new Task();
  readonly sendTask = new Task();
  readonly redeemTask = new Task();
  readonly #app: App;
  readonly #toasts: Toasts;

  constructor(app: App, toasts: Toasts) {
    this.#app = app;
    this.#toasts = toasts;
  }

  async askFaucet(): Promise<void> {
    const done = await this.faucetTask.run(() => this.#app.ask({ kind: 'askFaucet' }));
    if (done !== null) this.#toasts.show(moneyTexts.faucetDone);
  }

  /** First half of sending: looks at the form and asks for confirmation. */
  review(ownAddress: string): void {
    const address = cleanAddress(this.address);
    const amount = cleanAmount(this.amount);
    this.addressProblem =
      address === ''
        ? moneyTexts.addressMissing
        : address === ownAddress
          ? moneyTexts.ownAddress
          : '';
    this.amountProblem =
      this.amount.trim() === ''
        ? moneyTexts.amountMissing
        : amount === null
          ? moneyTexts.amountForm
          : '';
    const over = memoOverrun(this.memo);
    this.memoProblem = over > 0 ? moneyTexts.memoTooLong(over) : '';
    const problems = [this.addressProblem, this.amountProblem, this.memoProblem];
    if (amount === null || problems.some((problem) => problem !== '')) return;
    this.sendTask.clear();
    this.asked = { address, amount, memo: this.memo.trim() };
    this.confirming = true;
  }

  async send(): Promise<void> {
    const payment = this.asked;
    const done = await this.sendTask.run(() => this.#app.ask({ kind: 'send', ...payment }));
    if (done === null) {
      const error = this.sendTask.error;
      // What is wrong with one field belongs to that field; the dialog makes way for it.
      if (error?.kind === 'badAddress') this.addressProblem = error.message;
      if (error?.kind === 'badAmount' || error?.kind === 'notEnoughMoney')
        this.amountProblem = error.message;
      if (this.addressProblem !== '' || this.amountProblem !== '') {
        this.sendTask.clear();
        this.confirming = false;
      }
      return;
    }
    this.confirming = false;
    this.address = '';
    this.amount = '';
    this.memo = '';
    this.#toasts.show(moneyTexts.sent);
  }

  async redeem(): Promise<void> {
    const text = this.receipt.trim();
    this.receiptProblem = text === '' ? moneyTexts.redeemMissing : '';
    if (text === '') return;
    const done = await this.redeemTask.run(() => this.#app.ask({ kind: 'redeem', text }));
    if (done === null) return;
    this.receipt = '';
    this.#toasts.show(moneyTexts.redeemed(done.value.amount));
  }

  async copyReceipt(paymentId: string): Promise<void> {
    try {
      const { text } = await this.#app.ask({ kind: 'receiptText', paymentId });
      try {
        await navigator.clipboard.writeText(text);
        this.#toasts.show(moneyTexts.receiptCopied);
      } catch {
        this.shownReceipt = text;
      }
    } catch (error) {
      this.#toasts.fail(asVaultError(error).message);
    }
  }
}
