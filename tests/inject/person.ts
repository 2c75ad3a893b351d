/** Somebody who uses a Safe: what they ask, what they were shown, and so what must never be lost. */
import type { VaultError, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { clock, type Mortal } from './clock.ts';
import type { Device, Tab } from './browser.ts';

export type OpenView = Extract<VaultView, { kind: 'open' }>;
type Place = 'here' | 'removed';

export const password = 'correct horse battery staple';
/** A call that has not ended by then will not: the person closes the tab. */
const patienceMs = 90_000;

export class Refused extends Error {
  readonly kind: string;
  constructor({ kind, message }: VaultError) {
    super(message);
    this.kind = kind;
  }
}

export class Person implements Mortal {
  /** Nobody dies in these stories: a person's own timers always fire. */
  readonly isDead = false;
  readonly violations: string[] = [];
  /** By name: where the person may find the file. */
  readonly files = new Map<string, Set<Place>>();
  /** By name: uploads that were shown as under way. */
  readonly transfers = new Set<string>();
  /** By id: payments that were shown or answered. */
  readonly payments = new Map<string, { readonly memo: string; isFinal: boolean }>();
  /** Notes of payments that ended in a refusal while nothing was cut off. */
  readonly refusedSends = new Set<string>();
  words = '';
  tab: Tab | null = null;
  device: Device;
  /** True from the moment that a call may have been cut off. */
  isCut = false;
  remembers = true;

  constructor(device: Device) {
    this.device = device;
  }

  broken(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  async openTab(): Promise<Tab> {
    const tab = await this.device.openTab();
    tab.shown.add((view) => this.#look(view));
    await this.until(tab, (view) => view.kind !== 'starting', 'the app starts');
    return tab;
  }

  /** The tab with the Safe open; opens what has to be opened. */
  async atHome(): Promise<Tab> {
    if (this.tab === null || this.tab.process.isDead) this.tab = await this.openTab();
    const { tab } = this;
    if (tab.view.kind === 'open') return tab;
    if (tab.view.kind === 'locked') await this.ask(tab, { kind: 'unlockHere', password });
    else await this.enter(tab);
    return tab;
  }

  async enter(tab: Tab): Promise<void> {
    const { words, remembers: remember } = this;
    try {
      await this.ask(tab, { kind: 'unlockWithPhrase', words, password, remember });
    } catch (error) {
      // Nothing of it has left the first device yet: it is made there once more.
      if (!(error instanceof Refused) || error.kind !== 'phraseUnknown') throw error;
      await this.ask(tab, { kind: 'createSafe', words, password });
    }
  }

  /** One request; its refusal must be a sentence, and it must end. */
  async ask<Kind extends VaultRequest['kind']>(
    tab: Tab,
    request: Extract<VaultRequest, { kind: Kind }>,
  ): Promise<VaultReplies[Kind]> {
    const late = new Error('no answer');
    const timeout = (async () => {
      await clock.wait(patienceMs);
      throw late;
    })();
    timeout.catch(() => undefined);
    const closed = tab.process.died.then(() => {
      throw new Refused({ kind: 'locked', message: 'The tab was closed.' });
    });
    closed.catch(() => undefined);
    try {
      return await Promise.race([tab.ask<Kind>(request), timeout, closed]);
    } catch (error) {
      if (error === late) {
        if (!this.isCut) this.broken(`${request.kind} never ended`);
        this.isCut = true;
        tab.close();
        throw new Refused({ kind: 'locked', message: 'The tab was closed.' });
      }
      if (error instanceof Refused) throw error;
      const told = error as Partial<VaultError>;
      if (typeof told.message !== 'string' || !/[.!?]$/.test(told.message) || !told.kind) {
        this.broken(`${request.kind} ended without a sentence: ${String(error)}`);
      }
      throw new Refused(error as VaultError);
    }
  }

  async until(
    tab: Tab,
    fits: (view: VaultView) => boolean,
    what: string,
    ms = 60_000,
  ): Promise<VaultView> {
    const end = clock.now() + ms;
    while (!fits(tab.view)) {
      if (tab.process.isDead || clock.now() >= end)
        throw new Refused({ kind: 'busy', message: what });
      await clock.wait(50);
    }
    return tab.view;
  }

  async untilOpen(tab: Tab, fits: (view: OpenView) => boolean, what: string): Promise<OpenView> {
    const open = await this.until(tab, (view) => view.kind === 'open' && fits(view), what);
    return open as OpenView;
  }

  #look(view: VaultView): void {
    if (view.kind !== 'open') return;
    for (const { name } of view.files)
      if (!this.files.has(name)) this.files.set(name, new Set(['here']));
    for (const { name, state } of view.transfers) {
      if (state === 'sending' || state === 'waiting') this.transfers.add(name);
    }
    for (const { id, direction, memo, state } of view.money.payments) {
      if (direction === 'in') continue;
      const known = this.payments.get(id) ?? { memo, isFinal: false };
      known.isFinal ||= state === 'final' || state === 'registered';
      this.payments.set(id, known);
    }
  }

  // What a story is made of.

  async create(): Promise<void> {
    this.tab ??= await this.openTab();
    if (this.words === '') {
      this.words = (await this.ask(this.tab, { kind: 'newPhrase' })).words.join(' ');
    }
    await this.ask(this.tab, { kind: 'createSafe', words: this.words, password });
  }

  async published(tab?: Tab): Promise<void> {
    const at = tab ?? (await this.atHome());
    await this.untilOpen(at, (view) => view.published === 'published', 'it is published');
  }

  async add(name: string, size = 40, at?: Tab): Promise<void> {
    const tab = at ?? (await this.atHome());
    if (tab.view.kind === 'open' && tab.view.files.some((file) => file.name === name)) return;
    const file = new File([new Uint8Array(size).fill(name.length)], name, { lastModified: 1 });
    const waiting =
      tab.view.kind === 'open' ? tab.view.transfers.find((each) => each.name === name) : undefined;
    const { transferId } =
      waiting?.state === 'needsFile' || waiting?.state === 'failed'
        ? await this.ask(tab, { kind: 'resumeUpload', transferId: waiting.id, file })
        : waiting === undefined
          ? await this.ask(tab, { kind: 'upload', file })
          : { transferId: waiting.id };
    const isListed = (view: OpenView): boolean => view.files.some((each) => each.name === name);
    const hasFailed = (view: OpenView): boolean =>
      view.transfers.some((each) => each.id === transferId && each.state === 'failed');
    const view = await this.untilOpen(tab, (v) => isListed(v) || hasFailed(v), `${name} is listed`);
    if (isListed(view)) return;
    const failed = view.transfers.find((each) => each.id === transferId);
    if (!/[.!?]$/.test(failed?.sentence ?? '')) this.broken(`${name} failed without a sentence`);
    throw new Refused({ kind: 'internal', message: failed?.sentence ?? '' });
  }

  async remove(name: string, at?: Tab): Promise<void> {
    await this.#move(name, 'removed', at);
  }

  async restore(name: string, at?: Tab): Promise<void> {
    await this.#move(name, 'here', at);
  }

  async #move(name: string, to: Place, at?: Tab): Promise<void> {
    const tab = at ?? (await this.atHome());
    const { view } = tab;
    if (view.kind !== 'open') throw new Refused({ kind: 'locked', message: 'It is locked.' });
    const from = to === 'removed' ? view.files : view.removedFiles;
    const file = from.find((each) => each.name === name);
    if (file === undefined) return;
    const may = this.files.get(name) ?? new Set<Place>();
    this.files.set(name, may.add(to));
    const kind = to === 'removed' ? 'removeFile' : 'restoreFile';
    await this.ask(tab, { kind, fileId: file.id });
    this.files.set(name, new Set([to]));
  }

  async send(amount: string, address: string, memo: string, at?: Tab): Promise<void> {
    const tab = at ?? (await this.atHome());
    if ([...this.payments.values()].some((payment) => payment.memo === memo)) return;
    try {
      const { paymentId } = await this.ask(tab, { kind: 'send', address, amount, memo });
      this.payments.set(paymentId, { memo, isFinal: false });
      this.refusedSends.delete(memo);
    } catch (error) {
      if (!this.isCut) this.refusedSends.add(memo);
      throw error;
    }
  }

  async redeem(text: string): Promise<void> {
    const tab = await this.atHome();
    try {
      await this.ask(tab, { kind: 'redeem', text });
    } catch (error) {
      if (!(error instanceof Refused) || !error.message.includes('already')) throw error;
    }
  }

  async balance(amount: string, at?: Tab): Promise<void> {
    const tab = at ?? (await this.atHome());
    await this.untilOpen(tab, (view) => view.money.balance === amount, `the balance is ${amount}`);
  }

  async lock(): Promise<void> {
    if (this.tab !== null && !this.tab.process.isDead) await this.ask(this.tab, { kind: 'lock' });
  }

  /** Everything that was shown is still there. */
  check(view: VaultView, where: string): void {
    for (const missing of this.missing(view)) this.broken(`${where}: ${missing}`);
  }

  missing(view: VaultView): readonly string[] {
    if (view.kind !== 'open') return [`the Safe is ${view.kind}`];
    const missing: string[] = [];
    const here = new Set(view.files.map(({ name }) => name));
    const removed = new Set(view.removedFiles.map(({ name }) => name));
    for (const [name, may] of this.files) {
      const isFine =
        (may.has('here') && here.has(name)) || (may.has('removed') && removed.has(name));
      if (!isFine) missing.push(`${name} was shown as ${[...may].join(' or ')} and is not`);
    }
    const ids = new Map(view.money.payments.map((payment) => [payment.id, payment]));
    for (const [id, { memo, isFinal }] of this.payments) {
      const payment = ids.get(id);
      if (payment === undefined) missing.push(`the payment “${memo}” is gone`);
      else if (isFinal && payment.state !== 'final' && payment.state !== 'registered') {
        missing.push(`the payment “${memo}” was final and is ${payment.state}`);
      }
    }
    return missing;
  }
}
