/** One run of a story: devices, a network, and what must hold at its end. */
import type { VaultView } from '#bridge/vault.ts';
import { toHex } from '#core/codec/bytes.ts';
import { Secret } from '#core/secret.ts';
import { STRETCH_STANDARD } from '#crypto/stretch.ts';
import { decodePointer, pointerAddress } from '#data/pointer.ts';
import { addressOf } from '#money/address.ts';
import { formatAmount } from '#money/amount.ts';
import type { CommittedTransaction } from '#money/certificate.ts';
import { walletKeys, type WalletKeys } from '#money/keys.ts';
import { stretchUnchecked } from '#runtime/jobs/argon2.ts';
import { StrongKey, unlockRoot, type RootKeys } from '#safe/credentials/keys.ts';
import { toPassword } from '#safe/credentials/password.ts';
import type { SafeIndex } from '#safe/index/index-set.ts';
import { decodeBundle } from '#safe/payment/index.ts';
import {
  balanceOf,
  decodeWallet,
  emptyWallet,
  scanCommitted,
  scanEntry,
} from '#safe/wallet/index.ts';
import type { SafeRecord } from '#storage/browser/vault-store.ts';
import { openLocal, openPlace } from '../../src/vault/open-safe.ts';
import { readIndex } from '../../src/vault/remote-index.ts';
import type { Rpc } from '../../src/vault/rpc.ts';
import { toySuite } from '../sim/toy-suite.ts';
import { Device, type Tab } from './browser.ts';
import { clock, runAs } from './clock.ts';
import type { Interrupt } from './faults.ts';
import { password, Person, Refused, type OpenView } from './person.ts';
import { currentProcess, type Interruption, type Process, type Watcher } from './process.ts';
import { moneyKeys, Network, networkId } from './section.ts';

const settleMs = 2_000;
const restMs = 120_000;
const lookEveryMs = 3_000;

export class World implements Watcher {
  readonly network = new Network();
  readonly here: Device;
  readonly elsewhere: Device;
  readonly person: Person;
  readonly password = password;
  otherTab: Tab | null = null;
  /** Nothing goes wrong before the story begins and after it has ended. */
  isArmed = false;
  readonly #interrupt: Interrupt;
  readonly #paid = new Map<string, CommittedTransaction>();
  #root: { readonly strong: StrongKey; readonly keys: RootKeys } | null = null;
  readonly #secrets = new Map<Process, Set<Secret>>();

  constructor(interrupt: Interrupt) {
    this.#interrupt = interrupt;
    this.here = new Device('here', this.network, this);
    this.elsewhere = new Device('elsewhere', this.network, this);
    this.person = new Person(this.here);
    watchSecrets(this);
  }

  reached(process: Process, label: string, given: readonly unknown[]): Interruption {
    const told = this.isArmed ? this.#interrupt(process, label) : {};
    if (label !== 'payments.putIntent' || process.role !== 'tab') return told;
    const before = async (): Promise<void> => {
      await told.before?.();
      if (process.isDead) return;
      const bundle = given[1] as Uint8Array;
      await runAs(this.person, () => this.#mustBeStored(String(given[0]), bundle));
    };
    return { ...told, before };
  }

  readonly readSafes = readSafes;

  // What the stories need.

  async pay(amounts: readonly bigint[]): Promise<void> {
    this.network.pay(addressOf(await this.#wallet()), amounts);
  }

  async payOnce(name: string, amounts: readonly bigint[], isListed = true): Promise<void> {
    if (this.#paid.has(name)) return;
    this.#paid.set(name, this.network.pay(addressOf(await this.#wallet()), amounts, isListed));
  }

  paidFor(name: string): CommittedTransaction {
    const paid = this.#paid.get(name);
    if (paid === undefined) throw new Error(`nothing was paid for ${name}`);
    return paid;
  }

  async openElsewhere(): Promise<Tab> {
    const { person } = this;
    const tab = await this.elsewhere.openTab();
    await person.until(tab, (view) => view.kind !== 'starting', 'the app starts');
    if (tab.view.kind === 'locked') await person.ask(tab, { kind: 'unlockHere', password });
    if (tab.view.kind === 'none') await person.enter(tab);
    return tab;
  }

  /** The second tab or device of a story, open. */
  async other(): Promise<Tab> {
    const before = this.otherTab;
    if (before === null || before.process.isDead) {
      const isElsewhere = before?.device === this.elsewhere;
      this.otherTab = isElsewhere ? await this.openElsewhere() : await this.person.openTab();
    }
    const tab = this.otherTab ?? before;
    if (tab === null) throw new Error('a second tab');
    const unlock = async (): Promise<void> => {
      if (tab.view.kind !== 'locked') return;
      await this.person.ask(tab, { kind: 'unlockHere', password });
    };
    // Forgotten or opened anew in another tab a moment ago: the person looks again, and tries once more.
    await unlock().catch(async () => {
      await clock.wait(lookEveryMs);
      await unlock();
    });
    if (tab.view.kind === 'none') await this.person.enter(tab);
    return tab;
  }

  // What must hold.

  /** Everything is well again: the story can be finished, and nothing that was shown is lost. */
  async conclude(finish: () => Promise<void>): Promise<void> {
    const { person } = this;
    await this.#mustBeShown();
    await finish();
    const tab = await person.atHome();
    await this.#rest(tab, 'same tab');
    if (this.otherTab !== null && !this.otherTab.process.isDead) {
      if (this.otherTab.view.kind === 'open') await this.#rest(this.otherTab, 'other tab');
      this.otherTab.close();
    }
    await person.lock();
    await clock.wait(settleMs);
    this.#mustBeClean(tab.process);
    await this.#rest(await person.atHome(), 'after locking');
    person.tab?.close();
    await this.#rest(await person.atHome(), 'opened anew');
    const last = await this.openElsewhere();
    await this.#rest(last, 'second device');
    this.#noZeroOwner();
  }

  /** Before anything is done again: a file that is added anew would hide that it was lost. */
  async #mustBeShown(): Promise<void> {
    const { person } = this;
    if (person.words === '') return;
    const tab = await person.atHome();
    const end = clock.now() + restMs;
    while (person.missing(tab.view).length > 0 && clock.now() < end && !tab.process.isDead) {
      if (tab.view.kind === 'locked') await person.ask(tab, { kind: 'unlockHere', password });
      if (tab.view.kind === 'none') await person.enter(tab);
      await person.ask(tab, { kind: 'refresh' }).catch(() => undefined);
      await clock.wait(lookEveryMs);
    }
    person.check(tab.view, 'before going on');
  }

  async #rest(tab: Tab, where: string): Promise<void> {
    const { person } = this;
    const isOver = (view: OpenView, truth: string): boolean =>
      view.published === 'published' &&
      view.money.balance === truth &&
      view.money.payments.every(({ state }) => state === 'registered' || state === 'replaced') &&
      view.transfers.every(({ state }) => state === 'needsFile' || state === 'failed');
    const end = clock.now() + restMs;
    let truth = '';
    let isAtRest = false;
    while (!isAtRest && clock.now() < end && !tab.process.isDead) {
      // What was pressed in the last moment of the story, Lock or Forget, comes now.
      if (tab.view.kind === 'locked') await person.ask(tab, { kind: 'unlockHere', password });
      if (tab.view.kind === 'none') await person.enter(tab);
      await person.ask(tab, { kind: 'refresh' }).catch(() => undefined);
      truth = formatAmount(await this.#truth());
      // What another device has changed arrives with a later look at the network.
      const isAllHere = person.missing(tab.view).length === 0;
      isAtRest = isAllHere && tab.view.kind === 'open' && isOver(tab.view, truth);
      if (!isAtRest) await clock.wait(lookEveryMs);
    }
    if (!isAtRest)
      person.broken(`${where}: it does not come to rest: ${showView(tab.view, truth)}`);
    person.check(tab.view, where);
    if (tab.view.kind !== 'open') return;
    const names = new Set(
      [...tab.view.files, ...tab.view.removedFiles, ...tab.view.transfers].map(({ name }) => name),
    );
    if (where !== 'second device') {
      for (const name of person.transfers) {
        if (!names.has(name)) person.broken(`${where}: the upload of ${name} is gone`);
      }
    }
    const memos = tab.view.money.payments.filter((each) => each.direction === 'out');
    for (const memo of person.refusedSends) {
      if (memos.some((each) => each.memo === memo && each.state !== 'replaced')) {
        const times = memos.filter((each) => each.memo === memo).length;
        if (times > 1)
          person.broken(`${where}: “${memo}” was refused once and paid ${times} times`);
      }
    }
  }

  /** What is this person's by the elders' lists and the bank's receipts alone. */
  async #truth(): Promise<bigint> {
    const keys = await this.#wallet();
    const scanner = { keys, sections: moneyKeys, suite: toySuite };
    let state = emptyWallet;
    for (const paid of this.network.paid) state = scanCommitted(keys, state, paid, 1);
    // Twice: what a coin paid for may be listed before the coin itself.
    for (const line of [...this.network.lines(), ...this.network.lines()]) {
      const scanned = scanEntry(scanner, state, line, 1);
      if (scanned.ok) state = scanned.value.state;
    }
    return balanceOf(state).available;
  }

  async #open(): Promise<{ readonly strong: StrongKey; readonly keys: RootKeys }> {
    if (this.#root !== null) return this.#root;
    const strong = StrongKey.fromPhrase(this.person.words);
    const typed = toPassword(password);
    if (!strong.ok || !typed.ok) throw new Error('a phrase and a password');
    const keys = await unlockRoot(strong.value, typed.value, STRETCH_STANDARD, (bytes, salt) =>
      stretchUnchecked(bytes, salt, { memoryKiB: 64, passes: 1 }),
    );
    if (!keys.ok) throw new Error('memory');
    this.#root = { strong: strong.value, keys: keys.value };
    return this.#root;
  }

  async #wallet(): Promise<WalletKeys> {
    return walletKeys((await this.#open()).keys.wallet.reveal().slice());
  }

  /** Nothing is sent that was not stored first: on some device, or on the network. */
  async #mustBeStored(id: string, bytes: Uint8Array): Promise<void> {
    const bundle = decodeBundle(bytes);
    // A receipt that is passed on is nobody's payment here.
    if (!bundle.ok || bundle.value.certificates !== null) return;
    for (const index of await this.#indexes()) {
      const wallet = decodeWallet(index.wallet);
      if (wallet.ok && wallet.value.payments.get(id)?.bundle) return;
    }
    this.person.broken('a payment was sent that was stored nowhere');
  }

  async #indexes(): Promise<readonly SafeIndex[]> {
    const root = await this.#open();
    const found: SafeIndex[] = [];
    for (const device of [this.here, this.elsewhere]) {
      for (const record of await readSafes(device)) {
        const index = await openLocal(root, record);
        if (index.ok) found.push(index.value);
      }
    }
    const address = pointerAddress(networkId, root.strong.owner);
    const kept = this.network.pointers.get(toHex(address));
    const pointer = kept === undefined ? undefined : decodePointer(kept);
    const place = pointer?.ok ? await openPlace(root, pointer.value.ciphertext) : null;
    if (place?.ok === true) {
      const getChunk = async (name: Uint8Array): Promise<Uint8Array> =>
        this.network.chunks.get(toHex(name)) ?? new Uint8Array();
      found.push(await readIndex({ getChunk } as Rpc, place.value));
    }
    return found;
  }

  /** A key that is all zero belongs to everybody. */
  #noZeroOwner(): void {
    const { owner } = StrongKey.fromDevice(new Uint8Array(32));
    if (this.network.pointers.has(toHex(pointerAddress(networkId, owner)))) {
      this.person.broken('the index was published under a key of zeros');
    }
  }

  revealed(secret: Secret): void {
    const process = currentProcess();
    if (process === undefined) return;
    const known = this.#secrets.get(process) ?? new Set();
    this.#secrets.set(process, known.add(secret));
  }

  usedAfterWipe(): void {
    if (currentProcess()?.isDead === false) this.person.broken('a wiped key was used');
  }

  #mustBeClean(process: Process): void {
    for (const secret of this.#secrets.get(process) ?? []) {
      if (!isWiped(secret)) {
        this.person.broken('a key is still in memory after locking');
        return;
      }
    }
  }
}

function showView(view: VaultView, truth: string): string {
  if (view.kind !== 'open') return `the Safe is ${view.kind}`;
  const { balance, payments } = view.money;
  const states = payments.map(({ memo, state, sentence }) => `${memo} ${state} (${sentence})`);
  const transfers = view.transfers.map(({ name, state }) => `${name} ${state}`);
  return `${view.published}, balance ${balance} of ${truth}, ${[...states, ...transfers].join(', ')} ${view.notice}`;
}

export const isRefused = (error: unknown): error is Refused => error instanceof Refused;

let watching: World | null = null;
const wiped = new WeakSet<Secret>();
const isWiped = (secret: Secret): boolean => wiped.has(secret);
let isPatched = false;

function watchSecrets(world: World): void {
  watching = world;
  if (isPatched) return;
  isPatched = true;
  const { reveal, wipe } = Secret.prototype;
  Secret.prototype.reveal = function (): Uint8Array {
    const bytes = reveal.call(this);
    if (wiped.has(this)) watching?.usedAfterWipe();
    else watching?.revealed(this);
    return bytes;
  };
  Secret.prototype.wipe = function (): void {
    wiped.add(this);
    wipe.call(this);
  };
}

/** As somebody who holds the device would read them: past every process. */
async function readSafes(device: Device): Promise<readonly SafeRecord[]> {
  const name = 'safe-vault';
  // Opening would make it, and the app would find it of a version that has no records.
  if (!(await device.idb.databases()).some((each) => each.name === name)) return [];
  return new Promise((done, fail) => {
    const opening = device.idb.open(name);
    opening.onerror = () => fail(new Error('the records cannot be read'));
    opening.onsuccess = () => {
      const db = opening.result;
      const all = db.transaction('safes').objectStore('safes').getAll();
      all.onsuccess = () => {
        db.close();
        done(all.result as readonly SafeRecord[]);
      };
    };
  });
}
