/** Somebody who uses a Safe: what they ask, what they were shown, and so what must never be lost. */
import type { VaultError, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { clock, type Mortal } from './clock.ts';
import type { Device, Reading, Tab } from './browser.ts';

export type OpenView = Extract<VaultView, { kind: 'open' }>;
type Place = 'here' | 'removed';

export const password = 'correct horse battery staple';
/** A call that has not ended by then will not: the person closes the tab. */
const patienceMs = 90_000;
/** A read ends by itself when nothing of it has come for two minutes. */
const readPatienceMs = 180_000;

/** A file as one tab has opened it. */
export interface Address {
  readonly tab: Tab;
  readonly url: string;
  readonly name: string;
  readonly size: number;
  /** How often Lock had been pressed in the tab when it was asked for. */
  readonly pressed: number;
}

export interface HowToRead {
  readonly from?: number;
  readonly to?: number;
  /** Between two pieces. */
  readonly pauseMs?: number;
  /** Called after each piece with the number of them. */
  readonly came?: (pieces: number) => void;
}

/** No piece of a file is like another one of it, or like the same one of another file. */
export const contentOf = (name: string, size: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 8) * 13 + name.length) & 0xff);

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
  /** True while nobody can reach the worker to take back what it was given. */
  cannotTakeBack = false;

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
    try {
      return await this.#patiently(tab, tab.ask<Kind>(request), request.kind, patienceMs);
    } catch (error) {
      if (error instanceof Refused) throw error;
      const told = error as Partial<VaultError>;
      if (typeof told.message !== 'string' || !/[.!?]$/.test(told.message) || !told.kind) {
        this.broken(`${request.kind} ended without a sentence: ${String(error)}`);
      }
      throw new Refused(error as VaultError);
    }
  }

  /** Ends with the tab, and ends the tab when it takes too long. */
  async #patiently<T>(tab: Tab, asked: Promise<T>, what: string, ms: number): Promise<T> {
    const late = new Error('no answer');
    const timeout = (async () => {
      await clock.wait(ms);
      throw late;
    })();
    timeout.catch(() => undefined);
    const closed = tab.process.died.then(() => {
      throw new Refused({ kind: 'locked', message: 'The tab was closed.' });
    });
    closed.catch(() => undefined);
    try {
      return await Promise.race([asked, timeout, closed]);
    } catch (error) {
      if (error !== late) throw error;
      if (!this.isCut) this.broken(`${what} never ended`);
      this.isCut = true;
      tab.close();
      throw new Refused({ kind: 'locked', message: 'The tab was closed.' });
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
    const file = new File([contentOf(name, size)], name, { lastModified: 1 });
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

  async open(name: string, at?: Tab): Promise<Address> {
    const tab = at ?? (await this.atHome());
    const { view, pressed } = tab;
    const file = view.kind === 'open' ? view.files.find((each) => each.name === name) : undefined;
    if (file === undefined)
      throw new Refused({
        kind: 'locked',
        message: `${name} is not listed, the Safe is ${view.kind}.`,
      });
    const { url } = await this.ask(tab, { kind: 'openFile', fileId: file.id });
    return { tab, url, name, size: file.size, pressed };
  }

  /** Reads to the end: exactly what was asked for, or a refusal. */
  async read(address: Address, how: HowToRead = {}): Promise<void> {
    const { tab, url, name, size } = address;
    const { from = 0, to = size } = how;
    const isPart = how.from !== undefined || how.to !== undefined;
    const opening = tab.read(url, isPart ? `bytes=${from}-${to - 1}` : null);
    const what = `reading ${name}`;
    let reading: Reading | null = null;
    try {
      reading = await this.#patiently(tab, opening, what, readPatienceMs);
      const { ok, status, headers } = reading.response;
      if (!ok) throw await this.#refusalOf(reading.response, what);
      const length = headers.get('content-length');
      if (status !== (isPart ? 206 : 200) || length !== String(to - from)) {
        this.broken(`${what}: status ${status} and length ${length} for ${from} to ${to}`);
      }
      await this.#readOn(address, reading, contentOf(name, size).subarray(from, to), how);
    } catch (error) {
      reading?.cancel();
      if (error instanceof Refused) throw error;
      throw new Refused({ kind: 'internal', message: `${what} ended: ${String(error)}` });
    }
  }

  async #readOn(
    { tab, name, pressed }: Address,
    { next }: Reading,
    wanted: Uint8Array,
    { pauseMs = 0, came }: HowToRead,
  ): Promise<void> {
    let at = 0;
    for (let pieces = 1; ; pieces++) {
      const piece = await this.#patiently(tab, next(), `reading ${name}`, readPatienceMs);
      if (piece === null) break;
      const { bytes, locked } = piece;
      if (locked > pressed && !this.cannotTakeBack) {
        this.broken(`bytes of ${name} were read after Lock`);
      }
      const meant = wanted.subarray(at, at + bytes.length);
      if (Buffer.compare(bytes, meant) !== 0) this.broken(`${name} was read altered`);
      at += bytes.length;
      came?.(pieces);
      if (pauseMs > 0) await clock.wait(pauseMs);
    }
    if (at !== wanted.length) this.broken(`${name} was read to an end ${wanted.length - at} short`);
  }

  async #refusalOf(response: Response, what: string): Promise<Refused> {
    const told = (await response.json()) as Partial<VaultError>;
    if (typeof told.message !== 'string' || !/[.!?]$/.test(told.message) || !told.kind) {
      this.broken(`${what} was refused without a sentence: ${JSON.stringify(told)}`);
    }
    return new Refused(told as VaultError);
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
