/**
 * A person who uses a Safe: their requests, what the app showed them, and so what must not be lost.
 */
import type { VaultError, VaultReplies, VaultRequest, VaultView } from '#bridge/vault.ts';
import { clock, type Killable } from '../clock.ts';
import type { Device, FileReading, BrowserTab } from './browser.ts';

export type OpenView = Extract<VaultView, { kind: 'open' }>;
type Place = 'here' | 'removed';

export const storyPassword = 'correct horse battery staple';
/** After this time without an answer the person closes the tab. */
const patienceMs = 90_000;
/** A read ends when no bytes have arrived for two minutes; this leaves some margin. */
const readPatienceMs = 180_000;

/** The URL of a file that one tab has opened. */
export interface FileAddress {
  readonly tab: BrowserTab;
  readonly url: string;
  readonly name: string;
  readonly size: number;
  /** How often Lock had been pressed in the tab when the read started. */
  readonly pressed: number;
}

export interface ReadOptions {
  readonly from?: number;
  readonly to?: number;
  /** Between two pieces. */
  readonly pauseMs?: number;
  /** Called after each piece with the number of pieces so far. */
  readonly came?: (pieces: number) => void;
}

/** No two pieces of a file are equal, nor the same piece of two files. */
export const fileContent = (name: string, size: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 8) * 13 + name.length) & 0xff);

export class Refused extends Error {
  readonly kind: string;
  constructor({ kind, message }: VaultError) {
    super(message);
    this.kind = kind;
  }
}

export class SafeUser implements Killable {
  /** The person outlives every process: their own timers always fire. */
  readonly isDead = false;
  readonly violations: string[] = [];
  /** By name: the places in which the app showed the file. */
  readonly files = new Map<string, Set<Place>>();
  /** By name: uploads that were shown as in progress. */
  readonly transfers = new Set<string>();
  /** By id: payments that were shown or answered. */
  readonly payments = new Map<string, { readonly memo: string; isFinal: boolean }>();
  /** Memos of payments that were refused before any call was interrupted. */
  readonly refusedSends = new Set<string>();
  words = '';
  tab: BrowserTab | null = null;
  device: Device;
  /** True once a call may have been interrupted. */
  isCut = false;
  remembers = true;
  /** True while the page cannot reach the worker to revoke the keys it sent. */
  cannotTakeBack = false;

  constructor(device: Device) {
    this.device = device;
  }

  broken(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  async openTab(): Promise<BrowserTab> {
    const tab = await this.device.openTab();
    tab.shown.add((view) => this.#look(view));
    await this.until(tab, (view) => view.kind !== 'starting', 'the app starts');
    return tab;
  }

  /** Returns the tab with the Safe open; opens tab and Safe if necessary. */
  async atHome(): Promise<BrowserTab> {
    if (this.tab === null || this.tab.process.isDead) this.tab = await this.openTab();
    const { tab } = this;
    if (tab.view.kind === 'open') return tab;
    if (tab.view.kind === 'locked')
      await this.ask(tab, { kind: 'unlockHere', password: storyPassword });
    else await this.enter(tab);
    return tab;
  }

  async enter(tab: BrowserTab): Promise<void> {
    const { words, remembers: remember } = this;
    try {
      await this.ask(tab, { kind: 'unlockWithPhrase', words, password: storyPassword, remember });
    } catch (error) {
      // The first device had not yet published the Safe: create it here again.
      if (!(error instanceof Refused) || error.kind !== 'phraseUnknown') throw error;
      await this.ask(tab, { kind: 'createSafe', words, password: storyPassword });
    }
  }

  /** Sends one request; it must end, and a refusal must carry a sentence. */
  async ask<Kind extends VaultRequest['kind']>(
    tab: BrowserTab,
    request: Extract<VaultRequest, { kind: Kind }>,
  ): Promise<VaultReplies[Kind]> {
    try {
      return await this.#patiently(tab, tab.ask<Kind>(request), request.kind, patienceMs);
    } catch (error) {
      if (error instanceof Refused) throw error;
      const failure = error as Partial<VaultError>;
      if (typeof failure.message !== 'string' || !/[.!?]$/.test(failure.message) || !failure.kind) {
        this.broken(`${request.kind} ended without a sentence: ${String(error)}`);
      }
      throw new Refused(error as VaultError);
    }
  }

  /** Ends with the tab, and closes the tab on a timeout. */
  async #patiently<T>(tab: BrowserTab, asked: Promise<T>, what: string, ms: number): Promise<T> {
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
    tab: BrowserTab,
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

  async untilOpen(
    tab: BrowserTab,
    fits: (view: OpenView) => boolean,
    what: string,
  ): Promise<OpenView> {
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
    for (const { id, direction, memo, stage } of view.money.payments) {
      if (direction === 'in') continue;
      const known = this.payments.get(id) ?? { memo, isFinal: false };
      known.isFinal ||= stage === 'final' || stage === 'registered';
      this.payments.set(id, known);
    }
  }

  // Steps of stories.

  async create(): Promise<void> {
    this.tab ??= await this.openTab();
    if (this.words === '') {
      this.words = (await this.ask(this.tab, { kind: 'newPhrase' })).words.join(' ');
    }
    await this.ask(this.tab, { kind: 'createSafe', words: this.words, password: storyPassword });
  }

  async published(tab?: BrowserTab): Promise<void> {
    const at = tab ?? (await this.atHome());
    await this.untilOpen(at, (view) => view.published === 'published', 'it is published');
  }

  async add(name: string, size = 40, at?: BrowserTab): Promise<void> {
    const tab = at ?? (await this.atHome());
    if (tab.view.kind === 'open' && tab.view.files.some((file) => file.name === name)) return;
    const file = new File([fileContent(name, size)], name, { lastModified: 1 });
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

  async open(name: string, at?: BrowserTab): Promise<FileAddress> {
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

  /** Reads to the end: the result must be exactly the requested bytes or a refusal. */
  async read(address: FileAddress, how: ReadOptions = {}): Promise<void> {
    const { tab, url, name, size } = address;
    const { from = 0, to = size } = how;
    const isPart = how.from !== undefined || how.to !== undefined;
    const opening = tab.read(url, isPart ? `bytes=${from}-${to - 1}` : null);
    const what = `reading ${name}`;
    let reading: FileReading | null = null;
    try {
      reading = await this.#patiently(tab, opening, what, readPatienceMs);
      const { ok, status, headers } = reading.response;
      if (!ok) throw await this.#refusalOf(reading.response, what);
      const length = headers.get('content-length');
      if (status !== (isPart ? 206 : 200) || length !== String(to - from)) {
        this.broken(`${what}: status ${status} and length ${length} for ${from} to ${to}`);
      }
      await this.#readOn(address, reading, fileContent(name, size).subarray(from, to), how);
    } catch (error) {
      reading?.cancel();
      if (error instanceof Refused) throw error;
      throw new Refused({ kind: 'internal', message: `${what} ended: ${String(error)}` });
    }
  }

  async #readOn(
    { tab, name, pressed }: FileAddress,
    { next }: FileReading,
    wanted: Uint8Array,
    { pauseMs = 0, came }: ReadOptions,
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
    const failure = (await response.json()) as Partial<VaultError>;
    if (typeof failure.message !== 'string' || !/[.!?]$/.test(failure.message) || !failure.kind) {
      this.broken(`${what} was refused without a sentence: ${JSON.stringify(failure)}`);
    }
    return new Refused(failure as VaultError);
  }

  async remove(name: string, at?: BrowserTab): Promise<void> {
    await this.#move(name, 'removed', at);
  }

  async restore(name: string, at?: BrowserTab): Promise<void> {
    await this.#move(name, 'here', at);
  }

  async #move(name: string, to: Place, at?: BrowserTab): Promise<void> {
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

  async send(amount: string, address: string, memo: string, at?: BrowserTab): Promise<void> {
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

  async balance(amount: string, at?: BrowserTab): Promise<void> {
    const tab = at ?? (await this.atHome());
    await this.untilOpen(tab, (view) => view.money.balance === amount, `the balance is ${amount}`);
  }

  async lock(): Promise<void> {
    if (this.tab !== null && !this.tab.process.isDead) await this.ask(this.tab, { kind: 'lock' });
  }

  /** Checks that everything the app showed is still there. */
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
      else if (isFinal && payment.stage !== 'final' && payment.stage !== 'registered') {
        missing.push(`the payment “${memo}” was final and is ${payment.stage}`);
      }
    }
    return missing;
  }
}
